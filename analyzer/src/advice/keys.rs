//! Section 2 of the catalogue: keys that are large, hot, cold or without bounds.

use super::facts::{Cannot, Facts, Heat};
use super::finding::{Evidence, Finding, Severity, Subject};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::survey::{Group, PatternGroup, Point, Seen, Tally, Track};
use crate::heat::{Hot, Work};

const SURVEY: &[Need] = &[Need::Survey];

const HOUR_MS: u64 = 3_600_000;

/// Nanoseconds that freeing one element takes, about.
const FREE_NS: u64 = 200;

/// A rate is not told from less than this.
const COVERED_MIN_MS: u64 = 1000;

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
    Rule::new(
        "KEY-03",
        "Blocking expiry or delete",
        &[Need::Survey, Need::Config, Need::Patterns, Need::Stream],
        blocking,
    )
    .severity(Severity::High)
    .why(
        "A big collection (KEY-02) that expires is freed element by element in the main thread while \
         lazyfree-lazy-expire is no, and one that DEL deletes while lazyfree-lazy-user-del is no: both \
         are, by default, before Valkey 8.",
    )
    .caveat(
        "The time is an estimate, 0.2 microseconds an element. Deletes are known by pattern: those \
         are told of that have big collections, and lost a key of half their bytes or more to DEL or \
         UNLINK in the last hour, while the stream had DEL.",
    ),
    Rule::new("KEY-04", "Key dominates the instance", SURVEY, dominates)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("percent", 5, "percent of the dataset that one key may take"),
            Threshold::new("bytes", 1_000_000, "bytes below which no key dominates anything"),
            Threshold::new("slot_percent", 20, "percent of its slot that one key may take"),
            Threshold::new("slot_bytes", 10_000_000, "bytes below which no key dominates its slot"),
        ])
        .why(
            "One key that is a large part of a master cannot be spread over others, and what hurts it \
             hurts all.",
        )
        .caveat(
            "A dataset of one purpose may well be one key. Of each master the twenty largest keys are \
             looked at; a share of a slot alone is of low severity.",
        ),
    Rule::new("KEY-05", "Hot write key", &[Need::Stream], hot_key)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("writes_per_s", 1_000, "writes a second to one key"),
            Threshold::new("percent", 10, "percent of the stream's bytes that one key brings"),
            Threshold::new("bytes_per_s", 100_000, "bytes a second below which no share counts"),
        ])
        .why(
            "All writes to a key are done by one thread of one master, whatever the size of the \
             cluster.",
        )
        .caveat("In the last minute, or in the mean of the last hour; reads are not seen here."),
    Rule::new("KEY-06", "Write amplification", &[Need::Stream], rewrites)
        .thresholds(&[Threshold::new(
            "per_minute",
            60,
            "times a minute that a key of more than 10 KB is written anew, nearly as it was",
        )])
        .why(
            "A large value that is sent whole for a small change costs its bytes on the line, in the \
             stream to each replica, in the AOF and in the backlog.",
        )
        .caveat("In the last minute, or in the mean of the last hour. That the size stayed the same does not prove that the content did."),
    Rule::new("KEY-07", "Cold data", SURVEY, cold)
        .thresholds(&[
            Threshold::new("days", 30, "days without a write").at_most(180),
            Threshold::new("percent", 5, "percent of the dataset that may be cold"),
        ])
        .why("What nobody writes for weeks may be archived, given a time to live, or kept elsewhere.")
        .caveat(
            "Reads are not seen here: ages begin at the last write, or at the last access where the \
             snapshot told of it (LRU policies); after a full sync without that, at the sync. Ages are \
             kept in 24 bits of seconds, as on the server: a key that was not written for 194 days \
             begins at 0 again.",
        ),
    Rule::traffic(
        "KEY-08",
        "Write-only keys",
        "that nobody reads a key is seen in reads only",
    )
    .why("What is written and never read may not be needed."),
    Rule::new("KEY-09", "Unbounded collection", SURVEY, unbounded)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("hours", 24, "hours over which no survey saw it shrink"),
            Threshold::new("percent", 1, "percent by which it grew in that time, at least"),
        ])
        .why("A collection that is only ever added to ends as the largest key of the master.")
        .caveat(
            "Compared from survey to survey, for a thousand of the collections that KEY-02 names: \
             commands that trim are not looked for, and what shrank and grew again between two surveys \
             is not seen.",
        ),
    Rule::new("KEY-10", "Stream never trimmed, or a dead group", SURVEY, streams)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("entries", 100_000, "entries of a stream that never lost one"),
            Threshold::new("pending", 10_000, "entries that a group has pending"),
            Threshold::new("minutes", 60, "minutes that a group stands still behind its stream"),
        ])
        .why(
            "A stream that is never trimmed grows for ever; a group that nobody reads for keeps its \
             place, and what it has pending.",
        )
        .caveat(
            "Names of groups are not kept: XINFO GROUPS of the stream has them. A stream that was \
             stripped to fit into memory_cap is not looked at; where no other is found the rule cannot \
             be told.",
        ),
];

