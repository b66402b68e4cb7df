//! Doubts and re-reads: what is asked for, and which answers may be taken.

mod kit;

use analyzer::Profile;
use analyzer::command::Doubt;
use analyzer::input::{KeySpec, Outcome, Part, Shape};
use analyzer::keyspace::{Fact, Found, Looked, Need, Probed, Seen, Settled, Want};
use analyzer::profile::{Family, Version};
use analyzer::value::{Encoding, Fit, Kind, Samples, Usage};
use kit::Driver;

impl Driver {
    fn doubt(&self, name: &str) -> Doubt {
        let facts = self.keyspace.facts(self.db, name.as_bytes());
        facts.expect("the key is there").doubt
    }

    fn want(&mut self, need: Need) -> Option<String> {
        let Want { name, .. } = self.keyspace.next_want(need)?;
        Some(String::from_utf8(name).expect("text"))
    }

    fn probed(&mut self, name: &str, at: u64, encoding: Option<Encoding>) -> Settled {
        let found = Probed {
            encoding,
            expire_ms: None,
        };
        let db = self.db;
        self.keyspace.settle_probe(db, name.as_bytes(), at, found)
    }

    /// A look that tells the encoding, the bytes and the expiry; the rest is as in the model.
    fn looked(&mut self, name: &str, at: u64, seen: Seen) -> Looked {
        let db = self.db;
        self.keyspace
            .settle_look(db, name.as_bytes(), at, Some(seen))
    }

    fn read(&mut self, name: &str, at: u64, len: u64) -> Settled {
        let db = self.db;
        let mut image = self.keyspace.image_for(db, name.as_bytes(), Shape::String);
        image.part(&Part::Str { len, int: None });
        let found = Found {
            image,
            encoding: Some(Encoding::Raw),
            expire_ms: None,
        };
        self.keyspace
            .settle_value(db, name.as_bytes(), at, Some(found))
    }
}

/// A key that INCR could not follow, asked for at offset 30.
fn doubtful() -> Driver {
    let mut driver = Driver::new();
    driver.line("SET k 12");
    driver.line("APPEND k 34");
    driver.line("INCR k");
    assert_eq!(driver.doubt("k"), Doubt::Value);
    assert_eq!(driver.keyspace.doubts().value, 1);
    assert_eq!(driver.want(Need::Value).as_deref(), Some("k"));
    assert_eq!(driver.want(Need::Value), None);
    driver
}

