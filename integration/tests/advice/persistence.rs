//! Section 4, first half: saves, AOF, forks.

use super::SERVERS;
use super::ward::Ward;

#[test]
fn saves_that_are_old_missing_or_one_sided() {
    for name in SERVERS {
        let mut ward = Ward::start(name, "[advice.limits.PER-01]\nage_s = 1\n");
        ward.run(&["CONFIG SET save '3600_1", "SET k v"]);
        ward.holds("PER-01");
        // The child that wrote our snapshot may not be reaped yet.
        ward.server.save().expect("SAVE");
        ward.quiet("PER-01");

        ward.quiet("PER-02");
        ward.run(&["CONFIG SET save ''"]);
        ward.holds("PER-02");
        ward.run(&["EXPIRE k 1000"]);
        ward.quiet("PER-02");

        ward.quiet("PER-03");
        ward.run(&["CONFIG SET appendonly yes"]);
        ward.holds("PER-03");
        ward.run(&["CONFIG SET save '3600_1"]);
        ward.quiet("PER-03");

        ward.quiet("PER-04");
        ward.run(&["CONFIG SET appendfsync always"]);
        ward.holds("PER-04");
        ward.run(&["CONFIG SET appendonly no"]);
        ward.quiet("PER-04");
    }
}

#[test]
fn saves_that_fail() {
    for name in SERVERS {
        let mut ward = Ward::start_with(name, &[("stop-writes-on-bgsave-error", "no")], "");
        ward.quiet("PER-05");
        let dir = ward.server.file("");
        // Nobody can make a file there, not even root.
        ward.run(&["CONFIG SET dir /proc"]);
        ward.save();
        let found = ward.holds("PER-05");
        assert_eq!(found["severity"], "critical");
        let back = format!("CONFIG SET dir {}", dir.display());
        ward.run(&[&back]);
        ward.save();
        ward.quiet("PER-05");
    }
}

#[test]
fn forks_and_save_points_that_do_not_fit() {
    const ANY: &str = "[advice.limits.PER-06]\nms_per_gb = 0\nms_min = 0\n";
    const PATIENT: &str = "[advice.limits.PER-06]\nms = 3600000\nms_min = 3600000\n";
    for name in SERVERS {
        let mut ward = Ward::start(name, ANY);
        ward.run(&["SET k v"]);
        ward.save();
        ward.holds("PER-06");
        ward.run(&["CONFIG SET save '60_1"]);
        // What comes while a link is new passes for backlog, and is no rate.
        ward.holds_after("PER-07", |ward| ward.run(&["INCR n"; 100]));
        ward.run(&["CONFIG SET save '3600_1"]);
        ward.quiet("PER-07");
        // Against an hour, this fork was nothing.
        let patient = super::ward::follow(&ward.server.url(), PATIENT);
        super::ward::quiet(&patient, "PER-06");
    }
}

#[test]
fn masters_that_would_come_back_empty() {
    for name in SERVERS {
        let mut ward = Ward::start(name, "");
        ward.run(&["CONFIG SET save ''", "SET k v"]);
        // We are no replica that could be emptied.
        ward.quiet("PER-08");
        let _replica = ward.replica(&[]);
        let found = ward.holds("PER-08");
        assert_eq!(found["severity"], "critical");
        ward.run(&["CONFIG SET save '3600_1"]);
        ward.quiet("PER-08");
    }
}
