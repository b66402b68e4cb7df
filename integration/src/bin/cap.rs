//! `cargo cap`: Keyscape beside a master with ten times the keys that fit into 256 MiB, held to that
//! by `ulimit -d`, and another time by `--memory-cap`; then with collections. Prints what was seen;
//! the exit status is 1 if it died, took more, or said what is not true.
#![expect(clippy::print_stdout, reason = "this program's output is its purpose")]

use anyhow::Result;
use clap::Parser;
use integration::capped::{self, Plan, Told};
use integration::servers;

/// Runs Keyscape with less memory than it needs.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server, from the matrix.
    #[arg(long, default_value = "redis-7.0")]
    server: String,
    /// What the process may take, MiB.
    #[arg(long, default_value_t = 256)]
    mib: u64,
    /// Keys of the master; 0: ten times what fits at 37 bytes a key.
    #[arg(long, default_value_t = 0)]
    keys: u64,
}

/// Bytes that the model takes for a key of this run.
const KEY_BYTES: u64 = 37;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let install = servers::get(&arguments.server)?;
    let bytes = arguments.mib << 20;
    let ten_times = |cap: u64| match arguments.keys {
        0 => cap / KEY_BYTES * 10,
        keys => keys,
    };
    let mut say = |line| println!("cap: {line}");
    for (told, cap) in [(Told::Flag, bytes), (Told::Limit, bytes / 2)] {
        say(format!("{told:?}: {} MiB", arguments.mib));
        let plan = Plan {
            cap: bytes,
            told,
            keys: ten_times(cap),
        };
        let figures = capped::keys(&install, &plan, &mut say)?;
        say(format!(
            "all keys would take {} MiB; loaded in {} s",
            figures.needed >> 20,
            figures.took.as_secs()
        ));
    }
    say("collections".to_owned());
    let plan = Plan {
        cap: bytes,
        told: Told::Flag,
        keys: bytes / 4,
    };
    capped::collections(&install, &plan, &mut say)?;
    println!("cap: alive, degraded, truthful, recovered");
    Ok(())
}
