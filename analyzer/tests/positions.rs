//! Where commands have their keys, where the model cannot follow them to the end.

mod kit;

use analyzer::Text;
use analyzer::command::Doubt;
use analyzer::input::{Command, Outcome};
use kit::Driver;

/// A name of two megabytes, of which nothing is kept.
const LONG: Text<'_> = Text::Long {
    len: 2 << 20,
    digest: 7,
};

/// Applies a command in which `_` is such a name.
fn apply(driver: &mut Driver, line: &str) -> Outcome {
    let words = line.split(' ').map(|word| match word {
        "_" => LONG,
        word => Text::Bytes(word.as_bytes()),
    });
    let argv: Vec<Text<'_>> = words.collect();
    driver.keyspace.apply(&Command {
        db: 0,
        argv: &argv,
        now_ms: driver.now_ms,
        end_offset: driver.keyspace.applied() + 10,
    })
}

#[test]
fn a_name_too_long_to_be_kept_leaves_doubts_on_the_others() {
    for (line, doubted) in [
        ("MSET a 2 _ 2 b 2", &["a", "b"][..]),
        ("DEL _ c", &["c"]),
        ("RENAME _ d", &["d"]),
        ("BITOP NOT e _", &["e"]),
    ] {
        let mut driver = Driver::new();
        driver.line("MSET a 1 b 1 c 1 d 1 e 1 f 1");
        assert_eq!(apply(&mut driver, line), Outcome::Malformed, "{line}");
        for name in ["a", "b", "c", "d", "e", "f"] {
            let facts = driver.keyspace.facts(0, name.as_bytes()).expect("there");
            let is_doubted = facts.doubt == Doubt::Value;
            assert_eq!(is_doubted, doubted.contains(&name), "{line}: {name}");
        }
    }
}
