//! Whatever happens, each key is counted where its name leads, and all sums are those of the keys.

use std::collections::BTreeMap;

use super::*;
use crate::store::record::Form;

fn weight(bytes: u64, expires: bool) -> Weight {
    Weight {
        form: if bytes.is_multiple_of(3) {
            Form::RAW
        } else {
            Form::EMBSTR
        },
        expire_ms: expires.then_some(1_700_000_000_000),
        ..Weight::of_raw(bytes)
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn word(&mut self, kinds: u64) -> String {
        let n = self.roll(kinds);
        let letters =
            (0..3).map(|at| char::from(b'g' + u8::try_from((n >> (4 * at)) % 16).unwrap_or(0)));
        letters.collect()
    }

    /// A token of some kind; few of each, so that keys are met again.
    fn token(&mut self) -> String {
        match self.roll(9) {
            0 | 1 => self.word(4),
            2 => self.word(4000),
            3 => self.roll(50).to_string(),
            4 => format!("{}{}", self.word(6), self.roll(2000)),
            5 => format!("{}{}", self.word(300), self.roll(20)),
            6 => format!("{:08x}", self.roll(90) * 0x0123_4567),
            7 => String::new(),
            _ => format!("2024-05-{:02}", 1 + self.roll(30)),
        }
    }

    fn name(&mut self) -> Vec<u8> {
        const SEPARATORS: &[u8] = b"::::--__./{}";
        if self.roll(40) == 0 {
            return vec![0xff, u8::try_from(self.roll(256)).unwrap_or(0)];
        }
        let mut name = self.token().into_bytes();
        for _ in 0..self.roll(6) {
            let at = usize::try_from(self.roll(SEPARATORS.len() as u64)).unwrap_or(0);
            name.push(SEPARATORS[at]);
            name.extend(self.token().into_bytes());
        }
        name
    }
}

type Keys = BTreeMap<Vec<u8>, Weight>;

/// Counts all keys anew by the same tree.
fn recounted(patterns: &Patterns, keys: &Keys) -> Patterns {
    let mut naive = patterns.alike();
    for (name, weight) in keys {
        naive.turn(name, None, Some(weight));
    }
    naive
}

fn assert_sums(patterns: &Patterns, keys: &Keys) {
    let rows = patterns.rows();
    let bytes: u64 = keys.values().map(|weight| weight.bytes).sum();
    let names: u64 = keys.keys().map(|name| name.len() as u64).sum();
    assert_eq!(
        rows.iter().map(|row| row.keys).sum::<u64>(),
        keys.len() as u64
    );
    assert_eq!(rows.iter().map(|row| row.bytes).sum::<u64>(), bytes);
    assert_eq!(rows.iter().map(|row| row.name_bytes).sum::<u64>(), names);
    let forms = rows.iter().flat_map(|row| &row.forms);
    assert_eq!(forms.map(|(_, _, _, bytes)| bytes).sum::<u64>(), bytes);
}

/// Random writes and deletes; what was counted must be what a recount finds, after each few.
fn churn(patterns: &mut Patterns, dice: &mut Dice, (writes, every): (u64, u64)) -> Keys {
    let mut keys = Keys::new();
    for round in 0..writes {
        let name = dice.name();
        let old = keys.get(&name).copied();
        let new = (dice.roll(3) > 0).then(|| weight(40 + dice.roll(90), dice.roll(2) == 0));
        patterns.turn(&name, old.as_ref(), new.as_ref());
        match new {
            Some(new) => keys.insert(name, new),
            None => keys.remove(&name),
        };
        if round % every == 0 {
            assert_eq!(*patterns, recounted(patterns, &keys), "round {round}");
            assert_sums(patterns, &keys);
        }
    }
    assert_eq!(*patterns, recounted(patterns, &keys));
    assert_sums(patterns, &keys);
    keys
}

#[test]
fn keys_are_counted_where_their_names_lead() {
    for seed in 0..6 {
        let mut patterns = Patterns::new(seed, 10_000);
        churn(&mut patterns, &mut Dice(seed), (6_000, 211));
        assert!(patterns.tree.patterns() <= 10_000);
    }
}

#[test]
fn the_cap_holds_and_sums_are_exact_beyond_it() {
    let caps = [1, 2, 3, 4, 5, 16, 64, 200, 1000];
    for (seed, max) in (1..).zip(caps) {
        let mut patterns = Patterns::new(seed, max);
        churn(&mut patterns, &mut Dice(seed), (8_000, 307));
        assert!(patterns.tree.patterns() <= max);
        assert!(patterns.rows().len() <= max + 1);
    }
}

#[test]
fn what_was_learned_counts_as_exactly() {
    for (seed, max) in (1..).zip([10_000, 300, 20, 5, 4, 3, 2, 1]) {
        let mut dice = Dice(seed + 100);
        let mut patterns = Patterns::new(seed, max);
        for _ in 0..5_000 {
            patterns.learn(&dice.name());
        }
        patterns.end_learning();
        churn(&mut patterns, &mut Dice(seed), (6_000, 307));
        assert!(patterns.tree.patterns() <= max);
    }
}

/// A queue's jobs: each pattern has had its keys when the next one comes.
#[test]
fn what_happened_to_patterns_without_keys_is_told() {
    let mut patterns = Patterns::new(1, 8);
    let mut deleted = 0;
    for n in 0..100 {
        let name = format!("{}:{}", spelled(n), spelled(n * 7)).into_bytes();
        for (before, after) in [
            (None, Some(weight(60, false))),
            (Some(weight(60, false)), None),
        ] {
            let pattern = patterns.turn(&name, before.as_ref(), after.as_ref());
            patterns.turned_mut(pattern).flow.deleted += u64::from(after.is_none());
        }
        if n % 30 == 29 {
            let flows = patterns.take_flows().into_iter();
            deleted += flows.map(|(_, flow)| flow.deleted).sum::<u64>();
            assert_eq!(deleted, n + 1);
        }
    }
}

fn names(patterns: &Patterns) -> Vec<(String, u64)> {
    let rows = patterns.rows().into_iter();
    let mut names: Vec<_> = rows
        .map(|row| (row.name.glob.escape_ascii().to_string(), row.keys))
        .collect();
    names.sort();
    names
}

/// Counts names that are formatted from numbers.
fn counted(forms: &[(u64, &dyn Fn(u64) -> String)]) -> Vec<(String, u64)> {
    let mut patterns = Patterns::new(1, 1000);
    for (times, form) in forms {
        for n in 0..*times {
            patterns.turn(form(n).as_bytes(), None, Some(&weight(50, false)));
        }
    }
    names(&patterns)
}

fn spelled(mut n: u64) -> String {
    let mut word = String::new();
    for _ in 0..4 {
        word.push(char::from(b'g' + u8::try_from(n % 16).unwrap_or(0)));
        n /= 16;
    }
    word
}

#[test]
fn ids_are_stars_and_words_are_not_until_they_are_many() {
    let pair = |name: &str, keys| (name.to_owned(), keys);
    let found = counted(&[
        (100, &|n| format!("user:{n}:cart")),
        (100, &|n| format!("user:{n}")),
        (5, &|n| format!("user{n}")),
        (100, &|n| format!("node{n}:x")),
        (100, &|n| format!("by:{}:x", spelled(n))),
        (20, &|n| format!("few:{}", spelled(n % 3))),
        (1, &|_| "a*b[c".to_owned()),
        (90, &|n| format!("v2:{}", n % 3 + 1000)),
        (1, &|_| "v1234".to_owned()),
        (1, &|_| "v7:x".to_owned()),
    ]);
    let expected = [
        pair("a\\\\*b\\\\[c", 1),
        pair("by:*:x", 100),
        pair("few:gggg", 7),
        pair("few:hggg", 7),
        pair("few:iggg", 6),
        pair("node*:x", 100),
        pair("user0", 1),
        pair("user1", 1),
        pair("user2", 1),
        pair("user3", 1),
        pair("user4", 1),
        pair("user:*", 100),
        pair("user:*:cart", 100),
        pair("v*", 1),
        pair("v*:x", 1),
        pair("v2:*", 90),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    // A keyspace would have three keys of `few`; here each turn is one.
    assert_eq!(found, expected);
}

#[test]
fn slugs_are_one_star() {
    let slug = |n: u64| {
        let words: Vec<String> = (0..=n % 5).map(|at| spelled(n * 7 + at * 31)).collect();
        format!("post:{}:views", words.join("-"))
    };
    let found = counted(&[(3000, &slug)]);
    assert_eq!(found, [("post:*:views".to_owned(), 3000)]);
}

#[test]
fn bad_names_have_patterns() {
    let mut patterns = Patterns::new(1, 100);
    let long = vec![b'x'; 1 << 20];
    let names: [&[u8]; 8] = [b"", b":", b":::", b"\xff", b"a:\x00", &long, b"{}", b"*"];
    for name in names {
        patterns.turn(name, None, Some(&weight(60, false)));
        assert!(patterns.name_for(name).is_some());
    }
    let one = patterns.name_for(b"\xff");
    assert_eq!(
        one,
        patterns.name_for(&long),
        "what is no text has one pattern"
    );
    assert_eq!(patterns.rows().len(), 7);
    for name in names {
        patterns.turn(name, Some(&weight(60, false)), None);
    }
    assert!(patterns.rows().is_empty());
}

#[test]
fn names_are_rolled_up() {
    let mut patterns = Patterns::new(1, 100);
    for name in ["user:1:cart:x", "user1:2", "a", "{t}.x"] {
        patterns.turn(name.as_bytes(), None, Some(&weight(60, false)));
    }
    let check = |name: &str, depth, expected: &str| {
        let rolled = patterns
            .name_for(name.as_bytes())
            .expect("counted")
            .rolled_up(depth);
        assert_eq!(rolled.glob.escape_ascii().to_string(), expected);
    };
    check("user:1:cart:x", 1, "user:*");
    check("user:1:cart:x", 2, "user:*:*");
    check("user:1:cart:x", 3, "user:*:cart:*");
    check("user:1:cart:x", 4, "user:*:cart:x");
    check("user1:2", 1, "user1:*");
    check("a", 1, "a");
    let name = patterns.name_for(b"user:1:cart:x").expect("counted");
    let tokens: Vec<String> = name
        .tokens()
        .map(|token| token.escape_ascii().to_string())
        .collect();
    assert_eq!(tokens, ["user", ":*", ":cart", ":x"]);
}

#[test]
fn the_largest_key_is_a_bound_that_says_so() {
    let mut patterns = Patterns::new(1, 100);
    let (small, large) = (weight(60, false), weight(900, false));
    patterns.turn(b"k:1", None, Some(&small));
    patterns.turn(b"k:2", None, Some(&large));
    let row = |patterns: &Patterns| {
        let row = &patterns.rows()[0];
        (row.largest, row.largest_is_met, row.example.clone())
    };
    assert_eq!(row(&patterns), (900, true, Some(b"k:1".to_vec())));
    patterns.turn(b"k:2", Some(&large), Some(&small));
    assert_eq!(row(&patterns), (900, false, Some(b"k:1".to_vec())));
    patterns.turn(b"k:1", Some(&small), None);
    assert_eq!(row(&patterns), (900, false, None));
    patterns.turn(b"k:2", Some(&small), Some(&large));
    assert_eq!(row(&patterns), (900, true, Some(b"k:2".to_vec())));
}
