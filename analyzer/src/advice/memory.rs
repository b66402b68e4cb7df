//! Section 1 of the catalogue: what memory could be saved, mostly by another form of the same keys.

use super::facts::Facts;
use super::finding::{Finding, Severity};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::survey::{Point, STREAM_RAISED, Seen, Tally};
use crate::profile::Profile;

/// Limits are proposed in steps of this.
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
    Rule::new("MEM-12", "Shard a very big hash", SURVEY, huge_hash)
        .thresholds(&[Threshold::new(
            "fields",
            5_000,
            "fields from which on a hash is looked at",
        )])
        .why(
            "A hash of very many short pairs takes a table entry and two blocks for each. Spread over \
             hashes that stay packed, a pair takes little more than its text.",
        )
        .caveat(
            "HGETALL, HLEN and the expiry of the whole then concern many keys; field expiries stay as \
             they are, and such hashes are left out.",
        ),
    Rule::content(
        "MEM-13",
        "Compress values",
        "how well a value compresses depends on its bytes, and the snapshot's own compression is not kept",
    )
    .why("Long texts compressed by the client take a third to a half."),
    Rule::content(
        "MEM-14",
        "Wasteful serializer",
        "which serializer wrote a value stands in its first bytes",
    )
    .why(
        "Verbose formats (XML, pretty JSON, PHP, Java) take several times what msgpack or protobuf \
         take.",
    ),
    Rule::content(
        "MEM-15",
        "Already compressed, compressed twice",
        "whether a value is compressed stands in its first bytes",
    )
    .severity(Severity::Info)
    .why("Compressing what is compressed costs time and saves nothing."),
    Rule::content("MEM-16", "JSON held in strings", "that a value is JSON shows in its bytes")
        .severity(Severity::Info)
        .why("A document that is changed in parts is better a hash, or a document of a JSON module."),
    Rule::new("MEM-17", "List compression off", SURVEY, uncompressed)
        .severity(Severity::Low)
        .thresholds(&[Threshold::new(
            "elements",
            1_000,
            "elements beyond which a list is looked at",
        )])
        .why(
            "Nodes in the middle of a long list that is used at its ends could be kept compressed \
             (list-compress-depth).",
        )
        .caveat(
            "Which parts of a list are read is not seen here; LRANGE and LINDEX in the middle \
             decompress.",
        ),
    Rule::new("MEM-18", "List node size ill-fitted", SURVEY, loose_list)
        .severity(Severity::Low)
        .thresholds(&[Threshold::new(
            "fill_percent",
            25,
            "a list is loose if its nodes hold less than this part of 8 KiB",
        )])
        .why(
            "Lists of nearly empty nodes spend a node and a block on a few elements, by a small \
             list-max-listpack-size or after removals in the middle.",
        )
        .caveat("Nodes stay as they were cut when a snapshot is loaded: lists must be written anew."),
    Rule::new("MEM-19", "HyperLogLog or Bloom filter instead of a set", SURVEY, counted_set)
        .thresholds(&[Threshold::new(
            "members",
            10_000,
            "members beyond which a set is a candidate",
        )])
        .why(
            "A large set that is only added to and counted fits into a HyperLogLog of 12 KiB with an \
             error of 0.8%; one that is only asked for members into a Bloom filter.",
        )
        .caveat(
            "Candidates only: whether members are read is not seen here. Neither can list or remove \
             members.",
        ),
    Rule::content(
        "MEM-20",
        "HyperLogLog dense too early",
        "how many elements a dense HyperLogLog has counted stands in its registers",
    )
    .severity(Severity::Low)
    .why("A HyperLogLog of few elements takes a fraction of 12 KiB while it is sparse."),
    Rule::new("MEM-21", "A few bytes beyond the object's block", SURVEY, cliff)
        .severity(Severity::Low)
        .thresholds(&[Threshold::new(
            "keys",
            100_000,
            "such strings from which on they are worth it",
        )])
        .why(
            "A string that is short enough lives in the block of its object (44 bytes on Redis; with \
             its key 64 or 128 bytes on newer Valkeys). One that is one to four bytes longer takes a \
             second block.",
        )
        .caveat("Some bytes of every value must be dispensable."),
    Rule::content(
        "MEM-22",
        "Int-like strings stored as text",
        "padding, quotes and digits of a text are not kept",
    )
    .severity(Severity::Low)
    .why("An integer in its plain form takes no block of its own."),
    Rule::new("MEM-23", "Sorted set used as a time series", SURVEY, time_series)
        .severity(Severity::Info)
        .thresholds(&[Threshold::new(
            "members",
            1_000,
            "members from which on a sorted set is looked at",
        )])
        .why("A sorted set whose scores are all times is a time series, and grows with time.")
        .caveat("Scores are looked at in the first 64 members only."),
    Rule::content(
        "MEM-24",
        "Sorted set as a secondary index",
        "whether members are names of keys shows in their bytes",
    )
    .severity(Severity::Info)
    .why("A search index maintains itself."),
    Rule::new("MEM-25", "Nodes of a stream half empty", SURVEY, loose_stream)
        .severity(Severity::Low)
        .thresholds(&[Threshold::new(
            "fill_percent",
            50,
            "a stream is loose if its nodes hold less than this part of 4 KiB",
        )])
        .why(
            "Tiny entries end a node by their number (stream-node-max-entries) long before its bytes \
             are used; each node costs a head, a block and a place in the tree.",
        )
        .caveat("Nodes that are there stay as they are; new entries fill new nodes."),
];

