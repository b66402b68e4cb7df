//! Section 1 of the catalogue, by pattern of names: what the keys of a pattern would take in another
//! shape altogether.

use super::facts::Facts;
use super::finding::{Evidence, Severity, Subject};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::survey::PatternGroup;
use crate::profile::Profile;
use crate::store::weigh::{Scale, Seated};
use crate::value::elements::Sizes;

const PATTERNS: &[Need] = &[Need::Survey, Need::Patterns];

/// Pairs that a packed hash of many small strings is given on average.
const PER_HASH: u64 = 100;

/// How full hashes are that are chosen by chance, in percent of the mean: each is as likely.
const SPREAD: [u64; 7] = [85, 91, 96, 100, 104, 109, 115];

pub(super) const RULES: &[Rule] = &[
    Rule::new("MEM-01", "Combine small strings into hashes", PATTERNS, combine)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("keys", 10_000, "strings of a pattern from which on it is named"),
            Threshold::new("mean_bytes", 200, "bytes that they take on average, at most"),
        ])
        .why(
            "A small string takes an entry of the dictionary, an object and its name beside its value. \
             As a field of a packed hash it takes little more than the rest of its name and the value.",
        )
        .caveat(
            "Fields have no expiry of their own before Redis 7.4 and Valkey 9.0: patterns with any \
             expiry are left out. The keys of a cluster's slot stay together only with a hash tag.",
        ),
    Rule::new("MEM-09", "Shorten key names", PATTERNS, shorten_names)
        .severity(Severity::Low)
        .thresholds(&[
            Threshold::new("percent", 10, "percent of the bytes that are names"),
            Threshold::new("keys", 1_000_000, "keys from which on that counts"),
            Threshold::new("mean_bytes", 64, "bytes of a name on average that count anyway"),
        ])
        .why("What all names of a pattern have in common is stored with every key.")
        .caveat("Every client must learn the new names. Computed for literal parts of two bytes each."),
    Rule::new("MEM-10", "Shorten field names", PATTERNS, shorten_fields)
        .severity(Severity::Low)
        .thresholds(&[
            Threshold::new("percent", 10, "percent of a pattern's bytes that are names of fields"),
            Threshold::new("alike_percent", 80, "percent of its hashes that share their fields' names"),
            Threshold::new("keys", 1_000, "hashes from which on a pattern is looked at"),
        ])
        .why("Hashes that are records of one kind store the names of their fields with every record.")
        .caveat(
            "Packed hashes only, four in five of whose fields are among the first 64 that their pattern \
             was seen with. Computed for names of two bytes for those. Names are not kept: HKEYS of \
             one of the hashes has them.",
        ),
    Rule::new("MEM-11", "Regular hashes as lists", PATTERNS, as_lists)
        .severity(Severity::Low)
        .thresholds(&[Threshold::new(
            "keys",
            50_000,
            "hashes of the same fields from which on they are named",
        )])
        .why(
            "Records of one kind with the same fields can be lists of values in a fixed order: the \
             names of the fields need not be stored at all.",
        )
        .caveat("Packed hashes of at most 512 fields. Order and meaning move into the clients."),
];

fn row(group: &PatternGroup, seen: String, (bytes, then): (u64, u64)) -> Evidence {
    Evidence {
        subject: Subject::Pattern(group.glob.clone()),
        seen,
        bytes,
        saving: bytes.saturating_sub(then),
    }
}

/// The finding of some patterns: rows, and what their keys are in all.
fn found(
    tuned: &Tuned<'_>,
    what: &str,
    keys: u64,
    mut rows: Vec<Evidence>,
) -> Option<super::Finding> {
    rows.sort_by_key(|row| std::cmp::Reverse(row.saving));
    let (bytes, saving) = rows
        .iter()
        .fold((0, 0), |sum, row| (sum.0 + row.bytes, sum.1 + row.saving));
    (saving > 0).then(|| {
        tuned
            .finding(format!("{keys} keys of {} patterns {what}", rows.len()))
            .about(keys, bytes)
            .saves(saving)
            .evidence(rows)
    })
}

/// What the strings of a pattern take as fields of packed hashes, and how many those are.
fn combined(group: &PatternGroup, profile: &Profile) -> (u64, u64) {
    let scale = Scale::new(profile.clone());
    let hashes = group.strings.div_ceil(PER_HASH).max(1);
    let digits = u64::from(hashes.ilog10()) + 1;
    let key = Seated {
        name: group.prefix.unwrap_or(0) + digits,
        expire_ms: None,
        seat: false,
    };
    let mean = group.string_entries.div_ceil(hashes);
    let spread = SPREAD.map(|percent| Sizes::of(profile).blob(mean * percent / 100));
    let blob = spread.iter().sum::<u64>() / SPREAD.len() as u64;
    (hashes * scale.keyed(blob, key), hashes)
}

