//! The truth campaign behind Sentinel: a constant write load, a failover that was asked for and one
//! that was not, and a comparison of every key after each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};

use super::writer::SentinelWriter;
use super::{AGREEMENT, NAME, Watched};
use crate::app::App;
use crate::campaign::{Course, Outcome};
use crate::cluster::campaign::CONFIG;
use crate::follow::Follow;
use crate::load::Load;
use crate::quiet::{self, Quiet};
use crate::servers::Install;
use crate::truth::analytics::Auditor;
use crate::wait::{self, PATIENCE};

/// Commands a second while something happens.
const LOAD_PER_S: u64 = 4000;

struct Campaign<'a> {
    watched: Watched,
    load: Load<SentinelWriter>,
    app: App,
    share: u64,
    follow: Follow,
    auditor: Option<Auditor>,
    outcome: Outcome,
    say: &'a mut dyn FnMut(String),
}

/// Runs the campaign; `say` gets a line for each step.
///
/// # Errors
/// If a server or Keyscape fails to do its part at all (differences are no error).
pub fn run(install: &Install, course: &Course, say: &mut dyn FnMut(String)) -> Result<Outcome> {
    let watched = Watched::start(install)?;
    let mut writer = SentinelWriter::new(install.clone(), watched.addresses(), course.seed);
    let share = course.ops / 4;
    writer.run(share);
    let app = App::start(&[watched.url()], &(course.follow.config() + CONFIG))?;
    app.wait_synced(PATIENCE)?;
    let mut campaign = Campaign {
        watched,
        load: Load::start(writer, LOAD_PER_S),
        app,
        share,
        follow: course.follow,
        auditor: course.auditor(),
        outcome: Outcome::default(),
        say,
    };
    campaign.phases()?;
    Ok(campaign.outcome)
}

impl Campaign<'_> {
    fn phases(&mut self) -> Result<()> {
        self.compare("after the snapshot")?;
        self.load.with(|writer| writer.run(self.share));
        self.compare("written")?;
        self.during(Self::fail_over)?;
        self.compare("failover on request")?;
        self.during(Self::crash)?;
        self.compare("the master crashed")?;
        let status = self.app.status()?;
        let lookups = self.load.with(|writer| writer.lookups);
        (self.say)(format!(
            "{}: version {} sent={} lookups={lookups} full_syncs={} partial_syncs={}",
            self.watched.install.name,
            self.watched.install.version,
            self.load.with(|writer| writer.sent()),
            status.full_syncs,
            status.partial_syncs,
        ));
        Ok(())
    }

    /// Writes all the while, and until the share is used up.
    fn during(&mut self, work: fn(&mut Self) -> Result<()>) -> Result<()> {
        let end = self.load.with(|writer| writer.sent()) + self.share;
        self.load.resume();
        work(self)?;
        self.load.pause_at(end, PATIENCE, SentinelWriter::sent)
    }

    fn fail_over(&mut self) -> Result<()> {
        let before = self.watched.wait_agreed(AGREEMENT)?;
        let mut sentinel = self.watched.sentinels[0].client()?;
        sentinel.ask(&["SENTINEL", "FAILOVER", NAME])?;
        self.another_than(before)
    }

    fn crash(&mut self) -> Result<()> {
        let before = self.watched.wait_agreed(AGREEMENT)?;
        let index = self.watched.index_of(before).context("its process")?;
        self.watched.servers[index].kill()?;
        self.another_than(before)?;
        self.watched.servers[index].start_again()?;
        self.watched.wait_agreed(AGREEMENT).map(|_| ())
    }

    fn another_than(&mut self, before: SocketAddr) -> Result<()> {
        wait::for_true(AGREEMENT, "another master", || {
            Ok(self.watched.agreed()?.is_some_and(|now| now != before))
        })
    }

    fn compare(&mut self, what: &str) -> Result<()> {
        let started = Instant::now();
        let master = self.watched.wait_agreed(AGREEMENT)?;
        let quiet = Quiet {
            app: &self.app,
            masters: &[master],
            reached: &BTreeMap::new(),
            databases: 16,
            rules: &quiet::rules(&self.watched.install),
            follow: self.follow,
            patience: PATIENCE,
        };
        let found = quiet
            .compare_with(self.auditor.as_mut())
            .with_context(|| what.to_owned())?;
        let name = &self.watched.install.name;
        let what = format!("{name}: {what} in {:.1?}", started.elapsed());
        self.outcome.tell_and_add(found, &what, self.say);
        Ok(())
    }
}
