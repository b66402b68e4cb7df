//! Memory: a keyscape process that follows the master, beside what the master says it uses.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use integration::app::App;
use serde_json::{Value, json};

use super::ingest::Loaded;
use super::{Data, Load, Rows, fraction, mega, used_memory};

/// How long the allocator gets to return what the snapshot needed on the way.
const SETTLE: Duration = Duration::from_secs(12);

/// The result.
pub(super) struct Memory {
    master: u64,
    resident: u64,
    allocated: u64,
}

/// Attaches a keyscape process to the master that holds the data.
pub(super) fn measure(data: &Data) -> Result<Memory> {
    let master = used_memory(&mut data.master.client()?)?;
    let app = App::start(&[data.master.url()], "")?;
    app.wait_synced(Duration::from_secs(300))?;
    thread::sleep(SETTLE);
    let allocated = used_memory(&mut app.client()?)?;
    Ok(Memory {
        master,
        resident: resident(app.pid())?,
        allocated,
    })
}

/// `VmRSS` of a process.
fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes
        .context("a process without VmRSS")?
        .parse::<u64>()?
        * 1024)
}

impl Memory {
    pub(super) fn ratio(&self) -> f64 {
        fraction(self.resident, self.master)
    }

    pub(super) fn show(&self, load: &Load, data: &Data, others: &[Loaded], rows: &mut Rows) {
        let masters = [("redis-7.0", self.master)];
        let beside = others.iter().skip(1).map(|other| (other.name, other.used));
        for (name, used) in masters.into_iter().chain(beside) {
            rows.push(
                "memory",
                load.name,
                [
                    format!("{name} {}", mega(used)),
                    format!(
                        "{} ({} allocated)",
                        mega(self.resident),
                        mega(self.allocated)
                    ),
                    format!("{:.0}%", 100.0 * fraction(self.resident, used)),
                ],
            );
        }
        rows.push(
            "bytes per key",
            load.name,
            [
                format!("{:.1}", fraction(self.master, data.keys)),
                format!("{:.1}", fraction(self.resident, data.keys)),
                String::new(),
            ],
        );
        rows.push(
            "bytes per element",
            load.name,
            [
                format!("{:.1}", fraction(self.master, data.elements)),
                format!("{:.1}", fraction(self.resident, data.elements)),
                String::new(),
            ],
        );
    }

    pub(super) fn json(&self, data: &Data) -> Value {
        json!({
            "master_used_memory": self.master,
            "resident": self.resident,
            "allocated": self.allocated,
            "bytes_per_key": fraction(self.resident, data.keys),
            "bytes_per_element": fraction(self.resident, data.elements),
        })
    }
}
