//! `keyscape analyze`: the reports of the service for an RDB file.
//!
//! The file goes through the same decoder and the same model as a full sync, so its figures are
//! those that `serve` would give: bytes are what the server that wrote the file would need.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Write};
use std::path::Path;

use analyzer::Keyspace;
use analyzer::census::Plan;
use analyzer::profile::{Family, Profile, Version};
use analyzer::view::{By, Top, TopRow};
use anyhow::Context;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::app::{self, AppError};
use crate::cli::{Analyze, Format};
use crate::clock;
use crate::config::PATTERNS_DEFAULT;
use crate::filling;
use crate::ingest::{self, LoadReport};

mod advice;
mod csv;
mod elsewhere;
mod expiries;
mod patterns;

/// Block size of reads.
const READ_BYTES: usize = 1 << 20;

/// Keys counted in one go: nobody waits.
const KEYS_AT_ONCE: usize = 1_000_000;

/// Reads the file and prints the report.
///
/// # Errors
/// The file cannot be read or is no RDB, or the output is gone.
pub fn analyze(flags: &Analyze, out: &mut dyn Write) -> Result<(), AppError> {
    match report(flags, out) {
        Ok(()) => Ok(()),
        // Whoever reads has had enough, like head.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        Err(source) => Err(AppError::File {
            file: flags.file.display().to_string(),
            source,
        }),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn report(flags: &Analyze, out: &mut dyn Write) -> anyhow::Result<()> {
    let is_stdin = flags.file == Path::new("-");
    if is_stdin && flags.format == Format::Csv {
        anyhow::bail!("csv reads the file twice, so standard input will not do: name a file");
    }
    if flags.format == Format::Csv && !flags.servers.is_empty() {
        anyhow::bail!("csv has a line a key, and no place for --as: choose text or json");
    }
    // A name that is wrong is said before a long file is read.
    elsewhere::known(&flags.servers)?;
    let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    let plan = Plan {
        patterns_max: PATTERNS_DEFAULT,
        ..Plan::default()
    };
    let mut keyspace = Keyspace::new(profile, app::random())
        .with_helper(filling::hire)
        .with_plan(plan);
    let now_ms = i64::try_from(clock::unix_ms())?;
    let loaded = if is_stdin {
        load(io::stdin().lock(), None, &mut keyspace, now_ms)?
    } else {
        let file = File::open(&flags.file)?;
        let size = file.metadata()?.len();
        load(file, Some(size), &mut keyspace, now_ms)?
    };
    if flags.format != Format::Csv {
        while !keyspace.recount(KEYS_AT_ONCE) {}
    }
    match flags.format {
        Format::Text => {
            text(&mut keyspace, &loaded, flags.top, out)?;
            let told = expiries::of(&keyspace, now_ms)?;
            writeln!(out, "\n{}", expiries::table(&told).trim_fmt())?;
            advice::Advice::of(&keyspace, &told, now_ms).text(out)?;
            elsewhere::text(&keyspace, &flags.servers, out)
        }
        Format::Json => json(&mut keyspace, &loaded, (flags, now_ms), out),
        Format::Csv => csv::rows(File::open(&flags.file)?, &keyspace, out),
    }
}

fn load(
    input: impl Read,
    size: Option<u64>,
    keyspace: &mut Keyspace,
    now_ms: i64,
) -> anyhow::Result<LoadReport> {
    let bar = bar(size);
    let input = BufReader::with_capacity(READ_BYTES, input);
    let loaded = ingest::load_rdb(input, keyspace, now_ms, &mut |bytes| {
        bar.set_position(bytes)
    });
    bar.finish_and_clear();
    loaded.context("not loaded")
}

fn bar(size: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, look) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:40} {bytes}/{total_bytes} {eta}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(look);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn top(keyspace: &mut Keyspace, k: usize) -> Vec<TopRow> {
    const AT_ONCE: usize = 100_000;
    let mut search = Top::new(By::Bytes, k);
    while !keyspace.top(&mut search, AT_ONCE) {}
    search.rows()
}

/// A key for people: what is not printable ASCII is escaped.
fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(head.iter().copied());
    table
}

