//! The house rules that a compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines after which a file must be divided.
const LINES_MAX: usize = 700;

/// Crates that do no input or output and do not know each other.
const PURE: [&str; 3] = ["analyzer", "cluster-map", "replica-shim"];

/// Dependencies of a pure crate; each needs a reason in the commit that brings it.
const DEPENDENCIES_MAX: usize = 5;

/// What may stand at the top.
const TOP: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "analyzer",
    "cluster-map",
    "configs",
    "integration",
    "proxy",
    "replica-shim",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace")
        .to_owned()
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, out);
        } else if name.ends_with(".rs") {
            out.push(path);
        }
    }
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let mut paths = Vec::new();
    sources(&root(), &mut paths);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn the_top_holds_the_fixed_names_only() {
    let mut strangers = Vec::new();
    for entry in fs::read_dir(root()).expect("the workspace").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && name != "target" && !TOP.contains(&name.as_str()) {
            strangers.push(name);
        }
    }
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn files_stay_readable() {
    let long: Vec<String> = all_sources()
        .iter()
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "divide {long:?}");
}

#[test]
fn every_file_opens_with_its_story() {
    let bare: Vec<String> = all_sources()
        .iter()
        .filter(|(path, _)| !path.ends_with("tests.rs"))
        .filter(|(_, text)| !text.starts_with("//!") && !text.starts_with("#!["))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(bare.is_empty(), "no //! story: {bare:?}");
}

#[test]
fn sources_are_ascii() {
    let odd: Vec<String> = all_sources()
        .iter()
        .filter(|(_, text)| !text.is_ascii())
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn pure_crates_touch_nothing() {
    // Assembled here, so that this file does not find itself.
    let banned: Vec<String> = [
        ("tokio", "::"),
        ("std::", "net"),
        ("std::", "fs"),
        ("std::", "env"),
        ("Instant", "::now"),
        ("SystemTime", "::now"),
        ("tracing", "::"),
    ]
    .iter()
    .map(|(left, right)| format!("{left}{right}"))
    .collect();
    let mut found = Vec::new();
    for name in PURE {
        let mut paths = Vec::new();
        sources(&root().join(name).join("src"), &mut paths);
        for path in paths.iter().filter(|path| !path.ends_with("tests.rs")) {
            let text = fs::read_to_string(path).expect("a source file");
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                if banned.iter().any(|word| line.contains(word.as_str())) {
                    found.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn arrows_between_crates_go_one_way() {
    let dependencies = |name: &str| -> String {
        let text = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a manifest");
        let (_, rest) = text.split_once("[dependencies]").unwrap_or(("", ""));
        rest.split("\n[").next().unwrap_or_default().to_owned()
    };
    for name in PURE {
        let text = dependencies(name);
        for other in PURE.iter().chain(&["keyscape", "integration", "tokio"]) {
            assert!(
                !text.lines().any(|line| line.starts_with(other)),
                "{name} needs {other}"
            );
        }
        let count = text.lines().filter(|line| line.contains('=')).count();
        assert!(count <= DEPENDENCIES_MAX, "{name} has {count} dependencies");
    }
    assert!(
        !dependencies("proxy").contains("integration"),
        "proxy needs integration"
    );
}
