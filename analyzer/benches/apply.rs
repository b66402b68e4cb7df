//! How fast commands of the stream are applied, on a keyspace far larger than the caches.
//!
//! `cargo bench -p analyzer --bench apply [-- KEYS] [patterns=MAX]`: with `patterns` keys are counted
//! beyond the totals, too, by expiry and by so many patterns at most; 0 is none of them.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::mem::take;
use std::ops::Range;
use std::time::{Duration, Instant};

use analyzer::census::Plan;
use analyzer::input::{Command, Outcome};
use analyzer::keyspace::WARM_KEYS;
use analyzer::profile::{Family, Version};
use analyzer::view::{By, Top};
use analyzer::{Keyspace, Profile, Text};

const SEED: u64 = 0x5eed;
const VALUE: [u8; 64] = [b'v'; 64];

struct Bench {
    keyspace: Keyspace,
    offset: u64,
    /// Commands that wait: their words, and where each lies.
    bytes: Vec<u8>,
    waiting: Vec<Vec<Range<usize>>>,
    dice: u64,
    keys: u64,
}

fn main() {
    let keys = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let keys: u64 = keys.unwrap_or(5_000_000);
    let mut words =
        std::env::args().filter_map(|word| word.strip_prefix("patterns=")?.parse().ok());
    let patterns: Option<usize> = words.next();
    let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    let mut bench = Bench {
        keyspace: Keyspace::new(profile, SEED),
        offset: 0,
        bytes: Vec::new(),
        waiting: Vec::new(),
        dice: 1,
        keys,
    };
    if let Some(max) = patterns {
        let plan = Plan {
            patterns_max: max,
            ..Plan::default()
        };
        bench.keyspace = bench.keyspace.with_plan(plan);
        while !bench.keyspace.recount(1) {}
    }
    bench.time("SET of a new key", keys, Bench::set_new);
    bench.time("SET of an existing key", keys, Bench::set_existing);
    bench.time("lookup (facts)", keys, Bench::look);
    bench.time("APPEND", keys / 5, Bench::append);
    bench.time("INCR of 1000 keys", keys, Bench::incr);
    bench.time("HSET of 100k keys", keys / 5, Bench::hset);
    bench.time("DEL and SET", keys / 5, Bench::replace);
    bench.top();
}

impl Bench {
    fn time(&mut self, what: &str, times: u64, mut run: impl FnMut(&mut Bench, u64)) {
        let start = cpu();
        for n in 0..times {
            run(self, n);
        }
        self.follow();
        let seconds = (cpu() - start).as_secs_f64();
        let rate = times as f64 / seconds / 1e6;
        while !self.keyspace.tidy() {}
        let heap = self.keyspace.heap_bytes() as f64 / self.keyspace.keys() as f64;
        println!("{what}: {rate:.2} M/s, {heap:.1} B/key");
    }

    /// Keeps a command until there are as many as are looked up together.
    fn apply(&mut self, argv: &[Text<'_>]) {
        let mut command = Vec::with_capacity(argv.len());
        for word in argv {
            let Text::Bytes(word) = word else {
                unreachable!("all words are bytes");
            };
            let from = self.bytes.len();
            self.bytes.extend_from_slice(word);
            command.push(from..self.bytes.len());
        }
        self.waiting.push(command);
        if self.waiting.len() == WARM_KEYS {
            self.follow();
        }
    }

    /// Applies what waits, as whoever follows a stream does.
    fn follow(&mut self) {
        let (bytes, waiting) = (take(&mut self.bytes), take(&mut self.waiting));
        let digest = |words: &Vec<Range<usize>>| Text::Bytes(&bytes[words[1].clone()]).digest(SEED);
        self.keyspace
            .warm(waiting.iter().map(|words| (0, digest(words))));
        for words in &waiting {
            let argv: Vec<Text<'_>> = words
                .iter()
                .map(|word| Text::Bytes(&bytes[word.clone()]))
                .collect();
            self.offset += 50;
            let command = Command {
                db: 0,
                argv: &argv,
                now_ms: 1_700_000_000_000,
                end_offset: self.offset,
            };
            let outcome = self.keyspace.follow(&command, digest(words));
            assert_ne!(outcome, Outcome::Malformed);
        }
    }

    fn roll(&mut self) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.dice >> 33
    }

    fn value(&mut self) -> Text<'static> {
        let len = 8 + self.roll() % 57;
        Text::Bytes(&VALUE[..usize::try_from(len).unwrap_or(8)])
    }

    fn set_new(&mut self, n: u64) {
        let value = self.value();
        self.apply(&[Text::Bytes(b"SET"), Text::Bytes(&spell(n)), value]);
    }

    fn set_existing(&mut self, _: u64) {
        let n = self.roll() % self.keys;
        self.set_new(n);
    }

    fn look(&mut self, _: u64) {
        let n = self.roll() % self.keys;
        black_box(self.keyspace.facts(0, &spell(n)));
    }

    fn append(&mut self, _: u64) {
        let n = self.roll() % self.keys;
        self.apply(&[
            Text::Bytes(b"APPEND"),
            Text::Bytes(&spell(n)),
            Text::Bytes(b"more"),
        ]);
    }

    fn incr(&mut self, _: u64) {
        let name = format!("count:{}", self.roll() % 1000);
        self.apply(&[Text::Bytes(b"INCR"), Text::Bytes(name.as_bytes())]);
    }

    fn hset(&mut self, _: u64) {
        let name = format!("hash:{}", self.roll() % 100_000);
        let field = format!("field:{}", self.roll() % 20);
        let value = self.value();
        let (name, field) = (Text::Bytes(name.as_bytes()), Text::Bytes(field.as_bytes()));
        self.apply(&[Text::Bytes(b"HSET"), name, field, value]);
    }

    fn replace(&mut self, _: u64) {
        let n = self.roll() % self.keys;
        self.apply(&[Text::Bytes(b"DEL"), Text::Bytes(&spell(n))]);
        self.set_new(n);
    }

    fn top(&mut self) {
        for round in 0..2 {
            let start = Instant::now();
            let (mut search, mut longest) = (Top::new(By::Bytes, 20), Duration::ZERO);
            loop {
                let slice = Instant::now();
                let done = self.keyspace.top(&mut search, 4000);
                longest = longest.max(slice.elapsed());
                if done {
                    break;
                }
            }
            let total = start.elapsed();
            println!("top 20, round {round}: {total:?}, longest slice {longest:?}");
        }
    }
}

fn spell(n: u64) -> [u8; 20] {
    let mut name = *b"user:0000000:session";
    let mut rest = n;
    for digit in name[5..12].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    name
}

/// Time on a core: other work on the machine does not count.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}
