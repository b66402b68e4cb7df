//! Section 5 of the catalogue: who may do what, who can listen, and what names give away.

use super::facts::Facts;
use super::finding::{Evidence, Severity, is_word};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::secrets::Shape;
use super::standing::is_local;
use crate::acl::Reach;

pub(super) const RULES: &[Rule] = &[
    Rule::new("SEC-01", "No password", &[Need::Acl, Need::Config], password)
        .severity(Severity::Critical)
        .why(
            "The default user needs no password: whoever reaches the port may do everything. With \
             protected-mode only the host itself does, and every container and user on it.",
        )
        .caveat("A firewall or a network of its own is not seen here."),
    Rule::new("SEC-02", "Dangerous commands", &[Need::Acl, Need::Config], dangerous)
        .why(
            "A user for applications may run every command, or those of @dangerous or @admin: \
             FLUSHALL, CONFIG, DEBUG, SHUTDOWN, REPLICAOF, KEYS. A mistake or a leak of its password \
             then costs everything.",
        )
        .caveat(
            "Users of operators need them: silence the rule for their server, or give them another \
             one. Replicas, Sentinel and Keyscape need some of them as well, as PSYNC, REPLICAOF or \
             CONFIG: give back to their users what they run (`keyscape check` says it for Keyscape) \
             before they connect again. The default user is SEC-01's.",
        ),
    Rule::new("SEC-03", "Plain TCP between hosts", &[Need::Config, Need::Info, Need::Topology], plain)
        .why(
            "The server has no TLS port and other hosts talk to it, replicas, nodes of its cluster \
             or Keyscape: passwords and data can be read on the way.",
        )
        .caveat("Clients are not seen. A tunnel or an encrypted network beneath is not seen either."),
    Rule::new("SEC-04", "Secrets in key names", &[Need::Survey], secrets)
        .thresholds(&[Threshold::new("keys", 1, "keys from which on it is said")])
        .why(
            "Names of keys look like e-mail addresses, card numbers or tokens. Names are in logs, in \
             MONITOR, in slow logs, in backups and in reports such as this one.",
        )
        .caveat("Told by shape; names are never shown, only how many have it."),
];

fn password(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let users = facts.users()?;
    let default = users.iter().find(|user| &*user.name == "default");
    let is_open = default.is_some_and(|user| user.is_on && user.is_open);
    if !is_open {
        return Ok(None);
    }
    let finding = tuned.finding("the default user needs no password".to_owned());
    // Users have rights to channels from 6.2 on.
    let version = facts.profile.version;
    let channels = match (version.major, version.minor) < (6, 2) {
        true => "",
        false => " &*",
    };
    let mut rows = vec![Evidence::named("user default", "on nopass")];
    rows.extend(facts.shown(&["protected-mode", "bind"]));
    Ok(Some(
        finding
            .risk("whoever reaches the port reads, writes and deletes everything")
            .evidence(rows)
            .remedy(format!(
                "ACL SETUSER app on >PASSWORD ~app:*{channels} +@all -@dangerous"
            ))
            .remedy("one such user for each application; once they use it:")
            .remedy("ACL SETUSER default resetpass >PASSWORD")
            .remedy("CONFIG SET protected-mode yes")
            .remedy("CONFIG REWRITE")
            .remedy("ACL SAVE in its place, where users are in a file (aclfile)"),
    ))
}

fn dangerous(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let mut rows = Vec::new();
    let mut steps = Vec::new();
    for user in facts.users()? {
        let seen = match user.reach {
            Reach::Limited => continue,
            Reach::Dangerous => "@dangerous or @admin",
            Reach::Everything => "+@all",
        };
        if user.is_on && &*user.name != "default" {
            rows.push(Evidence::named(&format!("user {}", user.name), seen));
            steps.push(match is_word(&user.name) {
                true => format!("ACL SETUSER {} -@dangerous -@admin", user.name),
                false => format!(
                    "ACL SETUSER -@dangerous -@admin for the user of the row `user {}`, by its name \
                     in ACL LIST",
                    user.name
                ),
            });
        }
    }
    for name in ["enable-debug-command", "enable-module-command"] {
        // Permitted to clients of the host itself, it is no danger from elsewhere.
        if facts.config(name)? == Some("yes") {
            rows.push(Evidence::named(name, "yes"));
            steps.push(format!(
                "{name} no, in the server's configuration file; then a restart"
            ));
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let what = format!("{} users or options permit dangerous commands", rows.len());
    let finding = tuned.finding(what).evidence(rows);
    let finding = finding.risk("one mistake or one leaked password costs everything");
    let steps = steps.into_iter().take(super::EVIDENCE_MAX);
    Ok(Some(
        steps.fold(finding, |finding, step| finding.remedy(step)),
    ))
}

fn plain(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    // A server that was built without TLS has no such option.
    if facts.config_number("tls-port")?.unwrap_or(0) > 0 {
        return Ok(None);
    }
    let mut rows = Vec::new();
    for one in facts.attached()? {
        if !is_local(&one.host) && !one.is_program {
            rows.push(Evidence::named(&one.name, "replica"));
        }
    }
    let standing = &facts.standing;
    let nodes = standing.cluster.iter();
    let nodes = nodes.flat_map(|cluster| &*cluster.hosts);
    let nodes = nodes.filter(|host| !is_local(host));
    rows.extend(nodes.map(|host| Evidence::named(host, "node of the cluster")));
    if standing.link.is_plain && !is_local(&standing.link.host) {
        rows.push(Evidence::named(
            &standing.link.host,
            "Keyscape connects to it",
        ));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    rows.extend(facts.shown(&["tls-port", "bind"]));
    let finding = tuned.finding("there is no TLS port, and other hosts connect".to_owned());
    Ok(Some(
        finding
            .risk("passwords and data can be read on the way")
            .evidence(rows)
            .remedy("tls-port, tls-cert-file, tls-key-file, tls-ca-cert-file in its configuration")
            .remedy("tls-replication yes, tls-cluster yes; then clients with rediss://"),
    ))
}

fn secrets(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let found = facts.survey()?.secrets;
    let count = |shape| found.count(shape);
    let keys: u64 = Shape::ALL.into_iter().map(count).sum();
    if keys < tuned.of("keys").max(1) {
        return Ok(None);
    }
    let shapes = Shape::ALL.into_iter().filter(|shape| count(*shape) > 0);
    let rows = shapes.map(|shape| Evidence::named(shape.name(), format!("{} keys", count(shape))));
    Ok(Some(
        tuned
            .finding(format!("names of {keys} keys look like secrets"))
            .about(keys, 0)
            .risk("whoever sees a name, in a log or a report, has the secret")
            .evidence(rows)
            .remedy("name keys by a keyed hash of the secret: user:{HMAC-SHA256(mail)}"),
    ))
}
