//! Each rule on facts that real servers have told, and on worse ones.

use super::super::facts::Rates;
use super::*;

const GIB: u64 = 1 << 30;

fn facts(info: &str, config: &[(&str, &str)], rates: Rates) -> Facts {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Facts {
        info: info.replace(' ', "\r\n") + "\r\n",
        config: config.iter().map(pair).collect(),
        rates,
        ..Facts::default()
    }
}

fn quiet(info: &str) -> Facts {
    facts(info, &[], Rates::default())
}

fn busy(info: &str, config: &[(&str, &str)], bytes: u64) -> Facts {
    facts(info, config, Rates { bytes, changes: 0 })
}

#[track_caller]
fn expect(finding: &Finding, verdict: Verdict, cure: Option<&str>) {
    assert_eq!(finding.verdict, verdict, "{finding:?}");
    assert_eq!(finding.cure.as_deref(), cure, "{finding:?}");
}

#[test]
fn a_full_sync_waits_for_what_is_running() {
    for (info, verdict) in [
        (
            "rdb_bgsave_in_progress:0 aof_rewrite_in_progress:0",
            Verdict::Ok,
        ),
        (
            "rdb_bgsave_in_progress:1 aof_rewrite_in_progress:0",
            Verdict::Wait,
        ),
        (
            "rdb_bgsave_in_progress:0 aof_rewrite_in_progress:1",
            Verdict::Wait,
        ),
        ("", Verdict::Ok),
    ] {
        expect(&running(&quiet(info)), verdict, None);
    }
    for (info, verdict) in [
        (
            "slave0:ip=h,port=1,state=online,offset=1 slave_repl_offset:3",
            Verdict::Ok,
        ),
        ("slave0:ip=h,port=1,state=wait_bgsave,offset=0", Verdict::Ok),
        (
            "slave0:ip=h,port=1,state=online slave1:ip=h,port=2,state=send_bulk",
            Verdict::Wait,
        ),
        ("slave0:ip=h,port=65536,state=send_bulk", Verdict::Ok),
        ("slave0:ip=fe80::1,port=1,state=send_bulk", Verdict::Wait),
        ("role:master", Verdict::Ok),
    ] {
        expect(&others(&quiet(info)), verdict, None);
    }
}

#[test]
fn writes_that_are_refused_stay_refused() {
    for (role, needed, good, verdict, cure) in [
        ("master", "0", 0, Verdict::Ok, None),
        ("slave", "1", 0, Verdict::Ok, None),
        ("master", "2", 1, Verdict::Refuse, None),
        (
            "master",
            "2",
            2,
            Verdict::Warn,
            Some("CONFIG SET min-replicas-to-write 3"),
        ),
    ] {
        for name in ["min-replicas-to-write", "min-slaves-to-write"] {
            let info = format!("role:{role} min_slaves_good_slaves:{good}");
            let facts = facts(&info, &[(name, needed)], Rates::default());
            expect(&min_replicas(&facts), verdict, cure);
        }
    }
}

#[test]
fn changed_pages_fit_or_not() {
    let more = Some("sync at a quiet hour, or add memory");
    let replica = Some("follow a replica: --follow prefer-replica");
    for (used, cow, changes, rest, verdict, cure) in [
        (GIB, 0, 0, "", Verdict::Ok, None),
        (GIB, GIB, 0, "", Verdict::Ok, None),
        (6 * GIB, 0, 0, "", Verdict::Ok, None),
        (7 * GIB, 0, 0, "", Verdict::Warn, more),
        (5 * GIB, 2 * GIB, 0, "", Verdict::Warn, more),
        (5 * GIB, 4 * GIB, 0, "", Verdict::Refuse, more),
        // 5 GiB take 103 s; 10000 changes a second copy 4 GiB.
        (5 * GIB, 0, 10_000, "", Verdict::Refuse, more),
        (
            5 * GIB,
            0,
            1_000_000,
            "connected_slaves:1",
            Verdict::Refuse,
            replica,
        ),
        (5 * GIB, 0, 100, "", Verdict::Ok, None),
        (2 * GIB, GIB, 0, "maxmemory:8589934592", Verdict::Warn, more),
        (2 * GIB, GIB, 0, "maxmemory:0", Verdict::Ok, None),
        (2 * GIB, 7 * GIB, 0, "", Verdict::Refuse, more),
    ] {
        let info = format!(
            "role:master total_system_memory:{} used_memory:{used} rdb_last_cow_size:{cow} {rest}",
            8 * GIB
        );
        let facts = facts(&info, &[], Rates { bytes: 0, changes });
        expect(&memory(&facts), verdict, cure);
    }
    expect(&memory(&quiet("used_memory:1")), Verdict::Ok, None);
}

