//! `[patterns]`: how keys are counted by pattern, and in which groups of the user's.

use analyzer::census::{Group, Matcher, Plan};
use analyzer::glob::Glob;
use regex::bytes::RegexBuilder;

use super::ConfigError;
use super::raw;

/// Patterns of a database unless it is configured.
pub const PATTERNS_DEFAULT: usize = 10_000;

/// Most patterns of a database. The command that meets the cap tidies the whole tree, while the stream
/// waits: of so many patterns that takes up to 10 ms, of 100,000 it took 50.
const PATTERNS_MAX: usize = 20_000;

/// Most groups: each is matched against every key that is written.
const GROUPS_MAX: usize = 64;

/// Bytes that a compiled expression may take, and its cache.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What is counted.
///
/// # Errors
/// The key that cannot be used, and why.
pub(super) fn plan(raw: &raw::Patterns) -> Result<Plan, ConfigError> {
    if raw.max > PATTERNS_MAX {
        let problem = format!("must not be above {PATTERNS_MAX}");
        return Err(ConfigError::at("patterns.max", problem));
    }
    if raw.groups.len() > GROUPS_MAX {
        let problem = format!("are {GROUPS_MAX} at most");
        return Err(ConfigError::at("patterns.groups", problem));
    }
    let mut groups: Vec<Group> = Vec::new();
    for group in &raw.groups {
        let place = format!("patterns.groups {:?}", group.name);
        let wrong = |problem: &str| ConfigError::at(&place, problem.to_owned());
        if group.name.is_empty() || groups.iter().any(|other| other.name == group.name) {
            return Err(wrong("must have a name of its own"));
        }
        groups.push(Group {
            name: group.name.clone(),
            matches: matcher(group).map_err(|problem| wrong(&problem))?,
        });
    }
    Ok(Plan {
        patterns_max: raw.max,
        groups: groups.into(),
    })
}

fn matcher(group: &raw::Group) -> Result<Matcher, String> {
    match (group.glob.is_empty(), group.regex.is_empty()) {
        (false, true) => {
            let glob = Glob::new(group.glob.as_bytes());
            Ok(Box::new(move |name| glob.matches(name)))
        }
        (true, false) => {
            let regex = RegexBuilder::new(&group.regex)
                .size_limit(REGEX_BYTES_MAX)
                .dfa_size_limit(REGEX_BYTES_MAX)
                .build()
                .map_err(|error| error.to_string())?;
            Ok(Box::new(move |name| regex.is_match(name)))
        }
        (true, true) | (false, false) => Err("must have either glob or regex".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, glob: &str, regex: &str) -> raw::Group {
        raw::Group {
            name: name.to_owned(),
            glob: glob.to_owned(),
            regex: regex.to_owned(),
        }
    }

    fn check(groups: &[raw::Group]) -> Result<Plan, String> {
        let raw = raw::Patterns {
            groups: groups.to_vec(),
            ..raw::Patterns::default()
        };
        plan(&raw).map_err(|error| error.to_string())
    }

    #[test]
    fn groups_match_by_glob_or_by_expression() {
        let groups = [
            group("carts", "cart:*", ""),
            group("tens", "", "^[a-z]+:\\d0$"),
        ];
        let plan = check(&groups).expect("right");
        let met = |name: &[u8]| {
            let groups = plan.groups.iter();
            groups
                .map(|group| (group.matches)(name))
                .collect::<Vec<_>>()
        };
        assert_eq!(met(b"cart:10"), [true, true]);
        assert_eq!(met(b"cart:101"), [true, false]);
        assert_eq!(met(b"user:20"), [false, true]);
        assert_eq!(met(b"\xff:20"), [false, false]);
    }

    #[test]
    fn groups_that_cannot_be_used_are_named() {
        let bad = |groups: &[raw::Group], expected: &str| {
            let error = check(groups).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        };
        bad(&[group("x", "a*", "b")], "either glob or regex");
        bad(&[group("x", "", "")], "either glob or regex");
        bad(&[group("", "a", "")], "name of its own");
        bad(
            &[group("x", "a", ""), group("x", "b", "")],
            "name of its own",
        );
        bad(&[group("x", "", "(")], "unclosed group");
        bad(&[group("x", "", "(a{1000}){1000}")], "size limit");
        let many: Vec<raw::Group> = (0..65).map(|n| group(&n.to_string(), "a", "")).collect();
        bad(&many, "64 at most");
    }
}
