//! Where the server has the C library's malloc a write leaves the size of a key open, where it
//! compresses lists that of a list; it is asked for once the key has come to rest.

mod kit;

use analyzer::Profile;
use analyzer::command::Doubt;
use analyzer::input::{Part, Shape};
use analyzer::keyspace::{Fact, Found, Looked, Need, Probed, Seen, Settled};
use analyzer::profile::{Family, Version};
use analyzer::value::{Encoding, Fit, Kind, Samples, Usage};
use analyzer::view::Facts;
use kit::Driver;

/// Longer than any key is left alone, milliseconds.
const LONG_MS: i64 = 60_000;

impl Driver {
    fn with_malloc(libc: bool) -> Driver {
        let mut profile = Profile::defaults(Family::Redis, Version::new(6, 2));
        profile.allocator.libc = libc;
        Driver::on(profile)
    }

    fn facts(&self, name: &str) -> Facts {
        let facts = self.keyspace.facts(self.db, name.as_bytes());
        facts.expect("the key is there")
    }

    fn doubt(&self, name: &str) -> Doubt {
        self.facts(name).doubt
    }

    fn want(&mut self, need: Need) -> Option<String> {
        let want = self.keyspace.next_want(need)?;
        Some(String::from_utf8(want.name).expect("text"))
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.keyspace.clock(self.now_ms);
    }

    /// What the server says of a key: that it weighs so many bytes more than the model has it.
    fn looked(&mut self, name: &str, more: u64) -> Looked {
        let seen = Seen {
            usage: Some(Usage {
                bytes: self.facts(name).bytes + more,
                samples: Samples::All,
            }),
            ..Seen::default()
        };
        let (db, at) = (self.db, self.offset);
        self.keyspace
            .settle_look(db, name.as_bytes(), at, Some(seen))
    }
}

/// One key of each type in a table.
const TABLES: [&str; 3] = ["SADD set a b c", "HSET hash f <long>", "ZADD zset 1 <long>"];

fn write_tables(driver: &mut Driver) {
    for line in TABLES {
        driver.line(&line.replace("<long>", &"v".repeat(80)));
    }
}

#[test]
fn a_table_that_was_written_is_in_doubt_with_the_c_library_alone() {
    for (libc, doubt) in [(true, Doubt::Size), (false, Doubt::None)] {
        let mut driver = Driver::with_malloc(libc);
        write_tables(&mut driver);
        for (name, encoding) in [
            ("set", Encoding::Hashtable),
            ("hash", Encoding::Hashtable),
            ("zset", Encoding::Skiplist),
        ] {
            let facts = driver.facts(name);
            assert_eq!((facts.encoding, facts.doubt), (encoding, doubt), "{name}");
        }
        let doubts = driver.keyspace.doubts();
        assert_eq!(doubts.size, if libc { 3 } else { 0 });
        driver.pass(LONG_MS);
        assert_eq!(driver.want(Need::Size).is_some(), libc);
        driver.keyspace.audit().expect("sums agree");
    }
}

/// One key of each type that is in no table, and a write to it that leaves its count as it is.
const OTHERS: [(&str, &str); 7] = [
    ("SET raw <long>", "SET raw <other>"),
    ("SET embstr short", "SET embstr other"),
    ("SET int 12345", "SET int 12346"),
    ("SADD ints 1 2 3", "SADD ints 4"),
    ("HSET packed f v", "HSET packed f w"),
    ("RPUSH list a b c", "LSET list 0 b"),
    ("XADD stream 1-1 f v", "XADD stream 1-2 f v"),
];

fn line_of(text: &str) -> String {
    let (long, other) = ("v".repeat(80), "w".repeat(80));
    text.replace("<long>", &long).replace("<other>", &other)
}

fn name_of(text: &str) -> &str {
    text.split(' ').nth(1).expect("a command with a key")
}

