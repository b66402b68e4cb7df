//! One line a key, as the `memory` command of redis-rdb-tools prints them, so that what reads those
//! reads these: same header, `sortedset` for sorted sets, expiry in ISO 8601 (UTC), length of a
//! string as its number of elements.
//!
//! The model does not keep the length of the largest element, so the file is decoded a second time
//! and each key's line is put together from both.

use std::fs::File;
use std::io::{Read, Write};

use analyzer::Keyspace;
use analyzer::value::Kind;
use replica_shim::Text;
use replica_shim::rdb::{self, Decoder, Item, Key, ObjectEnd, Sink};

/// The header, as redis-rdb-tools has it.
pub(super) const HEADER: [&str; 8] = [
    "database",
    "type",
    "key",
    "size_in_bytes",
    "encoding",
    "num_elements",
    "len_largest_element",
    "expiry",
];

/// Prints the lines, in the order of the file.
///
/// # Errors
/// The file cannot be read again, or the output is gone.
pub(super) fn rows(mut file: File, keyspace: &Keyspace, out: &mut dyn Write) -> anyhow::Result<()> {
    const READ_BYTES: usize = 1 << 20;
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(HEADER)?;
    let mut lines = Lines {
        keyspace,
        writer,
        db: 0,
        key: Vec::new(),
        largest: 0,
        failed: None,
    };
    let mut decoder = Decoder::new(keyspace.seed());
    let mut buffer = vec![0; rdb::CONTIGUOUS_MAX + READ_BYTES];
    let mut kept = 0;
    while !decoder.is_done() && lines.failed.is_none() {
        let read = file.read(&mut buffer[kept..])?;
        if read == 0 {
            return Err(decoder.truncated().into());
        }
        let filled = kept + read;
        let consumed = decoder.feed(&buffer[..filled], &mut lines)?;
        buffer.copy_within(consumed..filled, 0);
        kept = filled - consumed;
    }
    match lines.failed {
        Some(error) => Err(error.into()),
        None => Ok(lines.writer.flush()?),
    }
}

struct Lines<'a, W: Write> {
    keyspace: &'a Keyspace,
    writer: csv::Writer<W>,
    db: u32,
    key: Vec<u8>,
    largest: u64,
    failed: Option<csv::Error>,
}

impl<W: Write> Sink for Lines<'_, W> {
    fn item(&mut self, item: Item<'_>) {
        if let Item::SelectDb(db) = item {
            self.db = db;
        }
        if let Item::Key(key) = item {
            self.key(key);
        }
        if let Item::ObjectEnd(end) = item {
            self.end(end);
        }
    }

    fn key(&mut self, key: Key<'_>) {
        self.key.clear();
        self.key.extend_from_slice(key.name);
        self.largest = 0;
    }

    fn string(&mut self, len: u64, _int: Option<i64>) {
        self.largest = len;
    }

    fn element(&mut self, text: Text<'_>) {
        self.largest = self.largest.max(text.len());
    }

    fn scored(&mut self, member: Text<'_>, _score: f64) {
        self.largest = self.largest.max(member.len());
    }

    fn field(&mut self, field: Text<'_>, value: Text<'_>, _expire_ms: Option<i64>) {
        self.largest = self.largest.max(field.len()).max(value.len());
    }

    fn end(&mut self, _end: ObjectEnd) {
        // A key that the model dropped (an empty collection) is one that the server drops too.
        let Some(facts) = self.keyspace.facts(self.db, &self.key) else {
            return;
        };
        let kind = match facts.kind {
            Kind::Zset => "sortedset",
            Kind::String | Kind::List | Kind::Set | Kind::Hash | Kind::Stream | Kind::Module => {
                facts.kind.name()
            }
        };
        let line = [
            self.db.to_string(),
            kind.to_owned(),
            super::shown(&self.key),
            facts.bytes.to_string(),
            facts.encoding.name(self.keyspace.profile()).to_owned(),
            facts.count.to_string(),
            self.largest.to_string(),
            facts.expire_ms.map_or(String::new(), iso),
        ];
        if let Err(error) = self.writer.write_record(line) {
            self.failed.get_or_insert(error);
        }
    }
}

/// Unix milliseconds as `2026-11-20T12:55:00.123000`.
fn iso(unix_ms: i64) -> String {
    let (days, ms) = (
        unix_ms.div_euclid(86_400_000),
        unix_ms.rem_euclid(86_400_000),
    );
    let (year, month, day) = civil(days);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}000")
}

/// Year, month and day of a day since 1970 (Gregorian calendar in years that begin in March, so
/// that the leap day comes last).
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_TO_1970: i64 = 719_468;
    const ERA_DAYS: i64 = 146_097;
    let days = days + DAYS_TO_1970;
    let era = days.div_euclid(ERA_DAYS);
    let day_of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiries_are_iso_dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000000"),
            (951_782_400_123, "2000-02-29T00:00:00.123000"),
            (1_795_179_210_300, "2026-11-20T12:53:30.300000"),
            (-1, "1969-12-31T23:59:59.999000"),
        ] {
            assert_eq!(iso(ms), text);
        }
    }
}
