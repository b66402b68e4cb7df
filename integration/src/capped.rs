//! More keys than memory: Keyscape under a cap, beside a master that has ten times what fits.
//!
//! It must live, say what it gave up, be right in all that it still says, and know everything again
//! when the keys are gone. [`keys`] is about keys that are folded into sums, [`collections`] about
//! elements that are given up and come back.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::app::App;
use crate::fill::{self, Shape};
use crate::resp::{Client, Reply, field_of};
use crate::seed::Rng;
use crate::server::Server;
use crate::servers::Install;
use crate::truth::{self, Rules};
use crate::wait::{self, PATIENCE};

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the process may take, bytes.
    pub cap: u64,
    /// How it is told so.
    pub told: Told,
    /// Keys of the master.
    pub keys: u64,
}

/// How the process is told what it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// By `--memory-cap`, and held to it by this program's look at the peak.
    Flag,
    /// By nothing but `ulimit -d`, at which the kernel refuses memory and the process would die.
    Limit,
}

impl Plan {
    fn patience(&self) -> Duration {
        PATIENCE + Duration::from_secs(self.keys / LOADED_PER_S)
    }
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Keys of the master.
    pub keys: u64,
    /// Bytes that a model of all keys would take, by what those that were kept took.
    pub needed: u64,
    /// `used_memory` of the master, bytes.
    pub master_bytes: u64,
    /// The cap that the process found, bytes.
    pub cap: u64,
    /// Largest resident memory of the process, bytes.
    pub peak: u64,
    /// Keys with a record of their own.
    pub kept: u64,
    /// Keys that DBSIZE answered, and the master's.
    pub sizes: (u64, u64),
    /// Sum of KS.SUMMARY's bytes, and what it was when nothing had been given up.
    pub bytes: (u64, u64),
    /// Keys of which every fact was compared when all was known again.
    pub compared: u64,
    /// Time of the load.
    pub took: Duration,
}

/// Keys that a busy machine loads in a second, at least.
const LOADED_PER_S: u64 = 100_000;

/// Bytes of each value.
const VALUE: &str = "40";

/// Bytes of such a key on Redis: name, entry and an embedded string of 40.
const KEY_NAME: &str = "session:user";

/// Runs with keys that do not fit.
///
/// # Errors
/// If Keyscape dies, takes more than it may, or says what is not true.
pub fn keys(install: &Install, plan: &Plan, say: &mut dyn FnMut(String)) -> Result<Figures> {
    let server = Server::start(install, &[("save", "")])?;
    let mut master = server.client()?;
    master.read_timeout(plan.patience())?;
    master.ask(&["DEBUG", "POPULATE", &plan.keys.to_string(), KEY_NAME, VALUE])?;
    say(format!("{} keys are written", plan.keys));
    let began = Instant::now();
    let app = start(&server, plan)?;
    app.wait_synced(plan.patience())?;
    let mut figures = Figures {
        keys: plan.keys,
        took: began.elapsed(),
        cap: number(&app, "keyscape_memory_cap")?,
        master_bytes: master.info("memory", "used_memory")?.parse()?,
        ..Figures::default()
    };
    ensure!(
        number(&app, "keyscape_degraded")? == 1,
        "nothing was given up"
    );
    look(&app, &mut master, &mut figures)?;
    say(format!("loaded: {}", told(&figures)));
    ask_about_keys(&app, plan.keys)?;
    write_some(&mut master, plan.keys)?;
    meet(&app, &mut master)?;
    look(&app, &mut master, &mut figures)?;
    ask_about_keys(&app, plan.keys)?;
    say(format!("written to: {}", told(&figures)));
    let fold = figures.sizes;
    ensure!(
        fold.0 == fold.1,
        "DBSIZE says {}, the master {}",
        fold.0,
        fold.1
    );

    // The keys go, one database at once and the others one by one.
    master.ask(&["SELECT", "0"])?;
    master.ask(&["FLUSHALL"])?;
    recovered(&app, (&server, plan), figures, say)
}

