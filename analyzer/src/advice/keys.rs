//! Section 2 of the catalogue: keys that are large, hot, cold or without bounds.

use super::facts::Facts;
use super::finding::Severity;
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::survey::{Point, Seen};

const SURVEY: &[Need] = &[Need::Survey];

pub(super) const RULES: &[Rule] = &[
    Rule::new("KEY-01", "Big string", SURVEY, big_string)
        .thresholds(&[
            Threshold::new("bytes", 100_000, "bytes of a key from which on it is named"),
            Threshold::new("high_bytes", 5_000_000, "bytes from which on it is of high severity"),
        ])
        .why(
            "A read or write of a long string keeps the server and the line busy for all its bytes, \
             and everybody else waiting.",
        )
        .caveat("How often they are read is not seen here."),
    Rule::new("KEY-02", "Big collection", SURVEY, big_collection)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("elements", 2_000, "elements from which on a collection is named"),
            Threshold::new("high_elements", 10_000, "elements from which on it is of high severity"),
            Threshold::new("hash_bytes", 100_000_000, "bytes of a hash from which on it is named"),
        ])
        .why(
            "Commands over all elements, deletes and slot moves of a large collection block the \
             server.",
        )
        .caveat("Single elements of it are as cheap as those of a small one."),
    Rule::traffic(
        "KEY-08",
        "Write-only keys",
        "that nobody reads a key is seen in reads only",
    )
    .why("What is written and never read may not be needed."),
];

fn as_bytes(seen: &Seen) -> String {
    format!("{}, {} bytes", seen.encoding.word(), seen.count)
}

fn as_count(seen: &Seen) -> String {
    format!(
        "{} {}, {} elements",
        seen.kind.name(),
        seen.encoding.word(),
        seen.count
    )
}

fn big_string(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::BigString);
    let Some(largest) = tally.top().next() else {
        return Ok(None);
    };
    let severity = if largest.now >= tuned.of("high_bytes") {
        Severity::High
    } else {
        Severity::Medium
    };
    let what = format!(
        "{} strings take {} bytes or more, the largest {}",
        tally.keys,
        tuned.of("bytes"),
        largest.now
    );
    let finding = tuned.finding(what).severity(severity);
    let finding = finding
        .about(tally.keys, tally.now)
        .risk("each read or write of one takes its bytes over the line while others wait")
        .evidence(tally.top().map(|seen| seen.evidence(as_bytes)))
        .remedy("GETRANGE key start end, SETRANGE key offset part: read and write parts")
        .remedy("split it into keys of some kilobytes, or compress it in the client");
    Ok(Some(finding))
}

fn big_collection(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::BigCollection);
    if tally.keys == 0 {
        return Ok(None);
    }
    let severity = if tally.most >= tuned.of("high_elements") {
        Severity::High
    } else {
        Severity::Medium
    };
    let what = format!(
        "{} collections have {} elements or more, the largest {}",
        tally.keys,
        tuned.of("elements"),
        tally.most
    );
    let finding = tuned.finding(what).severity(severity);
    let finding = finding
        .about(tally.keys, tally.now)
        .risk("DEL, HGETALL, SMEMBERS, LRANGE 0 -1 and moves of its slot block the server")
        .evidence(tally.top().map(|seen| seen.evidence(as_count)))
        .remedy("UNLINK key instead of DEL; HSCAN, SSCAN, ZSCAN instead of reading it whole")
        .remedy("split it over keys by a hash of the element: key:{n}");
    Ok(Some(finding))
}
