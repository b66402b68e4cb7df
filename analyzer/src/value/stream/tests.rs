//! Streams against numbers measured on real servers, and against a naive stream.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::input::{Part, Source};
use crate::profile::{Family, Version};
use crate::text::Text;
use node::join;

const SEED: u64 = 7;

fn profile(family: Family, major: u16, minor: u16) -> Profile {
    Profile::defaults(family, Version::new(major, minor))
}

fn add(stream: &mut Stream, id: u128, pairs: &[&str], profile: &Profile) {
    let texts: Vec<Text<'_>> = pairs
        .iter()
        .map(|text| Text::Bytes(text.as_bytes()))
        .collect();
    assert!(stream.append(id, &texts, SEED, profile));
}

fn nth(i: u64) -> u128 {
    join(1000 + i * 3, 0)
}

fn digest(name: &str) -> u64 {
    Text::Bytes(name.as_bytes()).digest(SEED)
}

fn claim(consumer: &str, last: u128) -> Claim {
    Claim {
        consumer: digest(consumer),
        consumer_len: consumer.len() as u64,
        min_idle_ms: 0,
        delivered_ms: 5,
        count: Some(1),
        force: true,
        just_id: true,
        last,
        now_ms: 9,
    }
}

/// A script that the servers were given too.
fn script(name: &str, profile: &Profile) -> Stream {
    let mut stream = Stream::new(profile);
    if name == "one" {
        add(&mut stream, join(1, 1), &["a", "1"], profile);
        return stream;
    }
    let entries = if name == "emptied" { 3 } else { 250 };
    for i in 0..entries {
        let value = format!("v{i}");
        let pairs = ["sensor", &value, "value", "xxxxxxxxxxxxxxxxxxxx"];
        add(&mut stream, nth(i), &pairs, profile);
    }
    let trim = |bound| Trim {
        bound,
        nodes_only: false,
        limit: 0,
    };
    match name {
        "other_fields" => {
            add(&mut stream, join(9000, 0), &["sensor", "1"], profile);
            add(
                &mut stream,
                join(9000, 1),
                &["else", "1", "value", "2"],
                profile,
            );
        }
        "trimmed" => {
            stream.trim(&trim(Bound::Length(130)), profile);
        }
        "by_id" => {
            stream.trim(&trim(Bound::Id(join(1100, 0))), profile);
        }
        "deleted" => assert!((0..105).all(|i| stream.delete(nth(i), profile))),
        "emptied" => assert!((0..3).all(|i| stream.delete(nth(i), profile))),
        "group" | "acked" => {
            stream.create_group(digest("g"), 0, None, profile);
            for i in 0..60 {
                let consumer = if i % 2 == 1 { "alice" } else { "bob" };
                let claim = claim(consumer, nth(i));
                assert!(stream.claim(digest("g"), [nth(i)].into_iter(), &claim, profile));
            }
            for i in 5..60 {
                if name == "acked" {
                    stream.acknowledge(digest("g"), nth(i), profile);
                }
            }
        }
        _ => {}
    }
    stream
}

#[test]
fn memory_equals_that_of_real_servers() {
    let rows = [
        ("one", 1, [548, 4696, 4696, 4272]),
        ("many", 250, [11_117, 13_872, 13_872, 12_112]),
        ("other_fields", 252, [11_168, 13_872, 13_872, 12_112]),
        ("trimmed", 130, [7036, 9784, 9784, 8480]),
        ("by_id", 216, [11_117, 13_872, 13_872, 12_112]),
        ("deleted", 145, [7036, 9784, 9784, 8480]),
        ("emptied", 0, [260, 340, 340, 160]),
        ("group", 250, [76_053, 78_816, 78_832, 20_912]),
        ("acked", 250, [17_829, 20_592, 20_608, 13_144]),
    ];
    let servers = [
        profile(Family::Redis, 6, 0),
        profile(Family::Redis, 7, 0),
        profile(Family::Redis, 8, 0),
        profile(Family::Valkey, 9, 1),
    ];
    for (name, length, expected) in rows {
        for (server, memory) in servers.iter().zip(expected) {
            // 6.0 has no MINID.
            if name == "by_id" && server.ziplists() {
                continue;
            }
            let stream = script(name, server);
            assert_eq!(stream.count(), length, "{name}");
            assert_eq!(
                stream.memory(server),
                memory,
                "{name} on {:?}",
                server.version
            );
        }
    }
}