/// Runs with collections that do not fit, most of which then go: the others are read again.
///
/// # Errors
/// As [`keys`].
pub fn collections(install: &Install, plan: &Plan, say: &mut dyn FnMut(String)) -> Result<Figures> {
    let server = Server::start(install, &[("save", "")])?;
    let mut master = server.client()?;
    master.read_timeout(plan.patience())?;
    // Larger ones would not be read again: `[reread] value_bytes_max`.
    let members = 60_000;
    let sets = plan.keys / members;
    for set in 0..sets {
        fill_set(&mut master, set, members)?;
    }
    say(format!("{sets} sets of {members} members are written"));
    let app = start(&server, plan)?;
    app.wait_synced(plan.patience())?;
    let figures = Figures {
        keys: sets,
        cap: number(&app, "keyscape_memory_cap")?,
        ..Figures::default()
    };
    let bare = number(&app, "keyscape_keys_without_elements")?;
    let folded = number(&app, "keyscape_keys_folded")?;
    ensure!(
        bare > 0 && folded == 0,
        "{bare} without elements, {folded} folded"
    );
    say(format!(
        "{bare} of {sets} sets have no elements, peak {}",
        mib(peak(&app)?)
    ));
    // What is written is counted again.
    for set in 0..sets {
        let key = format!("set:{set}");
        master.ask(&["SREM", &key, "member:1", "member:2"])?;
        master.ask(&["SADD", &key, "another"])?;
    }
    counted(&app, &mut master, sets, members - 1)?;
    // A tenth stays, for which there is room.
    for set in sets / 10..sets {
        master.ask(&["UNLINK", &format!("set:{set}")])?;
    }
    recovered(&app, (&server, plan), figures, say)
}

/// Waits until all is exact again, without another full sync and below the cap.
fn recovered(
    app: &App,
    (server, plan): (&Server, &Plan),
    mut figures: Figures,
    say: &mut dyn FnMut(String),
) -> Result<Figures> {
    recover(app, server, &mut figures)?;
    ensure!(app.status()?.full_syncs == 1, "that took another full sync");
    figures.peak = peak(app)?;
    check_peak(plan, &figures)?;
    say(format!(
        "recovered: {} keys agree, peak {}",
        figures.compared,
        mib(figures.peak)
    ));
    Ok(figures)
}

fn fill_set(master: &mut Client, set: u64, members: u64) -> Result<()> {
    const BATCH: u64 = 1000;
    let mut sent = 0;
    for from in (0..members).step_by(1000) {
        let mut command = vec![b"SADD".to_vec(), format!("set:{set}").into_bytes()];
        let to = members.min(from + BATCH);
        command.extend((from..to).map(|n| format!("member:{n}").into_bytes()));
        master.push(&command);
        sent += 1;
    }
    master.flush()?;
    for _ in 0..sent {
        master.read()?;
    }
    Ok(())
}

fn counted(app: &App, master: &mut Client, sets: u64, members: u64) -> Result<()> {
    meet(app, master)?;
    let mut ours = app.client()?;
    wait::for_true(PATIENCE, "every count to be right", || {
        for set in 0..sets {
            let count = ours.ask(&["SCARD", &format!("set:{set}")])?.int();
            if count != Some(i64::try_from(members)?) {
                return Ok(false);
            }
        }
        Ok(number(app, "keyscape_keys_inexact")? == 0)
    })
    .with_context(|| app.log_tail())
}

fn start(server: &Server, plan: &Plan) -> Result<App> {
    match plan.told {
        Told::Flag => App::start(&[server.url()], &format!("memory_cap = \"{}\"\n", plan.cap)),
        Told::Limit => App::start_within(&[server.url()], plan.cap),
    }
}

/// Takes the figures of now.
fn look(app: &App, master: &mut Client, figures: &mut Figures) -> Result<()> {
    // The number of keys is the master's of the last second.
    let mut last = (0, 0);
    let equal = || {
        last = (size(&mut app.client()?)?, size(master)?);
        Ok(last.0 == last.1)
    };
    let met = wait::for_true(PATIENCE, "DBSIZE to be the master's", equal);
    met.with_context(|| format!("{last:?}\n{}", app.log_tail()))?;
    let mut client = app.client()?;
    let summary = client.ask(&["KS.SUMMARY", "FORMAT", "JSON"])?.string();
    let says = summary.contains("memory_cap:") && summary.contains("\"sums\"");
    ensure!(says, "KS.SUMMARY does not say it: {summary}");
    let dataset = client.ask(&["MEMORY", "STATS"])?;
    let bytes = named(&dataset, "dataset.bytes")?;
    figures.sizes = last;
    figures.kept = app.metric("keyscape_model_keys")?;
    if figures.bytes.1 == 0 {
        figures.bytes.1 = bytes;
    }
    figures.bytes.0 = bytes;
    figures.peak = peak(app)?;
    let model = app.metric("keyscape_model_bytes")?.max(1);
    figures.needed = model * figures.keys / figures.kept.max(1);
    Ok(())
}