fn as_bytes(seen: &Seen) -> String {
    format!("{}, {} bytes", seen.encoding.word(), seen.count)
}

fn as_count(seen: &Seen) -> String {
    let (kind, encoding) = (seen.kind.name(), seen.encoding.word());
    format!("{kind} {encoding}, {} elements", seen.count)
}

/// A finding with the figures of a tally.
fn about(tuned: &Tuned<'_>, what: String, tally: &Tally, seen: fn(&Seen) -> String) -> Finding {
    tuned
        .finding(what)
        .about(tally.keys, tally.now)
        .evidence(tally.top().map(|row| row.evidence(seen)))
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
    let (keys, bytes) = (tally.keys, tuned.of("bytes"));
    let what = format!(
        "{keys} strings take {bytes} bytes or more, the largest {}",
        largest.now
    );
    let finding = about(tuned, what, tally, as_bytes).severity(severity);
    Ok(Some(
        finding
            .risk("each read or write of one takes its bytes over the line while others wait")
            .remedy("GETRANGE key start end, SETRANGE key offset part: read and write parts")
            .remedy("split it into keys of some kilobytes, or compress it in the client"),
    ))
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
    let (keys, elements) = (tally.keys, tuned.of("elements"));
    let what = format!(
        "{keys} collections have {elements} elements or more, or very many bytes; the largest {}",
        tally.most
    );
    let finding = about(tuned, what, tally, as_count).severity(severity);
    Ok(Some(
        finding
            .risk("DEL, HGETALL, SMEMBERS, LRANGE 0 -1 and moves of its slot block the server")
            .remedy("UNLINK key instead of DEL; HSCAN, SSCAN, ZSCAN instead of reading it whole")
            .remedy("split it over keys by a hash of the element: key:{n}"),
    ))
}

/// Patterns of which a big collection was deleted, as its bytes say.
fn deleted(facts: &Facts) -> Vec<&PatternGroup> {
    let Ok(groups) = facts.groups() else {
        return Vec::new();
    };
    let now_ms = i64::try_from(facts.now_ms).unwrap_or(i64::MAX);
    let lost_big = |(db, group): &(u32, &PatternGroup)| {
        let mut rows = facts.flows.patterns.iter();
        let row = rows.find(|row| row.db == *db && row.name.glob == group.glob);
        let lost = row.map_or(0, |row| row.deleted.lately(now_ms));
        let mean = group.big_bytes / group.big.max(1);
        // At least half as large as the big ones that are there still.
        lost > 0 && lost >= mean / 2
    };
    let with_big = groups.all().filter(|(_, group)| group.big > 0);
    with_big.filter(lost_big).map(|(_, group)| group).collect()
}

