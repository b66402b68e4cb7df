//! Section 5 of the catalogue: connections.

use super::facts::Facts;
use super::finding::Severity;
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "CLI-01",
        "Number of clients",
        &[Need::Info, Need::Config],
        count,
    )
    .thresholds(&[
        Threshold::new("clients", 100, "connections from which on it is said"),
        Threshold::new("percent", 80, "percent of maxclients, of high severity"),
        Threshold::new(
            "clients_min",
            0,
            "connections that are always there when all is well",
        ),
    ])
    .why(
        "Each connection costs memory and a look at each turn of the event loop; at maxclients \
             further ones are refused. Fewer clients than there always are say that an application \
             is down or cannot reach the server.",
    )
    .caveat("What is many depends on the applications: set the thresholds to what is normal."),
    Rule::new("CLI-02", "Connection churn", &[Need::Info], churn)
        .thresholds(&[
            Threshold::new("percent", 10, "new connections in 100 commands"),
            Threshold::new(
                "connections",
                60,
                "new connections from which on it is looked at",
            ),
        ])
        .why(
            "Clients connect for a few commands each. A connection takes more of the server's time \
             than a command does, and much more with TLS.",
        )
        .caveat("Who connects is seen in captured traffic only; health checks count as well."),
    Rule::new(
        "CLI-03",
        "Connections were rejected",
        &[Need::Info, Need::Config],
        rejected,
    )
    .severity(Severity::High)
    .thresholds(&[Threshold::new(
        "rejected",
        0,
        "connections that may have been rejected",
    )])
    .why("The server had maxclients connections and turned further ones away.")
    .caveat("Counted since the server started, or since CONFIG RESETSTAT."),
];

fn count(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(clients) = facts.info_number("connected_clients")? else {
        return Ok(None);
    };
    let told = facts.info_number("maxclients")?;
    // Before 7.0 INFO does not tell it.
    let limit = match told {
        Some(limit) => limit,
        None => facts.config_number("maxclients")?.unwrap_or(0),
    };
    let percent = tuned.of("percent");
    let is_near = limit > 0 && clients.saturating_mul(100) > limit.saturating_mul(percent);
    let (what, severity, risk, step) = if is_near {
        (
            format!("{clients} of {limit} possible clients are connected"),
            Severity::High,
            "further clients are refused",
            "ulimit -n above the new number, where the server is started; then CONFIG SET maxclients",
        )
    } else if clients > tuned.of("clients") {
        (
            format!("{clients} clients are connected"),
            Severity::Medium,
            "memory and time for each of them",
            "share connections in the application: a pool of some per process",
        )
    } else if clients < tuned.of("clients_min") {
        (
            format!(
                "{clients} clients are connected, {} are expected",
                tuned.of("clients_min")
            ),
            Severity::High,
            "an application is down, or cannot reach the server",
            "CLIENT LIST: who is there, and who is not",
        )
    } else {
        return Ok(None);
    };
    let names = [
        "connected_clients",
        "blocked_clients",
        "maxclients",
        "timeout",
    ];
    let finding = tuned.finding(what).severity(severity).risk(risk);
    Ok(Some(finding.evidence(facts.shown(&names)).remedy(step)))
}

fn churn(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let connections = facts.since("total_connections_received")?;
    let commands = facts.since("total_commands_processed")?;
    let (Some((new, took_ms)), Some((commands, _))) = (connections, commands) else {
        return Ok(None);
    };
    let is_many = new.saturating_mul(100) > commands.saturating_mul(tuned.of("percent"));
    if new < tuned.of("connections") || !is_many {
        return Ok(None);
    }
    let what = format!(
        "{new} connections for {commands} commands in {} s",
        took_ms / 1000
    );
    Ok(Some(
        tuned
            .finding(what)
            .risk("the server spends its time on accepting connections")
            .evidence(facts.shown(&[
                "total_connections_received",
                "total_commands_processed",
                "connected_clients",
                "tcp-keepalive",
            ]))
            .remedy("keep connections open in the application, in a pool"),
    ))
}

fn rejected(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let rejected = facts.info_number("rejected_connections")?.unwrap_or(0);
    if rejected <= tuned.of("rejected") {
        return Ok(None);
    }
    let lately = facts.grown("rejected_connections").ok().flatten();
    let limit = facts.info_number("maxclients")?;
    let limit = limit.or(facts.config_number("maxclients").ok().flatten());
    let wanted = limit.unwrap_or(10_000).saturating_mul(2);
    let lately = lately.map_or(String::new(), |(n, ms)| {
        format!(", {n} of them in the last {} s", ms / 1000)
    });
    Ok(Some(
        tuned
            .finding(format!("{rejected} connections were rejected{lately}"))
            .risk("applications fail to connect")
            .evidence(facts.shown(&["rejected_connections", "connected_clients", "maxclients"]))
            .remedy("ulimit -n above the new number, where the server is started")
            .remedy(format!("CONFIG SET maxclients {wanted}"))
            .remedy("CONFIG REWRITE"),
    ))
}