#[test]
fn an_answer_of_the_right_time_is_taken() {
    let mut driver = doubtful();
    driver.line("SET other 1");
    assert_eq!(driver.read("k", 30, 4), Settled::Taken);
    assert_eq!(driver.doubt("k"), Doubt::Size);
    assert_eq!(driver.keyspace.in_flight(), 0);
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn an_answer_from_the_future_waits() {
    let mut driver = doubtful();
    assert!(driver.keyspace.is_early(50));
    assert_eq!(driver.read("k", 50, 4), Settled::Early);
    driver.line("APPEND k x");
    driver.line("SET other 1");
    assert_eq!(driver.read("k", 50, 5), Settled::Taken);
}

#[test]
fn an_answer_from_before_a_write_is_dropped_and_asked_again() {
    let mut driver = doubtful();
    driver.line("APPEND k x");
    assert_eq!(driver.read("k", 30, 4), Settled::Stale);
    assert_eq!(driver.doubt("k"), Doubt::Value);
    assert_eq!(driver.want(Need::Value).as_deref(), Some("k"));
    assert_eq!(driver.read("k", 40, 5), Settled::Taken);
    assert_eq!(driver.keyspace.counters().stale, 1);
}

#[test]
fn an_answer_older_than_the_question_is_dropped() {
    let mut driver = doubtful();
    assert_eq!(driver.read("k", 20, 4), Settled::Stale);
}

#[test]
fn a_doubt_that_a_write_has_settled_is_moot() {
    let mut driver = doubtful();
    driver.line("SET k fresh");
    assert_eq!(driver.read("k", 40, 4), Settled::Moot);
    let facts = driver.keyspace.facts(0, b"k").expect("there");
    assert_eq!((facts.count, facts.doubt), (5, Doubt::None));
}

#[test]
fn structural_commands_count_as_writes() {
    for line in [
        "FLUSHALL",
        "FLUSHDB",
        "SWAPDB 0 3",
        "SWAPDB 3 0",
        "MOVE k 3",
        "RENAME k l",
    ] {
        let mut driver = doubtful();
        driver.line(line);
        driver.line("SET k 1");
        driver.line("APPEND k 1");
        driver.line("INCR k");
        let settled = driver.read("k", 30, 4);
        assert_eq!(settled, Settled::Stale, "{line}");
        driver.keyspace.audit().expect("sums agree");
    }
}

#[test]
fn a_doubt_follows_its_key() {
    let mut driver = doubtful();
    driver.line("RENAME k l");
    assert_eq!(driver.doubt("l"), Doubt::Value);
    assert_eq!(driver.want(Need::Value).as_deref(), Some("l"));
    driver.line("SWAPDB 0 3");
    driver.db = 3;
    assert_eq!(driver.read("l", 50, 4), Settled::Moot);
    // Nobody queued it under its new database: the walk finds it.
    driver.keyspace.give_up();
    assert_eq!(driver.want(Need::Value).as_deref(), Some("l"));
    assert_eq!(driver.read("l", 50, 4), Settled::Taken);
}

#[test]
fn a_missing_key_is_removed_unless_it_may_have_expired() {
    let mut driver = doubtful();
    assert_eq!(
        driver.keyspace.settle_value(0, b"k", 30, None),
        Settled::Taken
    );
    assert!(driver.keyspace.facts(0, b"k").is_none());
    assert_eq!(driver.keyspace.counters().drifted, 1);

    let mut driver = doubtful();
    let past = driver.now_ms - 1;
    driver.line(&format!("PEXPIREAT k {past}"));
    assert_eq!(driver.read("k", 30, 4), Settled::Stale);
    assert_eq!(driver.want(Need::Value).as_deref(), Some("k"));
    let missing = |driver: &mut Driver| driver.keyspace.settle_value(0, b"k", 40, None);
    assert_eq!(missing(&mut driver), Settled::Moot);
    assert!(driver.keyspace.facts(0, b"k").is_some());
    // The master would have sent its DEL by now.
    driver.keyspace.clock(driver.now_ms + 60_000);
    assert_eq!(driver.want(Need::Value).as_deref(), Some("k"));
    assert_eq!(missing(&mut driver), Settled::Taken);
    assert!(driver.keyspace.facts(0, b"k").is_none());
}

#[test]
fn a_lost_connection_asks_again() {
    let mut driver = doubtful();
    driver.keyspace.give_up();
    assert_eq!(driver.keyspace.in_flight(), 0);
    assert_eq!(driver.want(Need::Value).as_deref(), Some("k"));
    driver.keyspace.settle_failed(0, b"k");
    assert_eq!(driver.want(Need::Value).as_deref(), Some("k"));
}

#[test]
fn loaded_strings_are_probed_until_none_is_left() {
    let mut driver = Driver::new();
    driver.keyspace.begin_load(driver.now_ms);
    for n in 0..3000 {
        driver.load_str(0, format!("k{n}").as_bytes(), 10 + n % 100, None);
    }
    driver.keyspace.commit_load(0);
    let open = driver.keyspace.doubts().probe;
    assert!(open > 900 && open < 1200);
    let mut asked = 0;
    while driver.keyspace.doubts().probe > 0 {
        while let Some(name) = driver.want(Need::Probe) {
            let truth = [Encoding::Embstr, Encoding::Raw][asked % 2];
            assert_eq!(driver.probed(&name, 0, Some(truth)), Settled::Taken);
            let facts = driver.keyspace.facts(0, name.as_bytes()).expect("there");
            // A short string in a block of its own was edited in place: its room is not known.
            let left = [Doubt::None, Doubt::Size][asked % 2];
            assert_eq!((facts.encoding, facts.doubt), (truth, left));
            asked += 1;
        }
    }
    assert_eq!(asked as u64, open);
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn a_probe_that_contradicts_asks_for_the_value() {
    let mut driver = Driver::new();
    driver.line("SET k 1.5");
    driver.line("SET k 2 KEEPTTL");
    assert_eq!(driver.want(Need::Probe).as_deref(), Some("k"));
    assert_eq!(
        driver.probed("k", 20, Some(Encoding::Hashtable)),
        Settled::Stale
    );
    assert_eq!(driver.want(Need::Value).as_deref(), Some("k"));
    driver.line("SET k 3 KEEPTTL");
    assert_eq!(driver.read("k", 30, 1), Settled::Taken);
}

#[test]
fn relative_expiries_are_probed() {
    let mut driver = Driver::on(Profile::defaults(Family::Redis, Version::new(6, 0)));
    driver.line("SET k v EX 100");
    assert_eq!(driver.doubt("k"), Doubt::Probe);
    assert_eq!(driver.want(Need::Probe).as_deref(), Some("k"));
    let told = Probed {
        encoding: Some(Encoding::Embstr),
        expire_ms: Some(Some(1_700_000_100_123)),
    };
    let settled = driver.keyspace.settle_probe(0, b"k", 10, told);
    assert_eq!(settled, Settled::Taken);
    let facts = driver.keyspace.facts(0, b"k").expect("there");
    assert_eq!(facts.expire_ms, Some(1_700_000_100_123));
    // Overwriting the value does not make a relative expiry certain.
    driver.line("EXPIRE k 100");
    driver.line("APPEND k w");
    assert_eq!(driver.doubt("k"), Doubt::Probe);
}

#[test]
fn unknown_commands_leave_doubts_on_their_keys() {
    let mut driver = Driver::new();
    driver.line("SET a 1");
    let spec = KeySpec {
        first: 1,
        last: -1,
        step: 2,
    };
    driver
        .keyspace
        .set_key_specs([(b"mod.mset".to_vec(), spec)]);
    assert_eq!(driver.line("MOD.MSET a x b y"), Outcome::Unknown);
    assert_eq!(driver.doubt("a"), Doubt::Value);
    assert_eq!(driver.doubt("b"), Doubt::Value);
    let facts = driver
        .keyspace
        .facts(0, b"b")
        .expect("expected to be there");
    assert_eq!(facts.kind, Kind::Module);
    assert!(driver.keyspace.facts(0, b"x").is_none());
    // What is told of one command later leaves the others as they are.
    let one = KeySpec {
        first: 2,
        last: 2,
        step: 1,
    };
    driver.keyspace.add_key_specs([(b"Mod.Late".to_vec(), one)]);
    driver.line("MOD.LATE x c");
    driver.line("MOD.MSET d x");
    for name in ["c", "d"] {
        assert_eq!(driver.doubt(name), Doubt::Value, "{name}");
    }
    assert!(driver.keyspace.has_key_spec(b"mod.mset"));
    driver.keyspace.set_key_specs([(b"mod.late".to_vec(), one)]);
    assert!(!driver.keyspace.has_key_spec(b"mod.mset"));
    assert_eq!(driver.line("OTHER.SET a x"), Outcome::Unknown);
    assert_eq!(driver.line("EVAL x 0"), Outcome::Resync);
    assert_eq!(driver.line("PUBLISH a x"), Outcome::Ignored);
    assert_eq!(driver.keyspace.counters().unknown, 4);
}

#[test]
fn a_slot_is_flushed_in_every_database() {
    let mut driver = Driver::new();
    assert_eq!(driver.line("CLUSTER FLUSHSLOT 1"), Outcome::Malformed);
    driver.keyspace = driver
        .keyspace
        .with_slots(|name| u16::from(name.ends_with(b"1")));
    for n in 0..40 {
        driver.db = n % 2;
        driver.line(&format!("SET k{n} v"));
    }
    assert_eq!(driver.line("CLUSTER FLUSHSLOT 1 ASYNC"), Outcome::Applied);
    assert_eq!(driver.keyspace.keys(), 36);
    assert_eq!(driver.line("CLUSTER SETSLOT 1 NODE x"), Outcome::NoChange);
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn what_comes_out_of_a_key_in_doubt_is_not_lost() {
    let mut driver = Driver::new();
    driver.line("RPUSH numbers 1 2 3");
    driver.line("SORT numbers BY nosort GET # STORE result");
    driver.line("LMOVE result moved LEFT LEFT");
    driver.line("RPOPLPUSH result popped");
    driver.line("LPOP result 100");
    driver.line("LTRIM result 5 1");
    for name in ["result", "moved", "popped"] {
        assert_eq!(driver.doubt(name), Doubt::Value, "{name}");
    }
    driver.line("RPUSH result more");
    assert_eq!(driver.doubt("result"), Doubt::Value);
    let mut asked: Vec<_> = std::iter::from_fn(|| driver.want(Need::Value)).collect();
    asked.sort();
    assert_eq!(asked, ["moved", "popped", "result"]);
    for name in asked {
        let settled = driver
            .keyspace
            .settle_value(0, name.as_bytes(), driver.offset, None);
        assert_eq!(settled, Settled::Taken);
    }
    assert_eq!(driver.names(0), [b"numbers"]);
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn an_audit_finds_what_the_stream_did_not_say() {
    let mut driver = Driver::new();
    for n in 0..500 {
        driver.line(&format!("SET k{n} v"));
    }
    let mut met = std::collections::BTreeSet::new();
    while met.len() < 500 {
        let want = driver.keyspace.next_audit().expect("the round goes on");
        assert_eq!((want.db, want.need), (0, Need::Size));
        let name = String::from_utf8(want.name).expect("text");
        let looked = driver.looked(&name, driver.offset, encoded(Encoding::Embstr));
        assert!(matches!(looked, Looked::Compared(same) if same.differences.is_empty()));
        assert!(met.insert(name), "one round meets a key once");
    }
    assert_eq!(driver.keyspace.next_audit(), None, "a round ends with none");
    let Want { name, .. } = driver.keyspace.next_audit().expect("the next round");
    let name = String::from_utf8(name).expect("text");
    // A write in between makes the answer too old, though the key is in no doubt.
    let at = driver.offset;
    driver.line(&format!("SET {name} w"));
    let looked = driver.looked(&name, at, encoded(Encoding::Raw));
    assert_eq!(looked, Looked::Stale);
    let Want { name, .. } = driver.keyspace.next_audit().expect("another");
    let name = String::from_utf8(name).expect("text");
    let looked = driver.looked(&name, driver.offset, encoded(Encoding::Raw));
    let Looked::Compared(compared) = looked else {
        panic!("{looked:?}");
    };
    assert_eq!(compared.differences[0].fact, Fact::Encoding);
    let facts = driver.keyspace.facts(0, name.as_bytes()).expect("there");
    assert_eq!((facts.encoding, facts.doubt), (Encoding::Raw, Doubt::None));
    assert_eq!(driver.keyspace.counters().drifted, 1);
    assert_eq!(driver.keyspace.in_flight(), 0);
    driver.keyspace.audit().expect("sums agree");
}

fn encoded(encoding: Encoding) -> Seen {
    Seen {
        encoding: Some(encoding),
        ..Seen::default()
    }
}

/// A snapshot does not show the room that a string grew into, nor a table that lost most of its
/// members: both are asked for once, and what is answered stays while they are written.
#[test]
fn sizes_that_a_snapshot_leaves_open_are_probed() {
    let mut driver = Driver::new();
    driver.keyspace.begin_load(driver.now_ms);
    driver.load_str(0, b"grown", 100, None);
    driver.load_str(0, b"short", 10, None);
    let mut members = kit::key(0, b"members", None);
    members.shape = Shape::SetTable;
    driver.keyspace.load_key(members);
    for n in 0..200 {
        let member = format!("member-{n}");
        let text = analyzer::Text::Bytes(member.as_bytes());
        driver.keyspace.part(Part::Element(text));
    }
    driver.keyspace.end_key();
    driver.offset = 500;
    driver.keyspace.commit_load(500);
    assert_eq!(driver.keyspace.doubts().size, 2);
    assert_eq!(driver.doubt("short"), Doubt::Probe);
    let bytes = |driver: &Driver, name: &str| {
        let facts = driver.keyspace.facts(0, name.as_bytes());
        facts.expect("there").bytes
    };
    let usage = |bytes, samples| Seen {
        encoding: None,
        usage: Some(Usage { bytes, samples }),
        ..Seen::default()
    };
    let mut asked: Vec<_> = std::iter::from_fn(|| driver.want(Need::Size)).collect();
    asked.sort();
    assert_eq!(asked, ["grown", "members"]);

    // 100 bytes in a block for 200: 16 + 320 - 112 more.
    let cut = bytes(&driver, "grown");
    let seen = usage(cut + 320 - 112, Samples::All);
    let looked = driver.looked("grown", 500, seen);
    assert!(matches!(looked, Looked::Compared(c) if c.differences.is_empty()));
    assert_eq!(bytes(&driver, "grown"), cut + 320 - 112);
    driver.line(&format!("APPEND grown {}", "x".repeat(50)));
    assert_eq!(bytes(&driver, "grown"), cut + 320 - 112, "there is room");

    // A table of 2048 buckets for 200 members, told by one of them.
    let settled = bytes(&driver, "members");
    let one = settled - (24 + 16) * 200 + (24 + 32) * 200;
    let seen = usage(one + 8 * (2048 - 256), Samples::One);
    let looked = driver.looked("members", 500, seen);
    assert!(matches!(looked, Looked::Compared(c) if c.memory == Some(Fit::Chance)));
    assert_eq!(bytes(&driver, "members"), settled + 8 * (2048 - 256));
    assert_eq!(driver.keyspace.doubts().size, 0);
    driver.keyspace.audit().expect("sums agree");
}

/// A fact that is not what the model holds is a mistake, and is repaired.
#[test]
fn a_look_finds_what_is_wrong_and_repairs_it() {
    let mut driver = Driver::new();
    driver.line("SADD s a b c");
    driver.line("SET k v");
    let at = driver.offset;
    let mut look = |name: &str, seen: Seen| {
        assert!(driver.keyspace.begin_look(0, name.as_bytes()));
        match driver.looked(name, at, seen) {
            Looked::Compared(compared) => compared
                .differences
                .iter()
                .map(|d| format!("{} {} {}", d.fact.name(), d.ours, d.theirs))
                .collect::<Vec<_>>(),
            other @ (Looked::Stale | Looked::Early | Looked::Moot) => panic!("{other:?}"),
        }
    };
    let seen = Seen {
        kind: Some(Kind::String),
        expire_ms: Some(Some(1_800_000_000_000)),
        ..Seen::default()
    };
    assert_eq!(look("k", seen), ["expiry never 1800000000000"]);
    assert_eq!(look("k", seen), [""; 0]);
    let seen = Seen {
        count: Some(4),
        ..Seen::default()
    };
    assert_eq!(look("s", seen), ["count 3 4"]);
    assert_eq!(driver.doubt("s"), Doubt::Value);
    assert_eq!(driver.want(Need::Value).as_deref(), Some("s"));
}

/// CONFIG SET list-max-listpack-size is told to nobody: each look found the same bytes wrong.
#[test]
fn a_list_of_other_nodes_is_read_again() {
    let mut driver = Driver::new();
    driver.line("RPUSH l a b c");
    let facts = driver.keyspace.facts(0, b"l").expect("there");
    for (more, doubt) in [(0, Doubt::None), (1 << 20, Doubt::None), (64, Doubt::Value)] {
        let usage = Usage {
            bytes: facts.bytes + more,
            samples: Samples::All,
        };
        let seen = Seen {
            usage: Some(usage),
            ..Seen::default()
        };
        assert!(driver.keyspace.begin_look(0, b"l"));
        let looked = driver.looked("l", driver.offset, seen);
        let Looked::Compared(compared) = looked else {
            panic!("{looked:?}");
        };
        assert_eq!(compared.differences.is_empty(), more == 0);
        assert_eq!(driver.doubt("l"), doubt);
    }
    assert_eq!(driver.want(Need::Value).as_deref(), Some("l"));
}

#[test]
fn an_audit_leaves_a_doubt_that_came_meanwhile() {
    let mut driver = Driver::new();
    driver.line("SET k v");
    let want = driver.keyspace.next_audit().expect("there is a key");
    assert_eq!(want.name, b"k");
    // Adding to what is no HyperLogLog cannot be followed, and the answer is from behind it.
    driver.line("PFADD k x");
    assert_eq!(driver.doubt("k"), Doubt::Value);
    let looked = driver.looked("k", driver.offset, encoded(Encoding::Raw));
    assert_eq!(looked, Looked::Stale);
    assert_eq!(driver.doubt("k"), Doubt::Value);
    assert_eq!(driver.want(Need::Value).as_deref(), Some("k"));
}

#[test]
fn what_was_written_under_another_configuration_is_probed() {
    let mut driver = Driver::new();
    driver.line("HSET old a 1");
    driver.now_ms += 10_000;
    driver.line("HSET new a 1");
    driver.line("SET text v");
    driver.keyspace.clock(driver.now_ms + 2_000);
    driver.keyspace.suspect(4);
    driver.keyspace.suspect(3);
    driver.keyspace.suspect(1);
    while driver.keyspace.is_suspecting() {
        driver.keyspace.find_suspects();
    }
    assert_eq!(driver.doubt("old"), Doubt::None);
    assert_eq!(driver.doubt("text"), Doubt::None, "no threshold touches it");
    assert_eq!(driver.want(Need::Probe).as_deref(), Some("new"));
    // It went the other way there: the value has to be read.
    let settled = driver.probed("new", driver.offset, Some(Encoding::Hashtable));
    assert_eq!(settled, Settled::Taken);
    let facts = driver.keyspace.facts(0, b"new").expect("there");
    assert_eq!(facts.encoding, Encoding::Hashtable);
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn what_is_suspected_is_found_where_swapdb_puts_it() {
    let mut driver = Driver::new();
    driver.line("HSET hash a 1");
    driver.db = 1;
    let names: Vec<String> = (0..20_000).map(|n| format!("hash:{n}")).collect();
    for name in &names {
        driver.line(&format!("HSET {name} a 1"));
    }
    driver.keyspace.suspect_all();
    driver.keyspace.find_suspects();
    assert!(driver.keyspace.is_suspecting(), "somewhere in database 1");
    driver.line("SWAPDB 0 1");
    while driver.keyspace.is_suspecting() {
        driver.keyspace.find_suspects();
    }
    assert_eq!(driver.doubt("hash"), Doubt::Probe);
    driver.db = 0;
    for name in &names {
        assert_eq!(driver.doubt(name), Doubt::Probe, "{name}");
    }
}

#[test]
fn after_a_reload_every_key_is_probed() {
    let mut driver = Driver::new();
    driver.line("HSET hash a 1");
    driver.line("SET text v");
    driver.line("APPEND grown v");
    driver.line("APPEND grown w");
    driver.line("XADD stream 1-1 a b");
    driver.now_ms += 90_000;
    driver.line("SET other v");
    driver.keyspace.suspect(1);
    driver.keyspace.suspect_all();
    driver.keyspace.suspect(1);
    while driver.keyspace.is_suspecting() {
        driver.keyspace.find_suspects();
    }
    for name in ["hash", "text", "other"] {
        assert_eq!(driver.doubt(name), Doubt::Probe, "{name}");
    }
    // How much room they have follows from what happened to the process, not from the history.
    for name in ["grown", "stream"] {
        assert_eq!(driver.doubt(name), Doubt::Size, "{name}");
    }
}

/// Whether there is room for an expiry that is gone, or how a name was made, is the process's own.
#[test]
fn after_a_reload_bytes_are_asked_for_where_they_may_differ() {
    let cases = [
        (Version::new(9, 1), "k", Doubt::Probe),
        (Version::new(9, 1), "k-of-13-bytes", Doubt::Size),
        (Version::new(8, 0), "k", Doubt::Probe),
        (
            Version::new(8, 0),
            "k-with-29-bytes-in-all-of-it-",
            Doubt::Size,
        ),
    ];
    for (version, name, doubt) in cases {
        let mut driver = Driver::on(Profile::defaults(Family::Valkey, version));
        driver.line(&format!("RPUSH {name} a"));
        driver.keyspace.suspect_all();
        while driver.keyspace.is_suspecting() {
            driver.keyspace.find_suspects();
        }
        assert_eq!(driver.doubt(name), doubt, "{version:?} {name}");
    }
}

#[test]
fn a_command_that_does_not_parse_leaves_a_doubt() {
    let mut driver = Driver::new();
    driver.line("XADD s 1-1 a b");
    assert_eq!(driver.line("XDEL s x"), Outcome::Malformed);
    assert_eq!(driver.doubt("s"), Doubt::Value);
    assert_eq!(driver.line("CLUSTER FLUSHSLOT x"), Outcome::Malformed);
    assert_eq!(driver.names(0), [b"s"]);
}

#[test]
fn a_group_may_begin_at_either_end() {
    let mut driver = Driver::new();
    for line in [
        "XGROUP CREATE s a - MKSTREAM",
        "XGROUP CREATE s b +",
        "XGROUP SETID s b -",
    ] {
        assert_eq!(driver.line(line), Outcome::Applied, "{line}");
    }
}

#[test]
fn a_copy_of_fields_that_expire_is_read_again_on_valkey() {
    for (family, major, doubt) in [
        (Family::Redis, 8, Doubt::None),
        (Family::Valkey, 9, Doubt::Value),
    ] {
        let mut driver = Driver::on(Profile::defaults(family, Version::new(major, 0)));
        driver.line("HSET h a 1 b 2");
        driver.line("HPEXPIREAT h 9000000000000 FIELDS 1 a");
        driver.line("COPY h copy");
        assert_eq!(driver.doubt("copy"), doubt, "{family:?}");
    }
}

#[test]
fn what_turns_out_to_be_no_history_is_read_again() {
    let mut driver = Driver::new();
    driver.keyspace.begin_load(driver.now_ms);
    driver.load_str(0, b"deleted", 3, None);
    driver.load_str(0, b"kept", 3, None);
    driver.keyspace.commit_load(driver.offset);
    driver.line("RPUSH list a b");
    let parted = driver.offset;
    for line in ["DEL deleted", "RPUSH list c", "SET new v", "INCR counter"] {
        driver.line(line);
    }
    assert_eq!(driver.keyspace.undoable_from(), 0);
    assert_eq!(driver.keyspace.go_back(parted), 4);
    assert_eq!(driver.keyspace.applied(), parted);
    for name in ["deleted", "list", "new", "counter"] {
        assert_eq!(driver.doubt(name), Doubt::Value, "{name}");
    }
    assert_eq!(driver.doubt("kept"), Doubt::Probe);
    while driver.want(Need::Value).is_some() {}
    for name in ["new", "counter"] {
        let missing = driver
            .keyspace
            .settle_value(0, name.as_bytes(), parted, None);
        assert_eq!(missing, Settled::Taken);
    }
    assert_eq!(driver.read("deleted", parted, 3), Settled::Taken);
    let facts = driver.keyspace.facts(0, b"deleted").expect("there again");
    assert_eq!((facts.kind, facts.doubt), (Kind::String, Doubt::Size));
    // Once is enough: what was read is history.
    assert_eq!(driver.keyspace.go_back(parted), 0);
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn a_flush_cannot_be_undone() {
    let mut driver = Driver::new();
    driver.line("SET a 1");
    driver.line("FLUSHALL");
    driver.line("SET b 1");
    assert_eq!(driver.keyspace.undoable_from(), 20);
    driver.line("FCALL f 0");
    assert_eq!(driver.keyspace.undoable_from(), 40);
}
