//! Section 3 of the catalogue, second half: what happens when memory is full.

use super::facts::Facts;
use super::finding::{Evidence, Severity};
use super::rule::{Need, Rule, Ruling, Tuned};

pub(super) const RULES: &[Rule] = &[Rule::new(
    "EVI-01",
    "No maxmemory",
    &[Need::Config, Need::Info],
    no_maxmemory,
)
.severity(Severity::High)
.why(
    "Without maxmemory a server grows until the kernel kills it, or until the machine swaps; with it, \
     it evicts or refuses writes.",
)
.caveat("A limit of the control group around the server is not seen here.")];

fn no_maxmemory(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(0) = facts.config_number("maxmemory")? else {
        return Ok(None);
    };
    let used = facts.info_number("used_memory")?.unwrap_or(0);
    let machine = facts.info_number("total_system_memory")?.unwrap_or(0);
    let what = format!("maxmemory is 0; {used} bytes are used of the machine's {machine}");
    let finding = tuned.finding(what);
    // Three quarters leave room for buffers, fragmentation and a fork.
    let limit = machine / 4 * 3;
    Ok(Some(
        finding
            .risk("the kernel ends the process when memory runs out")
            .evidence([
                Evidence::named("maxmemory", "0"),
                Evidence::named("used_memory", used.to_string()),
                Evidence::named("total_system_memory", machine.to_string()),
            ])
            .remedy(format!("CONFIG SET maxmemory {limit}"))
            .remedy("CONFIG REWRITE"),
    ))
}
