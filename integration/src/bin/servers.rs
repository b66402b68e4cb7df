//! `cargo run -p integration --bin servers [name...]`: fetches the servers of the matrix (or those
//! named) and the tools, and prints name, version and launcher of each.
#![expect(clippy::print_stdout, reason = "this program's output is its purpose")]

use anyhow::Result;
use integration::servers;

fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let found = if asked.is_empty() {
        servers::all()?
    } else {
        asked
            .iter()
            .map(|name| servers::get(name))
            .collect::<Result<_>>()?
    };
    for server in found {
        println!(
            "{} {} {}",
            server.name,
            server.version,
            server.launcher()?.display()
        );
    }
    if asked.is_empty() {
        for name in servers::tool_names() {
            println!("{name} {}", servers::tool_launcher(name)?.display());
        }
    }
    Ok(())
}
