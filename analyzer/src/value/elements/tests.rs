use std::collections::BTreeMap;

use super::*;
use crate::text::{Text, digest};

const SEED: u64 = 42;

fn of(n: u64) -> u64 {
    digest(&n.to_le_bytes(), SEED)
}

/// A small generator, so that a failure repeats.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn random_operations_match_a_map() {
    for (round, range) in [(1u64, 20), (2, 120), (3, 2_000), (4, 40_000), (5, 300_000)] {
        let mut state = round;
        let mut elements = Elements::<ScoredRecord>::new();
        let mut naive: BTreeMap<u64, (u64, f64)> = BTreeMap::new();
        let operations = range * 6;
        for step in 0..operations {
            let n = next(&mut state) % range;
            // Grows in the first half, shrinks in the second.
            let grow = next(&mut state) % 10 < if step * 2 < operations { 7 } else { 2 };
            let found = elements.find(of(n));
            assert_eq!(found.is_some(), naive.contains_key(&n), "{range} {step}");
            if grow {
                let (len, score) = (next(&mut state) % 300, next(&mut state) as f64);
                let scored = Scored {
                    text: crate::value::info::Info::text(len),
                    score,
                };
                match found {
                    Some(at) => elements.replace(at, scored.pack().as_bytes()),
                    None => elements.add(of(n), &scored.pack()),
                }
                naive.insert(n, (len, score));
            } else if let Some(at) = found {
                elements.remove(at);
                naive.remove(&n);
            }
            assert_eq!(elements.len(), naive.len());
        }
        check(&elements, &naive);
    }
}

/// Elements that were announced, rightly or not, are the same as those that were not.
#[test]
fn announced_elements_are_found_and_the_buffer_comes_back() {
    let mut run = Vec::new();
    for count in [1, 96, 97, 1_000, 40_000] {
        for announced in [0, 1, count, 10 * count, u64::MAX] {
            let mut elements = Elements::<ScoredRecord>::new();
            elements.expect(announced, &mut run);
            let mut naive = BTreeMap::new();
            for n in 0..count {
                let text = crate::value::info::Info::text(n % 300);
                let score = n as f64 / 3.0;
                elements.add(of(n), &Scored { text, score }.pack());
                naive.insert(n, (n % 300, score));
            }
            elements.give_back(Stay::Here, &mut run);
            assert!(run.is_empty());
            check(&elements, &naive);
            for n in 0..count / 2 {
                elements.remove(elements.find(of(n)).expect("it was added"));
                naive.remove(&n);
            }
            check(&elements, &naive);
            if count == announced && count < 97 {
                assert!(run.capacity() >= LENT_RUN);
                assert!(elements.heap_bytes() < LENT_RUN);
            }
        }
    }
}

#[track_caller]
fn check(elements: &Elements<ScoredRecord>, naive: &BTreeMap<u64, (u64, f64)>) {
    for (&n, &(len, score)) in naive {
        let at = elements.find(of(n)).expect("every element is found");
        let scored = Scored::unpack(elements.payload(at));
        assert_eq!((scored.text.len, scored.score), (len, score));
    }
    let mut seen = 0;
    elements.each(|digest, payload| {
        seen += 1;
        let at = elements.find(digest).expect("a digest finds itself");
        assert_eq!(elements.payload(at), payload);
    });
    assert_eq!(seen, naive.len());
    let mut left = naive.len();
    assert!(elements.all(|_| {
        left -= 1;
        true
    }));
    assert_eq!(left, 0);
    if let Body::Large(pages) = &elements.body {
        pages.check();
    }
}

#[test]
fn payloads_round_trip() {
    let long = "x".repeat(70_000);
    for value in ["", "1", "-5", "12345678901", "text", &long] {
        for expire_ms in [None, Some(0), Some(1_800_000_000_000), Some((1 << 46) - 1)] {
            let mut field = Field::of(&Text::Bytes(b"name"), &Text::Bytes(value.as_bytes()));
            field.expire_ms = expire_ms;
            let packed = field.pack();
            assert_eq!(
                FieldRecord::width(packed.as_bytes()),
                packed.as_bytes().len()
            );
            assert_eq!(Field::unpack(packed.as_bytes()), field);
        }
    }
    let scores = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        0.1,
        1e300,
        f64::INFINITY,
        f64::NEG_INFINITY,
        9_007_199_254_740_993.0,
        1_700_000_000_000.0,
        f64::MIN_POSITIVE,
    ];
    for score in scores {
        let scored = Scored {
            text: crate::value::info::Info::text(9),
            score,
        };
        let packed = scored.pack();
        assert_eq!(
            ScoredRecord::width(packed.as_bytes()),
            packed.as_bytes().len()
        );
        let back = Scored::unpack(packed.as_bytes());
        assert_eq!(back.score.to_bits(), score.to_bits());
    }
}
