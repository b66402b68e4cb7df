use super::*;
use crate::profile::Version;
use crate::text::Text;

const SEED: u64 = 3;

fn set(hash: &mut Hash, name: &str, value: &str, profile: &Profile) {
    let (name, value) = (Text::Bytes(name.as_bytes()), Text::Bytes(value.as_bytes()));
    let field = Field::of(&name, &value);
    hash.set(name.digest(SEED), field, Expiry::Clear, profile);
}

fn profile(family: Family, major: u16, minor: u16) -> Profile {
    Profile::defaults(family, Version::new(major, minor))
}

#[test]
fn encodings_follow_the_thresholds() {
    for (family, major, minor) in [
        (Family::Redis, 7, 0),
        (Family::Redis, 8, 0),
        (Family::Valkey, 9, 1),
    ] {
        let profile = profile(family, major, minor);
        let mut hash = Hash::new();
        for i in 0..512 {
            set(&mut hash, &format!("f{i}"), "v", &profile);
        }
        assert_eq!(hash.encoding(), Encoding::Listpack);
        set(&mut hash, "f1", "w", &profile);
        assert_eq!(hash.encoding(), Encoding::Listpack);
        set(&mut hash, "more", "w", &profile);
        assert_eq!(hash.encoding(), Encoding::Hashtable);
        let mut hash = Hash::new();
        set(&mut hash, "f", &"x".repeat(64), &profile);
        assert_eq!(hash.encoding(), Encoding::Listpack);
        set(&mut hash, "f", &"x".repeat(65), &profile);
        assert_eq!(hash.encoding(), Encoding::Hashtable);
        assert_eq!(hash.count(), 1);
    }
}

#[test]
fn listpack_sums_follow_every_change() {
    let profile = profile(Family::Redis, 8, 0);
    let mut hash = Hash::new();
    set(&mut hash, "name", "value", &profile);
    set(&mut hash, "n", "12", &profile);
    let before = hash.memory(&profile);
    set(&mut hash, "n", "1234567890123", &profile);
    set(&mut hash, "n", "12", &profile);
    assert_eq!(hash.memory(&profile), before);
    // 7 + (1+4+1) + (1+5+1) + (1+1+1) + 2 = 25 bytes.
    assert_eq!(before, 16 + 32);
    hash.prepare_expiry(&profile);
    let digest = Text::Bytes(b"n").digest(SEED);
    assert!(hash.expire(digest, Some(1_900_000_000_000), &profile));
    assert_eq!(hash.encoding(), Encoding::ListpackEx);
    assert_eq!(hash.expiring(), 1);
    // 2 and 10 bytes more, and the structure.
    assert_eq!(hash.memory(&profile), 16 + 32 + 48);
    let mut packed = Vec::new();
    assert!(hash.pack(&mut packed));
    let mut back = Hash::unpack(hash.encoding(), &packed).expect("packed above");
    assert_eq!(back.memory(&profile), hash.memory(&profile));
    assert!(back.remove(digest, &profile));
    assert_eq!((back.expiring(), back.count()), (0, 1));
}