/// The option as that server spells it.
pub(super) fn spelled(profile: &Profile, option: &str) -> String {
    if profile.ziplists() {
        return option.replace("listpack", "ziplist");
    }
    option.to_owned()
}

/// How options come into force for keys that are there.
const RELOAD: &str = "keys that are there change when they are loaded: by a restart, DEBUG RELOAD, or a \
                      failover to a replica that synced after the change";

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

fn as_nodes(seen: &Seen) -> String {
    format!(
        "{}, {} elements in {} nodes",
        seen.kind.name(),
        seen.count,
        seen.figure
    )
}

/// A finding with the figures of a tally; `None` if it has no keys.
fn told(
    tuned: &Tuned<'_>,
    tally: &Tally,
    what: &str,
    seen: fn(&Seen) -> String,
) -> Option<Finding> {
    (tally.keys > 0).then(|| {
        tuned
            .finding(format!("{} {what}", tally.keys))
            .about(tally.keys, tally.now)
            .saves(tally.saving())
            .evidence(tally.top().map(|row| row.evidence(seen)))
    })
}

/// The same, where larger limits are the remedy.
fn packs(
    facts: &Facts,
    tuned: &Tuned<'_>,
    (tally, what): (&Tally, &str),
    options: &[(&str, u64)],
) -> Ruling {
    let Some(mut finding) = told(tuned, tally, what, as_elements) else {
        return Ok(None);
    };
    for (option, value) in options {
        let option = spelled(&facts.profile, option);
        finding = finding.remedy(format!("CONFIG SET {option} {value}"));
    }
    if !options.is_empty() {
        finding = finding.remedy("CONFIG REWRITE").remedy(RELOAD);
    }
    Ok(Some(finding))
}

fn hash_entries(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::HashEntries);
    let what = "hashes have somewhat more fields than hash-max-listpack-entries";
    let options = [("hash-max-listpack-entries", round(tally.most))];
    packs(facts, tuned, (tally, what), &options)
}

fn hash_value(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::HashValue);
    let what = "small hashes have an element longer than hash-max-listpack-value";
    let options = [("hash-max-listpack-value", round(tally.figure))];
    packs(facts, tuned, (tally, what), &options)
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
    packs(facts, tuned, (tally, what), &options)
}

fn intset(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::IntSet);
    let what = "sets of integers have somewhat more members than set-max-intset-entries";
    let options = [("set-max-intset-entries", round(tally.most))];
    packs(facts, tuned, (tally, what), &options)
}

fn set_value(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::SetValue);
    let what = "small sets have a member longer than set-max-listpack-value";
    let options = [("set-max-listpack-value", round(tally.figure))];
    packs(facts, tuned, (tally, what), &options)
}