#[test]
fn numbers_are_those_of_xinfo() {
    let server = profile(Family::Redis, 8, 0);
    let stream = script("acked", &server);
    assert_eq!((stream.radix_keys(), stream.radix_nodes()), (3, 8));
    assert_eq!(stream.first_id(), (1000, 0));
    assert_eq!(stream.last_id(), (1747, 0));
    assert_eq!(stream.last_live_id(), Some((1747, 0)));
    assert_eq!(stream.entries_added(), 250);
    let groups: Vec<GroupFacts> = stream.groups().collect();
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].consumers, groups[0].pending), (2, 5));
    assert_eq!(groups[0].last, (1000 + 59 * 3, 0));
    let mut pending: Vec<u64> = stream.consumers(digest("g")).map(|c| c.pending).collect();
    pending.sort_unstable();
    assert_eq!(pending, [2, 3]);

    let stream = script("deleted", &server);
    assert_eq!(stream.first_id(), (1000 + 105 * 3, 0));
    assert_eq!(stream.max_deleted_id(), (1000 + 104 * 3, 0));
}

#[test]
fn a_million_entries_take_a_few_bytes_each() {
    let server = profile(Family::Redis, 8, 0);
    let mut stream = Stream::new(&server);
    for i in 0..200_000 {
        add(
            &mut stream,
            join(1_700_000_000_000 + i * 7, 0),
            &["a", "1"],
            &server,
        );
    }
    let each = stream.heap_bytes() / 200_000;
    assert!(each < 4, "{each} bytes per entry");
}

#[test]
fn an_entry_of_the_group_goes_with_its_claim_once_it_is_deleted() {
    let server = profile(Family::Redis, 8, 0);
    let mut stream = script("group", &server);
    assert!(stream.delete(nth(0), &server));
    let pending = |stream: &Stream| stream.groups().map(|g| g.pending).sum::<u64>();
    assert_eq!(pending(&stream), 60);
    let claim = claim("alice", 0);
    assert!(stream.claim(digest("g"), [nth(0), nth(1)].into_iter(), &claim, &server));
    assert_eq!(pending(&stream), 59);
    stream.remove_consumer(digest("g"), digest("alice"), &server);
    assert_eq!(pending(&stream), 29);
    stream.destroy_group(digest("g"));
    assert_eq!(stream.groups().count(), 0);
    assert!(!stream.claim(digest("g"), [nth(1)].into_iter(), &claim, &server));
}

#[test]
fn a_loaded_stream_goes_on_where_the_live_one_was() {
    let server = profile(Family::Valkey, 9, 1);
    let live = script("acked", &server);
    let mut builder = Builder::new(Source::Image, &server, SEED);
    let mut part = |part: Part<'_>| builder.part(&part).expect("a part of a stream");
    for node in &live.nodes.nodes {
        part(Part::StreamNode {
            id: split(node.id),
            bytes: node.bytes,
        });
        part(Part::Element(Text::Bytes(b"sensor")));
        part(Part::Element(Text::Bytes(b"value")));
        for entry in node.entries() {
            part(Part::StreamEntry {
                id: split(entry.id),
                deleted: entry.deleted,
            });
        }
    }
    part(Part::StreamMeta {
        length: live.length,
        last: live.last_id(),
        first: (0, 0),
        max_deleted: live.max_deleted_id(),
        entries_added: live.entries_added,
    });
    part(Part::Group {
        name: b"g",
        last: split(live.groups[0].last),
        entries_read: None,
    });
    for i in 0..5 {
        part(Part::Pending {
            id: split(nth(i)),
            delivered_ms: 5,
            count: 1,
        });
    }
    for (name, first) in [("alice", 1), ("bob", 0)] {
        part(Part::Consumer {
            name: name.as_bytes(),
            seen_ms: 9,
            active_ms: Some(9),
        });
        for i in (first..5).step_by(2) {
            part(Part::ConsumerPending(split(nth(i))));
        }
    }
    let (mut loaded, mut live) = (builder.finish().expect("a stream"), live);
    assert_eq!(loaded.memory(&server), live.memory(&server));
    assert_eq!(loaded.first_id(), live.first_id());
    for stream in [&mut loaded, &mut live] {
        add(
            stream,
            join(9000, 0),
            &["sensor", "1", "value", "2"],
            &server,
        );
        add(stream, join(9000, 1), &["sensor", "1"], &server);
        assert!(stream.delete(nth(249), &server));
        stream.acknowledge(digest("g"), nth(3), &server);
    }
    assert_eq!(loaded.memory(&server), live.memory(&server));
}

