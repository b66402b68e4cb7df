//! The driver behind Sentinel: it asks who the master is, and asks again when that ends.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::master_of;
use crate::driver::{Driver, Options};
use crate::load::Writer;
use crate::resp::Client;
use crate::servers::Install;

/// Commands of one step.
const STEP: u64 = 100;

/// How long a master may take to answer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Writes to whoever is the master.
pub struct SentinelWriter {
    install: Install,
    sentinels: Vec<SocketAddr>,
    seed: u64,
    driver: Option<Driver>,
    /// Times that it had to look for the master.
    pub lookups: u64,
    sent: u64,
}

impl SentinelWriter {
    /// A writer that asks these Sentinels.
    #[must_use]
    pub const fn new(install: Install, sentinels: Vec<SocketAddr>, seed: u64) -> Self {
        Self {
            install,
            sentinels,
            seed,
            driver: None,
            lookups: 0,
            sent: 0,
        }
    }

    /// Commands sent so far.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Writes until so many commands were sent.
    pub fn run(&mut self, ops: u64) {
        let end = self.sent + ops;
        let mut idle = 0;
        while self.sent < end && idle < 1000 {
            idle = if self.step() == 0 { idle + 1 } else { 0 };
        }
    }

    fn find(&mut self) -> Result<Driver> {
        self.lookups += 1;
        let ask = |addr: &SocketAddr| {
            let mut client = Client::connect(*addr)?;
            client.read_timeout(PATIENCE)?;
            master_of(&mut client)
        };
        let turn = usize::try_from(self.lookups).unwrap_or(0) % self.sentinels.len().max(1);
        let turned = self.sentinels.iter().cycle().skip(turn);
        let master = turned.take(self.sentinels.len()).find_map(|a| ask(a).ok());
        let options = Options {
            // Each connection goes on elsewhere, and all follow from the one seed.
            seed: self.seed.wrapping_add(self.lookups),
            // Any replica may become the one that is compared with.
            agreed: true,
            ..Options::default()
        };
        let master = master.context("no Sentinel names a master")?;
        let driver = Driver::attach_at(&self.install, master, &options)?;
        driver.read_timeout(PATIENCE)?;
        Ok(driver)
    }
}

impl Writer for SentinelWriter {
    fn step(&mut self) -> u64 {
        let driver = match self.driver.take() {
            Some(driver) => Ok(driver),
            None => self.find(),
        };
        let Ok(mut driver) = driver else {
            thread::sleep(Duration::from_millis(50));
            return 0;
        };
        let before = driver.tally().sent;
        let done = driver.run(STEP);
        let sent = driver.tally().sent - before;
        self.sent += sent;
        if done.is_ok() {
            self.driver = Some(driver);
        }
        sent
    }
}
