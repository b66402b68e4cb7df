//! Section 1 of the catalogue: what memory could be saved, mostly by another form of the same keys.

use super::facts::Facts;
use super::finding::Severity;
use super::rule::{Need, Rule, Ruling, Tuned};
use super::survey::{Point, Seen, Tally};
use crate::profile::Profile;

/// As large limits are proposed in steps of this.
const STEP: u64 = 64;

const SURVEY: &[Need] = &[Need::Survey];

pub(super) const RULES: &[Rule] = &[
    Rule::new("MEM-02", "Hash beyond listpack entries", SURVEY, hash_entries)
        .why(
            "A hash with more fields than hash-max-listpack-entries, at most four times as many, is \
             kept in a hash table though all its elements are short: as a packed blob it takes a \
             fraction of that.",
        )
        .caveat(
            "A field of a packed hash is found by reading it: HGET and HSET take time in proportion \
             to the number of fields.",
        ),
    Rule::new("MEM-03", "Hash beyond listpack value size", SURVEY, hash_value)
        .why(
            "A hash with few fields is kept in a hash table because one element is longer than \
             hash-max-listpack-value, at most four times as long.",
        )
        .caveat(
            "Alternatively move the long field into a key of its own. A write to a packed hash moves \
             what stands behind the field.",
        ),
    Rule::new("MEM-04", "Sorted set beyond listpack", SURVEY, zset)
        .why(
            "A sorted set is kept in a skiplist because it has up to four times as many members as \
             zset-max-listpack-entries, or a member up to four times as long as \
             zset-max-listpack-value.",
        )
        .caveat("ZADD and ZRANGE of a packed sorted set take time in proportion to its members."),
    Rule::new("MEM-05", "Integer set beyond intset", SURVEY, intset)
        .why(
            "A set of integers only has more members than set-max-intset-entries, at most four times \
             as many. As a sorted array each takes 2 to 8 bytes.",
        )
        .caveat(
            "SADD into an intset moves what stands behind the member; one member that is no integer \
             converts it for good.",
        ),
    Rule::new("MEM-06", "Small set in a hash table", SURVEY, set_value)
        .severity(Severity::Low)
        .why(
            "A small set is kept in a hash table because one member is longer than \
             set-max-listpack-value, at most four times as long (Redis 7.2 and later, Valkey).",
        )
        .caveat("SISMEMBER of a packed set reads it from the beginning."),
    Rule::new("MEM-08", "Converted once, never back", SURVEY, converted)
        .severity(Severity::Low)
        .why(
            "Servers never turn a table back into a packed blob, however small the collection has \
             become: these would be packed if they were written anew.",
        )
        .caveat("A key that is rewritten is briefly missing unless the commands are in MULTI."),
    Rule::content(
        "MEM-14",
        "Wasteful serializer",
        "which serializer wrote a value stands in its first bytes",
    )
    .why("Verbose formats (XML, pretty JSON, PHP, Java) take several times what msgpack or protobuf take."),
];

/// The option as that server spells it.
fn spelled(profile: &Profile, option: &str) -> String {
    if profile.ziplists() {
        return option.replace("listpack", "ziplist");
    }
    option.to_owned()
}

/// How an option comes into force for keys that are there.
fn reload(option: &str, value: u64, profile: &Profile) -> [String; 2] {
    [
        format!("CONFIG SET {} {value}", spelled(profile, option)),
        "CONFIG REWRITE; keys that are there change when they are loaded: by a restart, DEBUG \
         RELOAD, or a failover to a replica that synced after the change"
            .to_owned(),
    ]
}

/// A limit that takes all of them, in round figures.
fn round(most: u64) -> u64 {
    most.div_ceil(STEP).saturating_mul(STEP)
}

fn as_elements(seen: &Seen) -> String {
    format!(
        "{} {}, {} elements, longest {} bytes",
        seen.kind.name(),
        seen.encoding.word(),
        seen.count,
        seen.figure
    )
}

/// A finding that packs the keys of a tally by larger limits.
fn packs(
    facts: &Facts,
    tuned: &Tuned<'_>,
    (point, what): (Point, &str),
    options: &[(&str, u64)],
    tally: &Tally,
) -> Ruling {
    if facts.survey()?.tally(point).keys == 0 {
        return Ok(None);
    }
    let mut finding = tuned
        .finding(format!("{} {what}", tally.keys))
        .about(tally.keys, tally.now)
        .saves(tally.saving())
        .evidence(tally.top().map(|seen| seen.evidence(as_elements)));
    for (option, value) in options {
        let [set, rewrite] = reload(option, *value, &facts.profile);
        finding = finding.remedy(set).remedy(rewrite);
    }
    finding.remedy.dedup();
    Ok(Some(finding))
}

fn hash_entries(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::HashEntries);
    let what = "hashes have somewhat more fields than hash-max-listpack-entries";
    let options = [("hash-max-listpack-entries", round(tally.most))];
    packs(facts, tuned, (Point::HashEntries, what), &options, tally)
}

fn hash_value(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::HashValue);
    let what = "small hashes have an element longer than hash-max-listpack-value";
    let options = [("hash-max-listpack-value", round(tally.figure))];
    packs(facts, tuned, (Point::HashValue, what), &options, tally)
}

fn zset(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::Zset);
    let what = "sorted sets are somewhat beyond zset-max-listpack-entries or -value";
    let mut options = Vec::new();
    if tally.most > facts.profile.zset_entries_max {
        options.push(("zset-max-listpack-entries", round(tally.most)));
    }
    if tally.figure > facts.profile.zset_value_max {
        options.push(("zset-max-listpack-value", round(tally.figure)));
    }
    packs(facts, tuned, (Point::Zset, what), &options, tally)
}

fn intset(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::IntSet);
    let what = "sets of integers have somewhat more members than set-max-intset-entries";
    let options = [("set-max-intset-entries", round(tally.most))];
    packs(facts, tuned, (Point::IntSet, what), &options, tally)
}

fn set_value(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::SetValue);
    let what = "small sets have a member longer than set-max-listpack-value";
    let options = [("set-max-listpack-value", round(tally.figure))];
    packs(facts, tuned, (Point::SetValue, what), &options, tally)
}

fn converted(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::Converted);
    let what = "collections are in tables though a packed blob would take them";
    let finding = packs(facts, tuned, (Point::Converted, what), &[], tally)?;
    Ok(finding.map(|finding| {
        finding
            .remedy(
                "DUMP key; RESTORE key ttl payload REPLACE: a payload is encoded as a load does",
            )
            .remedy("or a restart, or a failover to a replica that has synced anew")
    }))
}