fn converted(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::Converted);
    let what = "collections are in tables though a packed blob would take them";
    let finding = packs(facts, tuned, (tally, what), &[])?;
    Ok(finding.map(|finding| {
        finding
            .remedy(
                "DUMP key; RESTORE key ttl payload REPLACE: a payload is encoded as a load does",
            )
            .remedy("or a restart, or a failover to a replica that has synced anew")
    }))
}

fn huge_hash(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::HugeHash);
    let what = "hashes have so many short pairs that several packed ones would be smaller";
    let seen = |seen: &Seen| format!("{} fields; {} packed hashes", seen.count, seen.figure);
    let finding = told(tuned, tally, what, seen);
    Ok(finding.map(|finding| {
        finding
            .remedy("HSET key:{crc32(field) % n} field value, with n as the evidence says")
            .remedy("HGET key:{crc32(field) % n} field")
    }))
}

fn uncompressed(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::Uncompressed);
    let what = "long lists have nodes in the middle that are not compressed";
    let finding = told(tuned, tally, what, as_nodes);
    let clause = "all blocks of those nodes; how well they compress depends on the values";
    Ok(finding.map(|finding| {
        finding
            .saves_up_to(tally.saving(), clause)
            .remedy("CONFIG SET list-compress-depth 1")
            .remedy("CONFIG REWRITE")
            .remedy("nodes are compressed as lists are written, and when they are loaded")
    }))
}

fn loose_list(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::LooseList);
    let what = "lists have nodes that are nearly empty";
    let finding = told(tuned, tally, what, as_nodes);
    let option = spelled(&facts.profile, "list-max-listpack-size");
    Ok(finding.map(|finding| {
        finding
            .remedy(format!("CONFIG SET {option} -2"))
            .remedy("then write each list anew: LRANGE key 0 -1; RPUSH key.new elements; RENAME key.new key")
    }))
}

fn counted_set(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::CountedSet);
    let what = "sets are so large that a HyperLogLog would be a fraction, if they are only counted";
    let seen = |seen: &Seen| format!("{}, {} members", seen.encoding.word(), seen.count);
    let finding = told(tuned, tally, what, seen);
    Ok(finding.map(|finding| {
        finding
            .saves_up_to(tally.saving(), "if they are only added to and counted")
            .remedy("PFADD key.hll member ..; PFCOUNT key.hll, in place of SADD and SCARD")
            .remedy("BF.ADD key.bf member; BF.EXISTS, in place of SADD and SISMEMBER, where that module is")
    }))
}

fn cliff(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::Cliff);
    if tally.keys < tuned.of("keys") {
        return Ok(None);
    }
    let what = "strings are one to four bytes too long for their object's block";
    let seen = |seen: &Seen| format!("{} bytes, {} too many", seen.count, seen.figure);
    let finding = told(tuned, tally, what, seen);
    Ok(finding.map(|finding| {
        finding.remedy("leave out that many bytes of each value when it is written")
    }))
}

fn time_series(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::TimeSeries);
    let what = "sorted sets have times for scores";
    let seen = |seen: &Seen| format!("{}, {} members", seen.encoding.word(), seen.count);
    let finding = told(tuned, tally, what, seen);
    Ok(finding.map(|finding| {
        finding
            .risk("they grow with time unless somebody trims them")
            .remedy("ZREMRANGEBYSCORE key -inf (oldest wanted")
            .remedy("or a stream with XADD MAXLEN ~, or a time series module")
    }))
}

fn loose_stream(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::LooseStream);
    let what = "streams have nodes that are less than half full";
    let finding = told(tuned, tally, what, as_nodes);
    let entries = facts.profile.stream_node_entries;
    let wanted = entries.saturating_mul(STREAM_RAISED);
    Ok(finding.map(|finding| {
        finding
            .saves_up_to(
                tally.saving(),
                "ids in longer nodes may take a byte more each",
            )
            .remedy(format!("CONFIG SET stream-node-max-entries {wanted}"))
            .remedy("CONFIG REWRITE")
            .remedy("nodes made from now on are fuller")
    }))
}
