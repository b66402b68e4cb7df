//! The process itself, by the names that every exporter uses (`process_*`), from /proc.

use std::fs;

use super::text::{Kind, Text, seconds};
use crate::fleet::Build;

/// Ticks of processor time in a second, fixed in the kernel's interface to programs.
const TICKS: f64 = 100.0;

pub(super) fn write(build: &Build, cap: Option<u64>, text: &mut Text) {
    text.family(
        "keyscape_memory_cap_bytes",
        Kind::Gauge,
        "Memory that the process may take; 0 if there is no cap.",
    )
    .put(&[], cap.unwrap_or(0));
    text.family(
        "keyscape_build_info",
        Kind::Gauge,
        "Always 1; the labels say what this process is.",
    )
    .put(&[("version", build.version)], 1);
    let started = seconds(build.started_ms);
    text.family(
        "process_start_time_seconds",
        Kind::Gauge,
        "Unix time at which the process started.",
    )
    .put(&[], started);
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let tasks = runtime.metrics().num_alive_tasks();
        text.family("keyscape_tasks", Kind::Gauge, "Tasks that are alive.")
            .put(&[], tasks);
    }
    if let Some(used) = cpu() {
        text.family(
            "process_cpu_seconds_total",
            Kind::Counter,
            "Processor time used.",
        )
        .put(&[], used);
    }
    let memory = crate::admin::process_memory();
    text.family(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Resident memory.",
    )
    .put(&[], memory.resident);
    text.family(
        "keyscape_allocated_bytes",
        Kind::Gauge,
        "Bytes that the allocator has handed out; 0 if it does not say.",
    )
    .put(&[], memory.allocated);
    if let Ok(list) = fs::read_dir("/proc/self/fd") {
        text.family("process_open_fds", Kind::Gauge, "Open file descriptors.")
            .put(&[], list.count());
    }
}

/// Fields 14 and 15 of /proc/self/stat; the second field is a name and may hold spaces.
fn cpu() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS)
}
