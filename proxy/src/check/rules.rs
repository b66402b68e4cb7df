//! What is well and what is not, from what a server told. Pure: facts in, findings out.

use analyzer::profile::{Family, Version};

use super::facts::Facts;
use super::{Finding, Verdict, sync};
use crate::fault::chain;
use crate::fleet::{Loss, Role};
use crate::side::client::{SideError, Target};

/// What the link's user must be allowed, SYNC for the link that no quorum counts; the rest is for
/// exactness.
const LINK_RIGHTS: &str = "+ping +psync +sync +replconf";

/// For the second connection, on every version.
const SIDE_RIGHTS: &str = "+info +config|get +multi +exec +select +object|encoding +memory|usage \
     +memory|malloc-stats +memory|stats +dump +pttl +time +type +strlen +llen +scard +zcard +hlen +xlen +command|info +client|setname \
     +acl|list";

/// The model needs about this share of the server's memory, in percent.
const MODEL_PERCENT: u64 = 50;

const MIB: u64 = 1 << 20;

/// The line that gives a user all that is asked. Servers refuse names that they do not know.
pub(super) fn grant(user: &str, version: Option<(Family, Version)>, cluster: bool) -> String {
    let (family, version) = version.unwrap_or((Family::Valkey, Version::new(8, 0)));
    let mut rights = format!("{LINK_RIGHTS} {SIDE_RIGHTS}");
    if cluster {
        rights += " +cluster|nodes +cluster|shards +cluster|slots +readonly";
    }
    if version >= Version::new(7, 0) {
        rights += " +pexpiretime";
    }
    if family == Family::Valkey || version >= Version::new(7, 2) {
        rights += " +client|no-touch";
    }
    let keys = if version >= Version::new(7, 0) {
        "%R~*"
    } else {
        "~*"
    };
    format!("ACL SETUSER {user} {rights} {keys}")
}

fn user<'a>(target: &'a Target, default: &'a str) -> &'a str {
    let named = target.credentials().and_then(|c| c.user.as_deref());
    named.unwrap_or(default)
}

/// The only finding about a server that does not answer.
pub(super) fn unreachable(error: &SideError, target: &Target) -> Finding {
    let failed = |name| Finding::new(name, Verdict::Refuse, chain(error));
    let source = &target.source;
    match error.loss() {
        Loss::Tls => failed("tls")
            .cure("--tls-ca-file, --tls-cert-file with --tls-key-file, --tls-server-name"),
        Loss::Denied => {
            let user = format!("{} on >PASSWORD", user(target, "keyscape"));
            failed("auth").cure(grant(&user, None, false))
        }
        Loss::Closed if !source.tls => {
            failed("reach").cure(format!("if the port speaks TLS: rediss://{source}"))
        }
        Loss::Closed
        | Loss::Connect
        | Loss::NotReady
        | Loss::Spared
        | Loss::Silent
        | Loss::Corrupt
        | Loss::Unsupported
        | Loss::Limit
        | Loss::Shutdown
        | Loss::Ourselves
        | Loss::Desync
        | Loss::Restart
        | Loss::Memory => {
            let ping = format!("redis-cli -h {} -p {} ping", source.host, source.port);
            failed("reach").cure(ping)
        }
    }
}

/// Every finding about a server that answers.
pub(super) fn judge(facts: &Facts, target: &Target) -> Vec<Finding> {
    let mut findings = vec![rights(facts, target)];
    if facts.info().version().is_none() {
        let found = "INFO is not answered: the snapshot will tell the version, and keys whose facts \
             the stream alone does not tell stay marked";
        findings.push(Finding::new("version", Verdict::Warn, found));
        return findings;
    }
    findings.extend([version(facts), psync(facts), role(facts), ready(facts)]);
    findings.extend(sync::judge(facts));
    findings.push(model(facts));
    findings
}

fn rights(facts: &Facts, target: &Target) -> Finding {
    const NAME: &str = "rights";
    if facts.missing.is_empty() {
        return Finding::ok(NAME, "everything that is asked is permitted");
    }
    let verdict = if facts.missing.contains(&"+replconf") {
        Verdict::Refuse
    } else {
        Verdict::Warn
    };
    let cluster = facts.info().server().is_some_and(|server| server.cluster);
    let found = format!("not permitted: {}", facts.missing.join(" "));
    let cure = grant(user(target, "default"), facts.info().version(), cluster);
    Finding::new(NAME, verdict, found).cure(cure)
}