fn blocking(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let tally = facts.survey()?.tally(Point::BigExpiring);
    let is_no = |option: &str| Ok(facts.config(option)? == Some("no"));
    let (by_expiry, by_delete) = (
        is_no("lazyfree-lazy-expire")?,
        is_no("lazyfree-lazy-user-del")?,
    );
    let expiring = if by_expiry { tally.keys } else { 0 };
    let deleted = match by_delete && facts.heat_hour.dels > 0 {
        true => deleted(facts),
        false => Vec::new(),
    };
    if expiring == 0 && deleted.is_empty() {
        return Ok(None);
    }
    let most = deleted.iter().map(|group| group.big_most).max();
    let most = most
        .unwrap_or(0)
        .max(if expiring > 0 { tally.most } else { 0 });
    let longest_us = most.saturating_mul(FREE_NS) / 1000;
    let parts = [
        (expiring > 0).then(|| format!("{expiring} big collections will expire")),
        (!deleted.is_empty())
            .then(|| format!("big collections of {} patterns are deleted", deleted.len())),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let what = format!(
        "{} in the main thread; the largest has {most} elements",
        parts.join(", ")
    );
    let in_s = |seen: &Seen| format!("{}, expires in {} s", as_count(seen), seen.figure);
    let rows = deleted.iter().map(|group| Evidence {
        subject: Subject::Pattern(group.glob.clone()),
        seen: format!("{} big collections, keys are deleted", group.big),
        bytes: group.big_bytes,
        saving: 0,
    });
    let expiring_rows = tally.top().filter(|_| expiring > 0);
    let rows = rows.chain(expiring_rows.map(|seen| seen.evidence(in_s)));
    let mut finding = tuned
        .finding(what)
        .about(expiring, if expiring > 0 { tally.now } else { 0 })
        .evidence(rows)
        .risk(format!(
            "the largest blocks the server for about {longest_us} us"
        ));
    if expiring > 0 {
        finding = finding.remedy("CONFIG SET lazyfree-lazy-expire yes");
    }
    if !deleted.is_empty() {
        finding = finding.remedy("CONFIG SET lazyfree-lazy-user-del yes");
    }
    Ok(Some(
        finding
            .remedy("CONFIG REWRITE")
            .remedy("UNLINK key in place of DEL key"),
    ))
}

fn dominates(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let survey = facts.survey()?;
    let share = |bytes: u64| bytes.saturating_mul(100) / survey.bytes_beside(bytes).max(1);
    let (percent, least) = (tuned.of("percent"), tuned.of("bytes"));
    let (slot_percent, slot_least) = (tuned.of("slot_percent"), tuned.of("slot_bytes"));
    let slot_of = facts.standing.cluster.as_ref();
    let slot_of = slot_of.and_then(|cluster| cluster.slot_of);
    let slot_share = |seen: &Seen| {
        let slot = slot_of?(&seen.name);
        // What a survey met may have grown or gone since.
        let all = facts.detail.beside(*facts.slots.get(&slot)?, seen.now);
        Some((slot, seen.now.saturating_mul(100) / all.max(1)))
    };
    let of_all = |seen: &Seen| seen.now >= least && share(seen.now) >= percent;
    let of_slot = |seen: &Seen| {
        let share = slot_share(seen).map_or(0, |(_, share)| share);
        seen.now >= slot_least && share >= slot_percent
    };
    let large = |seen: &&Seen| of_all(seen) || of_slot(seen);
    let found: Vec<&Seen> = survey.tally(Point::Largest).top().filter(large).collect();
    let Some(largest) = found.first() else {
        return Ok(None);
    };
    let severity = match found.iter().any(|seen| of_all(seen)) {
        true => Severity::High,
        false => Severity::Low,
    };
    let what = format!(
        "{} keys take a large part of the dataset or of their slot each, the largest {}% of all",
        found.len(),
        share(largest.now)
    );
    let bytes = found.iter().map(|seen| seen.now).sum();
    let rows = found.iter().map(|seen| {
        let seen_so = |seen: &Seen| {
            let part = format!("{}, {}% of the dataset", as_count(seen), share(seen.now));
            match slot_share(seen) {
                Some((slot, share)) => format!("{part}, {share}% of slot {slot}"),
                None => part,
            }
        };
        seen.evidence(seen_so)
    });
    Ok(Some(
        tuned
            .finding(what)
            .severity(severity)
            .about(found.len() as u64, bytes)
            .evidence(rows)
            .risk("it cannot be spread over other masters")
            .remedy("split it over keys by a hash of the element: key:{n}"),
    ))
}

fn per_second(count: u64, covered_ms: u64) -> u64 {
    count.saturating_mul(1000) / covered_ms.max(1)
}

fn hot_row(hot: &Hot, covered_ms: u64) -> Evidence {
    let rate = |work: Work| {
        let (writes, bytes) = (
            per_second(work.writes, covered_ms),
            per_second(work.bytes, covered_ms),
        );
        format!("{writes} writes/s, {bytes} bytes/s")
    };
    Evidence {
        subject: Subject::Key {
            db: hot.db,
            name: hot.name.clone(),
        },
        seen: rate(hot.work),
        bytes: 0,
        saving: 0,
    }
}

/// What the last minute saw, and the last hour: a key is told of that is hot in either.
fn windows(facts: &Facts) -> impl Iterator<Item = &Heat> {
    let both = [&facts.heat, &facts.heat_hour];
    both.into_iter()
        .filter(|heat| heat.covered_ms >= COVERED_MIN_MS)
}

/// Keys with how long they were looked at, each once.
#[derive(Default)]
struct Found<'a>(Vec<(&'a Hot, u64)>);