fn text(
    keyspace: &mut Keyspace,
    loaded: &LoadReport,
    k: usize,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let profile = keyspace.profile().clone();
    writeln!(
        out,
        "{} {}.{}.{}, {} keys, {} bytes of RDB, checksum {}",
        family(profile.family),
        profile.version.major,
        profile.version.minor,
        profile.version.patch,
        keyspace.keys(),
        loaded.bytes,
        if loaded.verified {
            "verified"
        } else {
            "absent"
        },
    )?;
    let mut forms = table(&["db", "type", "encoding", "keys", "elements", "bytes"]);
    for total in keyspace.totals() {
        forms.add_row([
            total.db.to_string(),
            total.kind.name().to_owned(),
            total.encoding.name(&profile).to_owned(),
            total.keys.to_string(),
            total.elements.to_string(),
            total.bytes.to_string(),
        ]);
    }
    writeln!(out, "\n{}", forms.trim_fmt())?;
    let mut largest = table(&["bytes", "elements", "type", "encoding", "db", "key"]);
    for row in top(keyspace, k) {
        largest.add_row([
            row.facts.bytes.to_string(),
            row.facts.count.to_string(),
            row.facts.kind.name().to_owned(),
            row.facts.encoding.name(&profile).to_owned(),
            row.db.to_string(),
            shown(&row.name),
        ]);
    }
    writeln!(out, "\n{}", largest.trim_fmt())?;
    writeln!(out, "\n{}", patterns::table(keyspace, k).trim_fmt())?;
    Ok(())
}

fn json(
    keyspace: &mut Keyspace,
    loaded: &LoadReport,
    (flags, now_ms): (&Analyze, i64),
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let profile = keyspace.profile().clone();
    let totals = keyspace.totals().into_iter().map(|total| {
        json!({
            "db": total.db,
            "type": total.kind.name(),
            "encoding": total.encoding.name(&profile),
            "keys": total.keys,
            "elements": total.elements,
            "bytes": total.bytes,
        })
    });
    let totals: Vec<_> = totals.collect();
    let largest = top(keyspace, flags.top).into_iter().map(|row| {
        json!({
            "db": row.db,
            "key": shown(&row.name),
            "type": row.facts.kind.name(),
            "encoding": row.facts.encoding.name(&profile),
            "elements": row.facts.count,
            "bytes": row.facts.bytes,
            "expire_at_ms": row.facts.expire_ms,
        })
    });
    let largest: Vec<_> = largest.collect();
    let version = profile.version;
    let told = expiries::of(keyspace, now_ms)?;
    let mut report = json!({
        "server": family(profile.family),
        "version": format!("{}.{}.{}", version.major, version.minor, version.patch),
        "rdb_version": loaded.header.map(|(_, version)| version),
        "rdb_bytes": loaded.bytes,
        "checksum_verified": loaded.verified,
        "keys": keyspace.keys(),
        "functions": loaded.functions,
        "module_values": loaded.modules,
        "totals": totals,
        "largest": largest,
        "patterns": patterns::json(keyspace, flags.top),
        "expiries": expiries::json(&told),
        "advice": advice::Advice::of(keyspace, &told, now_ms).json(),
    });
    if !flags.servers.is_empty() {
        report["as"] = elsewhere::json(keyspace, &flags.servers)?.into();
    }
    // As what it was: within an error of serde's own nobody finds that the reader is gone.
    serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn family(family: Family) -> &'static str {
    match family {
        Family::Redis => "Redis",
        Family::Valkey => "Valkey",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose reader is gone.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_had_enough_of_json_is_no_error() {
        let flags = Analyze {
            file: "-".into(),
            format: Format::Json,
            top: 1,
            servers: Vec::new(),
        };
        let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
        let mut keyspace = Keyspace::new(profile, 1);
        while !keyspace.recount(KEYS_AT_ONCE) {}
        let loaded = LoadReport::default();
        let error = json(&mut keyspace, &loaded, (&flags, 0), &mut Broken).expect_err("broken");
        assert!(is_broken_pipe(&error), "{error:?}");
    }
}