fn version(facts: &Facts) -> Finding {
    const NAME: &str = "version";
    let Some((family, version)) = facts.info().version() else {
        return Finding::new(NAME, Verdict::Warn, "not told");
    };
    let (name, known) = match family {
        Family::Redis => ("Redis", Version::new(6, 0)..Version::new(8, 1)),
        Family::Valkey => ("Valkey", Version::new(7, 2)..Version::new(9, 2)),
    };
    let found = format!(
        "{name} {}.{}.{}",
        version.major, version.minor, version.patch
    );
    if known.contains(&version) {
        return Finding::ok(NAME, found);
    }
    let found = format!("{found} is not among the versions this was built for");
    let cure = "watch keyscape_unknown_commands after the start";
    Finding::new(NAME, Verdict::Warn, found).cure(cure)
}

fn psync(facts: &Facts) -> Finding {
    const NAME: &str = "psync";
    if facts.has_psync {
        return Finding::ok(NAME, "the server has PSYNC");
    }
    let cure = "ask whoever runs it: managed services rename or block PSYNC";
    let found = "the server has no command called PSYNC";
    Finding::new(NAME, Verdict::Refuse, found).cure(cure)
}

fn role(facts: &Facts) -> Finding {
    const NAME: &str = "role";
    let info = facts.info();
    match info.role() {
        Role::Replica if info.get("master_link_status") == Some("up") => Finding::ok(
            NAME,
            "replica: no fork on its master, invisible to WAIT and Sentinel",
        ),
        Role::Replica => {
            let found = "a replica whose own link is down gives no snapshot";
            Finding::new(NAME, Verdict::Refuse, found).cure("redis-cli INFO replication")
        }
        Role::Master => {
            let replicas = info.number("connected_slaves").unwrap_or(0);
            Finding::ok(NAME, format!("master with {replicas} replicas"))
        }
        Role::Unknown => Finding::new(NAME, Verdict::Refuse, "INFO replication names no role"),
    }
}

fn ready(facts: &Facts) -> Finding {
    const NAME: &str = "ready";
    let info = facts.info();
    if info.flag("loading") {
        let found = "the server is loading its own snapshot";
        return Finding::new(NAME, Verdict::Refuse, found).cure("wait for it");
    }
    if info.get("shutdown_in_milliseconds").is_some() {
        return Finding::new(NAME, Verdict::Refuse, "the server is shutting down");
    }
    Finding::ok(NAME, "neither loading nor stopping")
}

/// Bytes that the model of a server may need.
pub(super) fn model_bytes(facts: &Facts) -> u64 {
    facts.info().number("used_memory").unwrap_or(0) / 100 * MODEL_PERCENT
}

fn model(facts: &Facts) -> Finding {
    let found = format!(
        "up to {} MiB here for {} MiB there, twice that during a second full sync",
        model_bytes(facts) / MIB,
        facts.info().number("used_memory").unwrap_or(0) / MIB
    );
    Finding::ok("model", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, raw};
    use crate::source::Spec;

    fn facts(info: &str) -> Facts {
        Facts {
            info: format!("redis_version:7.0.15\r\nrole:master\r\n{info}"),
            has_psync: true,
            ..Facts::default()
        }
    }

    fn target() -> Target {
        let config = Config::from_raw(raw::Raw::default()).unwrap();
        crate::app::target(&config, Spec::parse("redis://h:1").unwrap().first())
    }

    #[track_caller]
    fn expect(facts: &Facts, name: &str, verdict: Verdict, cure: Option<&str>) {
        let findings = judge(facts, &target());
        let finding = findings.iter().find(|f| f.name == name).unwrap();
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert_eq!(finding.cure.as_deref(), cure, "{finding:?}");
    }

    #[test]
    fn each_rule_has_its_cure() {
        expect(&facts(""), "rights", Verdict::Ok, None);
        expect(&facts(""), "role", Verdict::Ok, None);
        expect(&facts(""), "version", Verdict::Ok, None);
        let loading = facts("loading:1\r\n");
        expect(&loading, "ready", Verdict::Refuse, Some("wait for it"));
        let mut renamed = facts("");
        renamed.has_psync = false;
        let cure = "ask whoever runs it: managed services rename or block PSYNC";
        expect(&renamed, "psync", Verdict::Refuse, Some(cure));
        for (missing, verdict) in [("+dump", Verdict::Warn), ("+replconf", Verdict::Refuse)] {
            let mut facts = facts("cluster_enabled:1\r\n");
            facts.missing = vec![missing];
            let cure = grant("default", Some((Family::Redis, Version::new(7, 0))), true);
            expect(&facts, "rights", verdict, Some(&cure));
            assert!(cure.contains("+cluster|nodes") && cure.ends_with("%R~*"));
            assert!(cure.contains(" +sync "), "{cure}");
        }
        let blind = Facts::default();
        expect(&blind, "version", Verdict::Warn, None);
    }
}
