use super::*;

const SEED: u64 = 11;

fn of(n: u64) -> u64 {
    crate::text::digest(&n.to_le_bytes(), SEED)
}

fn filled(n: u64, profile: &Profile) -> Zset {
    let mut zset = Zset::create(1, 2, profile);
    for i in 0..n {
        zset.add(of(i), Info::text(2), (i / 2) as f64, profile);
    }
    zset
}

#[test]
fn encodings_follow_the_thresholds() {
    for (family, major, minor) in [
        (Family::Redis, 6, 0),
        (Family::Redis, 7, 0),
        (Family::Redis, 8, 0),
        (Family::Valkey, 9, 1),
    ] {
        let profile = Profile::defaults(family, Version::new(major, minor));
        assert_eq!(filled(128, &profile).encoding(), Encoding::Listpack);
        assert_eq!(filled(129, &profile).encoding(), Encoding::Skiplist);
        let mut zset = filled(3, &profile);
        zset.add(of(99), Info::text(65), 1.0, &profile);
        assert_eq!(zset.encoding(), Encoding::Skiplist);
        zset.remove(of(99), &profile);
        zset.settle(&profile);
        assert_eq!(zset.encoding(), Encoding::Listpack);
    }
}

#[test]
fn ranks_know_when_they_cut_equal_scores() {
    let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    for n in [10, 600, 5000] {
        let mut zset = filled(n, &profile);
        zset.keep_order();
        let pair = zset.extreme(false, 2);
        let mut expected = vec![zset.known(of(0)), zset.known(of(1))];
        expected.sort_unstable();
        let mut got = pair.digests.clone();
        got.sort_unstable();
        assert_eq!((got, pair.unsure), (expected, false), "{n}");
        assert!(zset.extreme(false, 3).unsure);
        assert!(!zset.extreme(true, 2).unsure);
        assert!(zset.extreme(true, 1).unsure);
        assert!(!zset.ranks(2, 4).unsure);
        assert!(zset.ranks(1, 4).unsure);
        assert!(!zset.extreme(true, n).unsure);
        let inside = zset.between(1.0, 3.0, |score| score > 1.0);
        assert_eq!(inside.len(), 4);
        zset.remove_all(&inside, &profile);
        assert_eq!(zset.count(), n - 4);
        assert_eq!(zset.extreme(false, 4).digests.len(), 4);
        assert!(!zset.extreme(false, 4).unsure);
    }
}

impl Zset {
    /// The digest bits that are kept of a member.
    fn known(&self, digest: u64) -> u64 {
        let mut known = 0;
        self.each(|bits, _| {
            if bits == digest || bits == digest & ((1 << 48) - 1) {
                known = bits;
            }
        });
        known
    }
}

#[test]
fn packed_sets_come_back() {
    let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    let zset = filled(20, &profile);
    let mut bytes = Vec::new();
    assert!(zset.pack(&mut bytes));
    let back = Zset::unpack(zset.encoding(), &bytes).expect("packed above");
    assert_eq!(back.memory(&profile), zset.memory(&profile));
    assert_eq!(back.extreme(true, 20), zset.extreme(true, 20));
}