impl<'a> Found<'a> {
    fn add(&mut self, hot: &'a Hot, covered_ms: u64) {
        let is_same = |known: &Hot| (known.db, &known.name) == (hot.db, &hot.name);
        if !self.0.iter().any(|known| is_same(known.0)) {
            self.0.push((hot, covered_ms));
        }
    }
}

fn hot_key(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let mut found = Found::default();
    for heat in windows(facts) {
        let busy = per_second(heat.total.bytes, heat.covered_ms) >= tuned.of("bytes_per_s");
        let is_hot = |hot: &&Hot| {
            let share = hot.work.bytes.saturating_mul(100) / heat.total.bytes.max(1);
            per_second(hot.work.writes, heat.covered_ms) >= tuned.of("writes_per_s")
                || (busy && share >= tuned.of("percent"))
        };
        let all = heat.by_writes.iter().chain(&heat.by_bytes);
        all.filter(is_hot)
            .for_each(|hot| found.add(hot, heat.covered_ms));
    }
    let found = found.0;
    let Some((first, covered_ms)) = found.first() else {
        return Ok(None);
    };
    let what = format!(
        "{} keys are written very often; the first {} times a second",
        found.len(),
        per_second(first.work.writes, *covered_ms)
    );
    Ok(Some(
        tuned
            .finding(what)
            .about(found.len() as u64, 0)
            .evidence(found.iter().map(|(hot, ms)| hot_row(hot, *ms)))
            .risk("its slot cannot be split: one thread does all of them")
            .remedy("split a counter over n keys: INCRBY key:{rand % n} 1; add them up to read")
            .remedy("gather writes in the client and send one for many"),
    ))
}

fn rewrites(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let per_minute = |times: u64, ms: u64| times.saturating_mul(60_000) / ms.max(1);
    let mut found = Found::default();
    for heat in windows(facts) {
        let often =
            |hot: &&Hot| per_minute(hot.rewrites.times, heat.covered_ms) >= tuned.of("per_minute");
        let all = heat.by_bytes.iter().filter(often);
        all.for_each(|hot| found.add(hot, heat.covered_ms));
    }
    let found = found.0;
    if found.is_empty() {
        return Ok(None);
    }
    let wasted = |(hot, ms): &(&Hot, u64)| {
        let bytes = hot.rewrites.bytes.saturating_sub(hot.rewrites.changed);
        per_second(bytes, *ms)
    };
    let bytes: u64 = found.iter().map(wasted).sum();
    let rows = found.iter().map(|(hot, ms)| Evidence {
        seen: format!(
            "{} times a minute, {} bytes/s",
            per_minute(hot.rewrites.times, *ms),
            per_second(hot.rewrites.bytes, *ms)
        ),
        ..hot_row(hot, *ms)
    });
    let what = format!(
        "{} large keys are written whole again and again",
        found.len()
    );
    Ok(Some(
        tuned
            .finding(what)
            .about(found.len() as u64, 0)
            .evidence(rows)
            .risk(format!(
                "about {bytes} bytes a second of the stream change nothing"
            ))
            .remedy("HSET key field value, for values that have fields")
            .remedy("SETRANGE key offset part, APPEND key part, or JSON.SET of a path"),
    ))
}

fn cold(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let survey = facts.survey()?;
    let tally = survey.tally(Point::Cold);
    let share = tally.now.saturating_mul(100) / survey.bytes.max(1);
    if tally.keys == 0 || share < tuned.of("percent") {
        return Ok(None);
    }
    let days = |seen: &Seen| format!("not written for {} days", seen.figure / 86_400);
    let what = format!(
        "{} keys, {share}% of the bytes, were not written for {} days",
        tally.keys,
        tuned.of("days")
    );
    Ok(Some(
        about(tuned, what, tally, days)
            .saves_up_to(tally.now, "if none of them is needed")
            .remedy("EXPIRE key seconds, or archive and UNLINK key"),
    ))
}

/// By how many bytes it grew in an hour.
fn bytes_per_h(track: &Track, now_ms: i64) -> u64 {
    let ms = u64::try_from(now_ms.saturating_sub(track.since_ms)).unwrap_or(0);
    let grown = track.bytes.saturating_sub(track.first_bytes);
    grown.saturating_mul(HOUR_MS) / ms.max(1)
}