#[test]
fn the_buffer_lasts_for_the_copy_or_not() {
    const LIMIT: &str = "client-output-buffer-limit";
    let usual = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
    for (limits, used, rate, verdict, cure) in [
        (usual, GIB, MIB, Verdict::Ok, None),
        // 20 s at 10 MiB are below the hard limit, and the soft one takes a minute.
        (usual, GIB, 10 * MIB, Verdict::Warn, Some(512)),
        (usual, GIB, 20 * MIB, Verdict::Refuse, Some(1024)),
        // 82 s at 1 MiB are above the soft one.
        (usual, 4 * GIB, MIB, Verdict::Refuse, Some(256)),
        ("replica 0 0 0", 100 * GIB, 100 * MIB, Verdict::Ok, None),
        (
            "slave 0 67108864 60",
            4 * GIB,
            MIB,
            Verdict::Refuse,
            Some(256),
        ),
    ] {
        let cure = cure.map(|mb| {
            format!("CONFIG SET client-output-buffer-limit \"replica {mb}mb {mb}mb 60\"")
        });
        let facts = busy(&format!("used_memory:{used}"), &[(LIMIT, limits)], rate);
        expect(&output_buffer(&facts), verdict, cure.as_deref());
    }
    let large = [(LIMIT, usual), ("repl-backlog-size", "1073741824")];
    let facts = busy("used_memory:1073741824", &large, 20 * MIB);
    expect(&output_buffer(&facts), Verdict::Ok, None);
    expect(&output_buffer(&quiet("")), Verdict::Warn, None);
}

#[test]
fn the_backlog_bridges_a_minute_or_not() {
    let size = [("repl-backlog-size", "1048576")];
    expect(&backlog(&busy("", &size, 1000)), Verdict::Ok, None);
    let cure = Some("CONFIG SET repl-backlog-size 64mb");
    expect(&backlog(&busy("", &size, 1_000_000)), Verdict::Warn, cure);
    let (tiny, cure) = (
        [("repl-backlog-size", "16384")],
        Some("CONFIG SET repl-backlog-size 1mb"),
    );
    expect(&backlog(&busy("", &tiny, 1000)), Verdict::Warn, cure);
    expect(&backlog(&quiet("")), Verdict::Warn, None);
}

#[test]
fn forks_and_disks_are_said() {
    expect(&pause(&quiet("latest_fork_usec:1000")), Verdict::Ok, None);
    let cure = Some("follow a replica: --follow prefer-replica");
    expect(
        &pause(&quiet("latest_fork_usec:900000")),
        Verdict::Warn,
        cure,
    );
    for (setting, verdict, cure) in [
        (&[("repl-diskless-sync", "yes")][..], Verdict::Ok, None),
        (
            &[("repl-diskless-sync", "no")],
            Verdict::Warn,
            Some("CONFIG SET repl-diskless-sync yes"),
        ),
        (&[], Verdict::Warn, None),
    ] {
        let facts = facts("", setting, Rates::default());
        expect(&transfer(&facts), verdict, cure);
    }
}
