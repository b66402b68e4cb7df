use super::*;
use crate::profile::{Family, Version};

const SEED: u64 = 7;

fn add_all<'a>(set: &mut Set, members: impl IntoIterator<Item = &'a str>, profile: &Profile) {
    for member in members {
        let text = Text::Bytes(member.as_bytes());
        set.add(text.digest(SEED), &Member::of(&text), profile);
    }
}

#[track_caller]
fn check(version: (Family, u16, u16), members: &[String], expected: Encoding) {
    let profile = Profile::defaults(version.0, Version::new(version.1, version.2));
    let mut set = Set::create(&Text::Bytes(members[0].as_bytes()), 1, &profile);
    add_all(&mut set, members.iter().map(String::as_str), &profile);
    assert_eq!(set.encoding(), expected, "{version:?}");
    let mut packed = Vec::new();
    if set.pack(&mut packed) {
        let back = Set::unpack(set.encoding(), &packed).expect("what was packed comes back");
        assert_eq!(back.count(), set.count());
        assert_eq!(back.memory(&profile), set.memory(&profile));
    }
}

#[test]
fn encodings_follow_the_thresholds() {
    let ints = |n: u32| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
    let words = |n: u32| (0..n).map(|i| format!("w{i}")).collect::<Vec<_>>();
    for old in [(Family::Redis, 6, 0), (Family::Redis, 7, 0)] {
        check(old, &ints(512), Encoding::Intset);
        check(old, &ints(513), Encoding::Hashtable);
        check(old, &words(1), Encoding::Hashtable);
    }
    for new in [(Family::Redis, 8, 0), (Family::Valkey, 9, 1)] {
        check(new, &ints(512), Encoding::Intset);
        check(new, &ints(513), Encoding::Hashtable);
        check(new, &words(128), Encoding::Listpack);
        check(new, &words(129), Encoding::Hashtable);
        check(new, &["x".repeat(64)], Encoding::Listpack);
        check(new, &["x".repeat(65)], Encoding::Hashtable);
        check(new, &[ints(127), words(1)].concat(), Encoding::Listpack);
        check(new, &[ints(128), words(1)].concat(), Encoding::Hashtable);
    }
}