fn unbounded(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let survey = facts.survey()?;
    let now_ms = survey.at_ms;
    let hours =
        |track: &Track| u64::try_from(now_ms.saturating_sub(track.since_ms)).unwrap_or(0) / HOUR_MS;
    let (age, percent) = (tuned.of("hours"), tuned.of("percent"));
    let grows = |track: &Track| {
        let grown = track.count.saturating_sub(track.first);
        grown > 0 && hours(track) >= age && grown.saturating_mul(100) >= track.first * percent
    };
    let all = survey.tracks.collections();
    let mut found: Vec<(u32, &[u8], &Track)> = all.filter(|row| grows(row.2)).collect();
    found.sort_by_key(|row| std::cmp::Reverse(row.2.count - row.2.first));
    if found.is_empty() {
        return Ok(None);
    }
    let rows = found.iter().map(|(db, name, track)| Evidence {
        subject: Subject::Key {
            db: *db,
            name: name.to_vec(),
        },
        seen: format!(
            "{} elements, {} more in {} h; {} bytes an hour",
            track.count,
            track.count - track.first,
            hours(track),
            bytes_per_h(track, now_ms)
        ),
        bytes: track.bytes,
        saving: 0,
    });
    let bytes = found.iter().map(|row| row.2.bytes).sum();
    let what = format!(
        "{} long collections only grew for {age} hours and more",
        found.len()
    );
    let all_per_h: u64 = found.iter().map(|row| bytes_per_h(row.2, now_ms)).sum();
    let risk = match facts.room() {
        Some(room) if all_per_h > 0 => format!(
            "at {all_per_h} bytes an hour they alone fill what memory is left in {} h",
            room / all_per_h
        ),
        Some(_) | None => "they grow until memory ends".to_owned(),
    };
    Ok(Some(
        tuned
            .finding(what)
            .about(found.len() as u64, bytes)
            .evidence(rows)
            .risk(risk)
            .remedy("LTRIM key -n -1 or ZREMRANGEBYRANK key 0 -n, after each write or by a job")
            .remedy("XADD key MAXLEN ~ n * field value, or EXPIRE key seconds"),
    ))
}

fn streams(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let survey = facts.survey()?;
    let (untrimmed, pending) = (survey.tally(Point::Untrimmed), survey.tally(Point::Pending));
    let still_ms = i64::try_from(tuned.of("minutes").saturating_mul(60_000)).unwrap_or(i64::MAX);
    let still = |group: &Group| survey.at_ms.saturating_sub(group.since_ms) >= still_ms;
    let dead: Vec<(u32, &[u8], &Group)> =
        survey.tracks.groups().filter(|row| still(row.2)).collect();
    if untrimmed.keys == 0 && pending.keys == 0 && dead.is_empty() {
        return match survey.bare_streams {
            0 => Ok(None),
            bare => Err(Cannot(format!(
                "{bare} streams were stripped to fit into memory: what they lost and their groups \
                 are not known"
            ))),
        };
    }
    let endless = |seen: &Seen| format!("{} entries, none ever trimmed", seen.count);
    let waiting = |seen: &Seen| format!("a group has {} entries pending", seen.figure);
    let rows = untrimmed.top().map(|seen| seen.evidence(endless));
    let rows = rows.chain(pending.top().map(|seen| seen.evidence(waiting)));
    let rows = rows.chain(dead.iter().map(|(db, name, group)| Evidence {
        subject: Subject::Key {
            db: *db,
            name: name.to_vec(),
        },
        seen: format!("a group stands still, {} entries pending", group.pending),
        bytes: group.bytes,
        saving: 0,
    }));
    let what = format!(
        "{} streams were never trimmed, {} have a group with much pending, {} groups stand still",
        untrimmed.keys,
        pending.keys,
        dead.len()
    );
    let keys = untrimmed.keys + pending.keys + dead.len() as u64;
    Ok(Some(
        tuned
            .finding(what)
            .about(keys, untrimmed.now)
            .evidence(rows)
            .risk("the stream, or what its groups have pending, grows for ever")
            .remedy("XADD key MAXLEN ~ n * field value, or XTRIM key MAXLEN ~ n")
            .remedy("XINFO GROUPS key; XAUTOCLAIM key group consumer 3600000 0, XACK, or XGROUP DESTROY key group"),
    ))
}