fn combine(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let (survey, groups) = (facts.survey()?, facts.groups()?);
    let profile = &survey.profile;
    let is_small = |group: &PatternGroup| {
        group.strings >= tuned.of("keys")
            && group.string_bytes < group.strings.saturating_mul(tuned.of("mean_bytes"))
            && group.expiring == 0
            && group.prefix.is_some()
            && group.longest <= profile.hash_value_max
    };
    let (mut rows, mut keys) = (Vec::new(), 0);
    for (_, group) in groups.all().filter(|(_, group)| is_small(group)) {
        let (then, hashes) = combined(group, profile);
        if then >= group.string_bytes {
            continue;
        }
        keys += group.strings;
        let seen = format!("{} strings; {hashes} packed hashes", group.strings);
        rows.push(row(group, seen, (group.string_bytes, then)));
    }
    let finding = found(tuned, "are small strings", keys, rows);
    Ok(finding.map(|finding| {
        finding
            .remedy("HSET prefix:{crc32(id) % n} id value in place of SET prefix:id value, with n as the evidence says")
            .remedy("HGET prefix:{crc32(id) % n} id in place of GET prefix:id")
    }))
}

fn shorten_names(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let (survey, groups) = (facts.survey()?, facts.groups()?);
    let names: u64 = groups.all().map(|(_, group)| group.name_bytes).sum();
    let keys: u64 = groups.all().map(|(_, group)| group.keys).sum();
    let share = names.saturating_mul(100) / survey.bytes.max(1);
    let by_share = share > tuned.of("percent") && keys > tuned.of("keys");
    if !by_share && names <= keys.saturating_mul(tuned.of("mean_bytes")) {
        return Ok(None);
    }
    let (mut rows, mut concerned) = (Vec::new(), 0);
    for (_, group) in survey
        .groups
        .all()
        .filter(|(_, group)| group.renamed < group.bytes)
    {
        concerned += group.keys;
        let mean = group.name_bytes / group.keys.max(1);
        let seen = format!("{} names of {mean} bytes on average", group.keys);
        rows.push(row(group, seen, (group.bytes, group.renamed)));
    }
    let finding = found(tuned, "have long names", concerned, rows);
    Ok(finding.map(|finding| {
        finding.remedy(
            "RENAME customer:profile:17 cu:pr:17, for all keys of the pattern, with the clients",
        )
    }))
}

fn shorten_fields(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let groups = facts.groups()?;
    let is_regular = |group: &PatternGroup| {
        group.sharing >= tuned.of("keys")
            && group.sharing.saturating_mul(100)
                >= group.keys.saturating_mul(tuned.of("alike_percent"))
            && group.field_bytes.saturating_mul(100)
                > group.bytes.saturating_mul(tuned.of("percent"))
            && group.short_fields < group.sharing_bytes
    };
    let (mut rows, mut keys) = (Vec::new(), 0);
    for (_, group) in groups.all().filter(|(_, group)| is_regular(group)) {
        keys += group.sharing;
        let seen = format!(
            "{} hashes, {} bytes of field names",
            group.sharing, group.field_bytes
        );
        rows.push(row(group, seen, (group.sharing_bytes, group.short_fields)));
    }
    let finding = found(tuned, "repeat the same field names", keys, rows);
    Ok(finding
        .map(|finding| finding.remedy("HSET key fn value in place of HSET key first_name value")))
}

fn as_lists(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let groups = facts.groups()?;
    let is_regular = |group: &PatternGroup| {
        group.alike >= tuned.of("keys") && group.as_lists < group.alike_bytes
    };
    let (mut rows, mut keys) = (Vec::new(), 0);
    for (_, group) in groups.all().filter(|(_, group)| is_regular(group)) {
        keys += group.alike;
        let seen = format!("{} hashes of the same fields", group.alike);
        rows.push(row(group, seen, (group.alike_bytes, group.as_lists)));
    }
    let finding = found(tuned, "are hashes of the same fields", keys, rows);
    Ok(finding.map(|finding| {
        finding
            .remedy("RPUSH key value1 value2 .. in the order of the fields, in place of HSET")
            .remedy("LINDEX key n in place of HGET key field")
    }))
}