/// What malloc gave is the server's to tell, whatever the type; the next write gives other blocks.
#[test]
fn blocks_of_every_type_are_what_the_server_tells_until_they_are_written() {
    let mut driver = Driver::with_malloc(true);
    for (first, again) in OTHERS.map(|(first, again)| (line_of(first), line_of(again))) {
        driver.line(&first);
        let name = name_of(&first).to_owned();
        let formula = driver.facts(&name).bytes;
        assert_eq!(driver.doubt(&name), Doubt::Size, "{name}");
        driver.pass(LONG_MS);
        assert_eq!(driver.want(Need::Size).as_deref(), Some(&*name));
        driver.looked(&name, 16);
        let facts = driver.facts(&name);
        assert_eq!(
            (facts.bytes, facts.doubt),
            (formula + 16, Doubt::None),
            "{name}"
        );
        driver.keyspace.audit().expect("sums agree");
        // An audit finds what it was told.
        assert!(driver.keyspace.begin_look(0, name.as_bytes()));
        let Looked::Compared(compared) = driver.looked(&name, 0) else {
            panic!("{name} is compared");
        };
        assert_eq!(compared.memory, Some(Fit::Same), "{name}");
        driver.line(&again);
        assert_eq!(driver.doubt(&name), Doubt::Size, "{name}");
        let bytes = driver.facts(&name).bytes;
        assert!(bytes < formula + 16 || name == "stream", "{name}: {bytes}");
        driver.pass(LONG_MS);
        assert_eq!(driver.want(Need::Size).as_deref(), Some(&*name));
        driver.looked(&name, 0);
        assert_eq!(driver.facts(&name).bytes, bytes, "{name}");
    }
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn with_jemalloc_a_write_leaves_nothing_open() {
    let mut driver = Driver::with_malloc(false);
    for (first, again) in OTHERS {
        driver.line(&line_of(first));
        driver.line(&line_of(again));
    }
    assert_eq!(driver.keyspace.doubts().size, 0);
}

/// How well nodes can be compressed is in the values, whatever malloc is used.
#[test]
fn a_list_with_compressed_nodes_is_what_the_server_tells() {
    let mut profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    profile.list_compress = 1;
    let mut driver = Driver::on(profile);
    let push = format!("RPUSH list {}", "v".repeat(1000));
    for _ in 0..10 {
        driver.line(&push);
    }
    driver.line("SET string v");
    // Two nodes, both ends, are not compressed.
    assert_eq!(driver.keyspace.doubts().size, 0);
    for _ in 10..100 {
        driver.line(&push);
    }
    assert_eq!(driver.doubt("list"), Doubt::Size);
    assert_eq!(driver.want(Need::Size), None);
    driver.pass(LONG_MS);
    assert_eq!(driver.want(Need::Size).as_deref(), Some("list"));
    let before = driver.facts("list").bytes;
    assert!((30_000..100_000).contains(&before), "{before}");
    driver.looked("list", 12_344);
    let told = driver.facts("list");
    assert_eq!((told.bytes, told.doubt), (before + 12_344, Doubt::None));
    driver.keyspace.audit().expect("sums agree");
    // What is pushed next is taken to be compressed as well as the rest.
    driver.line(&push);
    let next = driver.facts("list").bytes;
    assert!(
        next.abs_diff(told.bytes) < 3000,
        "{next} behind {}",
        told.bytes
    );
    assert_eq!(driver.doubt("list"), Doubt::Size);
    driver.keyspace.audit().expect("sums agree");
}

/// A list whose bytes nobody foresaw is read again where its nodes explain them. Where malloc may, the
/// answer stands: the value would leave the same doubt behind, for ever.
#[test]
fn an_odd_list_is_not_read_again_and_again() {
    let mut driver = Driver::with_malloc(true);
    driver.line("RPUSH list a b c");
    driver.pass(LONG_MS);
    assert_eq!(driver.want(Need::Size).as_deref(), Some("list"));
    let bytes = driver.facts("list").bytes;
    driver.looked("list", 5000);
    let facts = driver.facts("list");
    assert_eq!((facts.bytes, facts.doubt), (bytes + 5000, Doubt::None));
}

/// What room explains may be off by half, the rest by a block or two: after a load the former is asked
/// for first.
#[test]
fn after_a_load_keys_with_room_come_first() {
    const KEYS: usize = 20_000;
    let mut driver = Driver::with_malloc(true);
    driver.keyspace.begin_load(driver.now_ms);
    for n in 0..KEYS {
        driver.load_str(0, format!("short:{n}").as_bytes(), 5, None);
        driver.load_str(0, format!("raw:{n}").as_bytes(), 500, None);
    }
    driver.keyspace.commit_load(0);
    assert_eq!(driver.keyspace.doubts().size, 2 * KEYS as u64);
    driver.pass(LONG_MS);
    let mut asked = Vec::new();
    for _ in 0..100 * KEYS {
        if driver.keyspace.doubts().size == 0 {
            break;
        }
        if let Some(name) = driver.want(Need::Size) {
            driver.looked(&name, 0);
            asked.push(name);
        }
    }
    assert_eq!(asked.len(), 2 * KEYS);
    let raw = |name: &String| name.starts_with("raw");
    assert!(asked[..KEYS].iter().all(raw));
}

#[test]
fn a_key_at_rest_is_asked_for_once_for_each_time_it_changed() {
    let mut driver = Driver::with_malloc(true);
    write_tables(&mut driver);
    assert_eq!(driver.want(Need::Size), None);
    driver.pass(LONG_MS);
    for name in ["set", "hash", "zset"] {
        let before = driver.facts(name).bytes;
        assert_eq!(driver.want(Need::Size).as_deref(), Some(name));
        let Looked::Compared(compared) = driver.looked(name, 32) else {
            panic!("{name} is compared");
        };
        assert_eq!(
            (compared.memory, compared.differences.len()),
            (Some(Fit::Chance), 0)
        );
        let facts = driver.facts(name);
        assert_eq!((facts.bytes, facts.doubt), (before + 32, Doubt::None));
    }
    driver.pass(LONG_MS);
    assert_eq!(driver.want(Need::Size), None);
    driver.line("SREM set a");
    assert_eq!(driver.doubt("set"), Doubt::Size);
    driver.pass(LONG_MS);
    assert_eq!(driver.want(Need::Size).as_deref(), Some("set"));
    assert_eq!(driver.want(Need::Size), None);
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn a_busy_key_is_left_alone_and_keeps_nobody_waiting() {
    let mut driver = Driver::with_malloc(true);
    driver.line("SADD calm a b c");
    for n in 0..100 {
        driver.line(&format!("SADD busy member-{n}"));
        driver.pass(1000);
        let wanted = driver.want(Need::Size);
        if wanted.as_deref() == Some("calm") {
            driver.looked("calm", 0);
        } else {
            assert_eq!(wanted, None);
        }
    }
    assert_eq!(driver.doubt("calm"), Doubt::None);
    // As often as it was written, two seconds are no rest yet.
    driver.pass(1000);
    assert_eq!(driver.want(Need::Size), None);
    driver.pass(LONG_MS);
    assert_eq!(driver.want(Need::Size).as_deref(), Some("busy"));
}

#[test]
fn a_key_that_is_written_while_it_is_asked_for_rests_again() {
    let mut driver = Driver::with_malloc(true);
    driver.line("SADD set a b c");
    driver.pass(LONG_MS);
    assert_eq!(driver.want(Need::Size).as_deref(), Some("set"));
    let seen = driver.offset;
    driver.line("SADD set d");
    let settled = driver
        .keyspace
        .settle_look(0, b"set", seen, Some(Seen::default()));
    assert_eq!(settled, Looked::Stale);
    assert_eq!(
        (driver.doubt("set"), driver.want(Need::Size)),
        (Doubt::Size, None)
    );
    driver.pass(LONG_MS);
    assert_eq!(driver.want(Need::Size).as_deref(), Some("set"));
}

/// A relative expiry is asked for at once, however long the size has to wait.
#[test]
fn a_smaller_doubt_does_not_wait_for_a_rest() {
    let mut driver = Driver::with_malloc(true);
    driver.line("SADD set a b c");
    driver.line("EXPIRE set 100");
    assert_eq!(driver.doubt("set"), Doubt::Probe);
    assert_eq!(driver.want(Need::Probe).as_deref(), Some("set"));
    let told = Probed {
        encoding: Some(Encoding::Hashtable),
        expire_ms: Some(Some(1_700_000_100_123)),
    };
    driver.keyspace.settle_probe(0, b"set", driver.offset, told);
    assert_eq!(driver.doubt("set"), Doubt::Size);
    driver.pass(LONG_MS);
    assert_eq!(driver.want(Need::Size).as_deref(), Some("set"));
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn a_table_that_no_look_walks_is_in_no_doubt() {
    let mut driver = Driver::with_malloc(true);
    let add = |driver: &mut Driver, count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("m{n}")).collect();
        let line = format!("SADD set {}", members.join(" "));
        driver.line(&line);
    };
    add(&mut driver, 5000);
    assert_eq!(driver.doubt("set"), Doubt::None);
    // One that was in doubt before it grew is left so: its table is still to be asked for.
    driver.line("DEL set");
    add(&mut driver, 4000);
    add(&mut driver, 5000);
    assert_eq!(driver.doubt("set"), Doubt::Size);
}

#[test]
fn more_keys_than_can_be_queued_are_all_asked_for() {
    const KEYS: usize = 20_000;
    let mut driver = Driver::with_malloc(true);
    for n in 0..KEYS {
        driver.line(&format!("SADD set:{n} a"));
    }
    assert_eq!(driver.keyspace.doubts().size, KEYS as u64);
    let mut asked = 0;
    for _ in 0..KEYS {
        driver.pass(LONG_MS);
        while let Some(name) = driver.want(Need::Size) {
            driver.looked(&name, 0);
            asked += 1;
        }
        if driver.keyspace.doubts().size == 0 {
            break;
        }
    }
    assert_eq!((asked, driver.keyspace.doubts().size), (KEYS, 0));
}

/// As many keys as are written all the time keep no other waiting: not one that has come to rest, and
/// not one that no queue has room for.
#[test]
fn keys_that_never_rest_keep_no_other_waiting() {
    const BUSY: usize = 20_000;
    let mut driver = Driver::with_malloc(true);
    let mut asked = Vec::new();
    for round in 0..10 {
        for n in 0..BUSY {
            driver.line(&format!("SET busy:{n} {round}"));
        }
        if round == 4 {
            driver.line("SET calm 1");
        }
        driver.pass(1000);
        asked.extend((0..100).filter_map(|_| driver.want(Need::Size)));
    }
    assert_eq!(asked, ["calm"]);
}

/// A loaded key was asked for, and the walk through the pages knows that no other is in doubt.
fn walked() -> Driver {
    let mut driver = Driver::with_malloc(true);
    driver.keyspace.begin_load(driver.now_ms);
    driver.load_str(0, b"loaded", 5, None);
    driver.keyspace.commit_load(0);
    driver.pass(LONG_MS);
    let asked: Vec<_> = (0..4).filter_map(|_| driver.want(Need::Size)).collect();
    assert_eq!(asked, ["loaded"]);
    driver.looked("loaded", 0);
    driver
}

/// Those that wait in a queue are in another database then.
#[test]
fn databases_that_change_places_lose_nobody() {
    let mut driver = walked();
    driver.line("SET key v");
    driver.line("SWAPDB 0 1");
    driver.pass(LONG_MS);
    let asked: Vec<_> = (0..4).filter_map(|_| driver.want(Need::Size)).collect();
    assert_eq!(asked, ["key"]);
}

/// A value that is read while its key is written may leave it in the doubt that the write raised.
#[test]
fn a_size_that_waits_behind_a_value_is_asked_for() {
    let mut driver = walked();
    for line in ["SET key 12", "APPEND key 34", "INCR key"] {
        driver.line(line);
    }
    assert_eq!(driver.want(Need::Value).as_deref(), Some("key"));
    driver.line("SET key a");
    assert_eq!(
        (driver.doubt("key"), driver.want(Need::Size)),
        (Doubt::Size, None)
    );
    let mut image = driver.keyspace.image_for(0, b"key", Shape::String);
    image.part(&Part::Str { len: 1, int: None });
    let found = Found {
        image,
        encoding: Some(Encoding::Embstr),
        expire_ms: None,
    };
    let at = driver.offset;
    let settled = driver.keyspace.settle_value(0, b"key", at, Some(found));
    assert_eq!(
        (settled, driver.doubt("key")),
        (Settled::Taken, Doubt::Size)
    );
    driver.pass(LONG_MS);
    let asked: Vec<_> = (0..4).filter_map(|_| driver.want(Need::Size)).collect();
    assert_eq!(asked, ["key"]);
}

/// On Redis 6.2 each EXPIRE is asked for, and its answer puts the key back into the queue.
#[test]
fn one_key_does_not_fill_the_queue() {
    let mut driver = Driver::with_malloc(true);
    driver.line("SET session v");
    let mut asked = Vec::new();
    for round in 0..20_000 {
        driver.line("EXPIRE session 1800");
        assert_eq!(driver.want(Need::Probe).as_deref(), Some("session"));
        let told = Probed {
            encoding: Some(Encoding::Embstr),
            expire_ms: Some(Some(driver.now_ms + 1_800_000)),
        };
        driver
            .keyspace
            .settle_probe(0, b"session", driver.offset, told);
        if round == 19_000 {
            driver.line("SET calm 1");
        }
        driver.pass(100);
        asked.extend(driver.want(Need::Size));
    }
    assert_eq!(asked, ["calm"]);
}

/// Where lists are compressed, other keys have nothing to wait for.
#[test]
fn what_a_snapshot_left_open_does_not_rest_where_lists_are_compressed() {
    let mut profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    profile.list_compress = 1;
    profile.past.grew = true;
    let mut driver = Driver::on(profile);
    driver.keyspace.begin_load(driver.now_ms);
    driver.load_str(0, b"raw", 500, None);
    driver.keyspace.commit_load(0);
    assert_eq!(driver.doubt("raw"), Doubt::Size);
    assert_eq!(driver.want(Need::Size).as_deref(), Some("raw"));
}

/// With the probes switched off, keys stay in doubt about their bytes: the audit goes round them, and
/// takes what it is told.
#[test]
fn what_writes_leave_in_doubt_is_audited() {
    let mut driver = Driver::with_malloc(true);
    driver.line("SET string v");
    let want = driver.keyspace.next_audit().expect("the key");
    assert_eq!(want.name, b"string");
    let bytes = driver.facts("string").bytes;
    driver.looked("string", 16);
    let facts = driver.facts("string");
    assert_eq!((facts.bytes, facts.doubt), (bytes + 16, Doubt::None));
}

/// A key may be asked for its bytes again and again before an audit comes by: what that would find,
/// such a look finds.
#[test]
fn a_doubt_of_the_size_hides_no_mistake_in_the_count() {
    let mut driver = Driver::with_malloc(false);
    driver.keyspace.begin_load(driver.now_ms);
    driver.keyspace.commit_load(0);
    driver.line("SADD set a b c");
    driver.keyspace.suspect_all();
    while driver.keyspace.is_suspecting() {
        driver.keyspace.find_suspects();
    }
    driver.pass(LONG_MS);
    assert_eq!(driver.want(Need::Size).as_deref(), Some("set"));
    let seen = Seen {
        kind: Some(Kind::Set),
        count: Some(4),
        ..Seen::default()
    };
    let looked = driver.keyspace.settle_look(0, b"set", 10, Some(seen));
    let Looked::Compared(compared) = looked else {
        panic!("it is compared");
    };
    let facts: Vec<Fact> = compared.differences.iter().map(|one| one.fact).collect();
    assert_eq!(facts, [Fact::Count]);
    assert_eq!(driver.doubt("set"), Doubt::Value);
}

/// How long a dict that has just doubled stands beside the old one is a matter of chance: in between
/// it is asked for, at rest, and never otherwise.
#[test]
fn a_dict_on_the_move_is_asked_for() {
    let redis = Profile::defaults(Family::Redis, Version::new(7, 0));
    let valkey = Profile::defaults(Family::Valkey, Version::new(9, 1));
    for (profile, has_dicts) in [(redis, true), (valkey, false)] {
        let mut driver = Driver::on(profile);
        let members = (0..=64).map(|n| format!("member-{n:0>60}"));
        let members: Vec<String> = members.collect();
        driver.line(&format!("SADD set {}", members.join(" ")));
        assert_eq!(
            driver.doubt("set"),
            Doubt::None,
            "it is on the move for certain"
        );
        for n in 65..108 {
            driver.line(&format!("SADD set member-{n:0>60}"));
        }
        let doubt = if has_dicts { Doubt::Size } else { Doubt::None };
        assert_eq!(driver.doubt("set"), doubt);
        // A round through all keys, and another.
        for _ in 0..2 {
            assert_eq!(driver.want(Need::Size), None, "it may be written again");
        }
        assert!(driver.keyspace.sizes_rest() || !has_dicts);
        if has_dicts {
            driver.pass(LONG_MS);
            assert!(!driver.keyspace.sizes_rest());
            assert_eq!(driver.want(Need::Size).as_deref(), Some("set"));
            let ours = driver.facts("set").bytes;
            assert!(matches!(driver.looked("set", 64 * 8), Looked::Compared(_)));
            let facts = driver.facts("set");
            assert_eq!((facts.bytes, facts.doubt), (ours + 64 * 8, Doubt::None));
        }
        for n in 108..=127 {
            driver.line(&format!("SADD set member-{n:0>60}"));
        }
        // What was a guess stays one until it is asked for.
        assert_eq!(driver.doubt("set"), doubt);
        driver.pass(LONG_MS);
        assert_eq!(driver.want(Need::Size).is_some(), has_dicts);
        driver.looked("set", 0);
        driver.line("SADD set last");
        assert_eq!(
            driver.doubt("set"),
            Doubt::None,
            "the move is over for certain"
        );
    }
}