/// A key that is there is there or not told of, and so is one that is not; some are told of.
fn ask_about_keys(app: &App, keys: u64) -> Result<()> {
    const ASKED: u64 = 2_000;
    let mut client = app.client()?;
    let mut rng = Rng::new(keys);
    let (mut there, mut absent) = (0, 0);
    for _ in 0..ASKED {
        let name = format!("{KEY_NAME}:{}", rng.below(keys));
        let reply = client.call(&["TYPE", &name])?;
        match reply.string().as_str() {
            "string" => there += 1,
            text if text.starts_with("NODETAIL") => {}
            other => bail!("TYPE of a key that is there: {other}"),
        }
        let reply = client.call(&["EXISTS", &format!("absent:{name}")])?;
        if reply.int() == Some(0) {
            absent += 1;
        } else if !reply.string().starts_with("NODETAIL") {
            bail!("EXISTS of a key that is not there: {reply:?}");
        }
    }
    ensure!(there > 0 && absent > 0, "{there} and {absent} of {ASKED}");
    Ok(())
}

/// New keys, other keys, more expiries; none of those that `ask_about_keys` asks for goes.
fn write_some(master: &mut Client, keys: u64) -> Result<()> {
    const BATCH: u64 = 500;
    let mut rng = Rng::new(7);
    for from in (0..100_000u64).step_by(500) {
        for n in from..from + BATCH {
            let name = format!("{KEY_NAME}:{}", rng.below(keys));
            match n % 5 {
                0 => master.push(&["SET", &name, "another value"]),
                1 => master.push(&["EXPIRE", &name, "100000"]),
                2 => master.push(&["APPEND", &name, "x"]),
                3 => master.push(&["RPUSH", &format!("list:{n}"), "a", "b"]),
                _ => master.push(&["DEL", &format!("list:{}", rng.below(n))]),
            }
        }
        master.flush()?;
        for _ in 0..BATCH {
            master.read()?;
        }
    }
    Ok(())
}

/// Waits until the model stands where the master stands.
fn meet(app: &App, master: &mut Client) -> Result<()> {
    let met = wait::for_true(PATIENCE, "the offsets to meet", || {
        let theirs: i64 = master.info("replication", "master_repl_offset")?.parse()?;
        Ok(app.status()?.offset == theirs)
    });
    met.with_context(|| app.log_tail())
}

/// Writes keys of every type where room is, and compares every fact of every key.
fn recover(app: &App, server: &Server, figures: &mut Figures) -> Result<()> {
    let recovered = wait::for_true(PATIENCE, "all detail to be there", || {
        let inexact = number(app, "keyscape_keys_inexact")?;
        Ok(number(app, "keyscape_degraded")? == 0 && inexact == 0)
    });
    recovered.with_context(|| app.log_tail())?;
    let mut master = server.client()?;
    fill::fill(&mut master, Shape::Mixed, 3_000)?;
    meet(app, &mut master)?;
    let settled = wait::for_true(PATIENCE, "every doubt to be settled", || {
        let status = app.status()?;
        Ok(status.inexact + status.unverified == 0)
    });
    settled.with_context(|| app.log_tail())?;
    let theirs = truth::read(&mut master)?;
    let ours = truth::read(&mut app.client()?)?;
    let report = truth::compare(&theirs, &ours, &Rules::default());
    if let Some(first) = report.mismatches.first() {
        bail!("{} mismatches, first {first}", report.mismatches.len());
    }
    figures.compared = report.keys;
    Ok(())
}

fn check_peak(plan: &Plan, figures: &Figures) -> Result<()> {
    let (peak, cap) = (figures.peak, figures.cap.min(plan.cap));
    ensure!(
        peak <= cap,
        "the peak was {}, the cap is {}",
        mib(peak),
        mib(cap)
    );
    Ok(())
}

fn told(figures: &Figures) -> String {
    format!(
        "cap {}, peak {}, {} keys have a record; DBSIZE {} of {}, bytes {} of {}",
        mib(figures.cap),
        mib(figures.peak),
        figures.kept,
        figures.sizes.0,
        figures.sizes.1,
        figures.bytes.0,
        figures.bytes.1,
    )
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn size(client: &mut Client) -> Result<u64> {
    let size = client.ask(&["DBSIZE"])?.int().context("DBSIZE")?;
    Ok(u64::try_from(size)?)
}

/// A number of INFO keyscape.
fn number(app: &App, field: &str) -> Result<u64> {
    let text = app.client()?.ask(&["INFO", "keyscape"])?.string();
    let value = field_of(&text, field).with_context(|| format!("{field} in {text}"))?;
    Ok(value.parse()?)
}

/// A number of a flat array.
fn named(reply: &Reply, name: &str) -> Result<u64> {
    let items = reply.items();
    let at = items.iter().position(|item| item.string() == name);
    let value = at.and_then(|at| items.get(at + 1)).and_then(Reply::int);
    Ok(u64::try_from(value.with_context(|| name.to_owned())?)?)
}

/// Largest resident memory of the process so far, bytes.
fn peak(app: &App) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", app.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("VmHWM")?.parse::<u64>()? << 10)
}