/// What a stream and its one group hold, by definition.
struct Naive {
    ids: BTreeSet<u128>,
    pending: BTreeMap<u128, u64>,
    last: u128,
    dice: u64,
}

impl Naive {
    fn roll(&mut self, below: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % below
    }

    fn step(&mut self, stream: &mut Stream, server: &Profile) {
        let at = usize::try_from(self.roll(64)).unwrap();
        let some = self.ids.iter().nth(at % self.ids.len().max(1)).copied();
        match (self.roll(20), some) {
            (0..10, _) | (_, None) => {
                let shift = if self.roll(2) == 0 { 64 } else { 0 };
                self.last += u128::from(1 + self.roll(3)) << shift;
                add(stream, self.last, &["f", "v"], server);
                self.ids.insert(self.last);
            }
            (10..14, Some(id)) => {
                assert!(stream.delete(id, server));
                assert!(!stream.delete(id, server));
                self.ids.remove(&id);
            }
            (14..16, Some(id)) => self.trim(id, stream, server),
            (16..19, Some(id)) => {
                let name = ["a", "b", "c"][at % 3];
                stream.claim(digest("g"), [id].into_iter(), &claim(name, id), server);
                self.pending.insert(id, digest(name));
            }
            (_, Some(_)) => {
                if let Some((id, _)) = self.pending.pop_first() {
                    stream.acknowledge(digest("g"), id, server);
                }
            }
        }
    }

    fn trim(&mut self, id: u128, stream: &mut Stream, server: &Profile) {
        let before = self.ids.len();
        let bound = if self.roll(2) == 0 {
            self.ids = self.ids.split_off(&id);
            Bound::Id(id)
        } else {
            let kept = self.roll(60);
            while self.ids.len() as u64 > kept {
                self.ids.pop_first();
            }
            Bound::Length(kept)
        };
        let trim = Trim {
            bound,
            nodes_only: false,
            limit: 0,
        };
        let gone = (before - self.ids.len()) as u64;
        assert_eq!(stream.trim(&trim, server), gone);
    }

    fn check(&self, stream: &Stream) {
        assert_eq!(stream.count(), self.ids.len() as u64);
        assert_eq!(stream.first, self.ids.first().copied().unwrap_or(0));
        assert_eq!(stream.last_live_id(), self.ids.last().copied().map(split));
        let blocks: u64 = stream.nodes.nodes.iter().map(|node| node.block).sum();
        assert_eq!(stream.nodes.blocks, blocks);
        assert_eq!(stream.groups[0].pending.len(), self.pending.len());
        for consumer in stream.consumers(digest("g")) {
            let own = self.pending.values().filter(|&&name| name == consumer.name);
            assert_eq!(consumer.pending, own.count() as u64);
        }
    }
}

#[test]
fn random_changes_keep_the_ids_of_a_naive_stream() {
    let mut server = profile(Family::Valkey, 9, 1);
    server.stream_node_entries = 10;
    let mut stream = Stream::new(&server);
    stream.create_group(digest("g"), 0, None, &server);
    let mut naive = Naive {
        ids: BTreeSet::new(),
        pending: BTreeMap::new(),
        last: join(1_700_000_000_000, 0),
        dice: 99,
    };
    for _ in 0..4_000 {
        naive.step(&mut stream, &server);
        naive.check(&stream);
    }
}
