//! The catalogue as a document: `proxy/ADVICE.md` is this text, and a test keeps it so.

use std::fmt::Write;

use super::rule::{Decide, Rule};
use super::rules;
use super::source::sources;

const HEAD: &str = "# Advice\n\n\
    What `KS.ADVISE` says, rule by rule. A rule is decided for each master from a survey of all its keys, its own figures and its\n\
    configuration; savings are what the memory formulas of the server say (`KS.WHATIF`), not constants. Remedies are printed, never run.\n\
    Rules that need captured traffic, or the bytes of values, which Keyscape does not keep, are listed and never fire.\n";

/// The whole document, in Markdown.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for rule in rules() {
        section(rule, &mut text);
    }
    text
}

/// What fails to be written to a string is nothing.
fn section(rule: &Rule, text: &mut String) {
    let _ = write!(text, "\n## {}\n\n**{}**, ", rule.id, rule.title);
    let _ = match rule.decide {
        Decide::By(_) => {
            let needs: Vec<&str> = rule.needs.iter().map(|need| need.name()).collect();
            let (severity, needs) = (rule.severity.name(), needs.join(", "));
            writeln!(text, "{severity}; from {needs}.")
        }
        Decide::NeedsTraffic(what) => {
            writeln!(text, "never decided: needs captured traffic ({what}).")
        }
        Decide::NeedsContent(what) => writeln!(text, "never decided: needs values ({what})."),
        Decide::NeedsHost(what) => writeln!(text, "never decided: needs the host ({what})."),
    };
    if let Some(reason) = rule.off {
        let _ = writeln!(text, "Off by default: {reason}.");
    }
    let _ = writeln!(text, "{}", rule.why);
    if !rule.caveat.is_empty() {
        let _ = writeln!(text, "{}", rule.caveat);
    }
    let from: Vec<String> = sources(rule.id).iter().map(|one| one.text()).collect();
    let _ = writeln!(text, "\nSource: {}.", from.join("; "));
    if !rule.thresholds.is_empty() {
        text.push('\n');
    }
    for row in rule.thresholds {
        let _ = write!(text, "- `{}` = {}: {}", row.name, row.default, row.about);
        let _ = match row.most {
            u64::MAX => writeln!(text),
            most => writeln!(text, ", at most {most}"),
        };
    }
}
