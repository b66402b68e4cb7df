//! `keyscape analyze`: a file says what the service says of the server that wrote it. To the byte where
//! a load leaves nothing to chance, which on a Valkey it does: its keys share buckets by a secret.

use std::process::Command;

use integration::app::{self, App};
use integration::wait;
use serde_json::Value;

use crate::scene::{self, EAGER, PATIENCE};

/// What both say of one thing: keys and bytes.
type Sum = (u64, u64);

fn sum(row: &Value) -> Sum {
    let number = |name: &str| row[name].as_u64().expect("a number");
    (number("keys"), number("bytes"))
}

/// The rows of a table by a cell; those without keys are left out.
fn rows(table: &Value, by: &str) -> Vec<(String, Sum)> {
    let rows = table.as_array().expect("rows").iter();
    let rows = rows.map(|row| (row[by].as_str().unwrap_or_default().to_owned(), sum(row)));
    let mut rows: Vec<(String, Sum)> = rows.filter(|(_, sum)| sum.0 > 0).collect();
    rows.sort();
    rows
}

fn served(app: &App, words: &[&str]) -> Value {
    let words = [words, &["FORMAT", "JSON"]].concat();
    let mut client = app.client().expect("the admin port");
    let text = client.ask(&words).expect("an answer").string();
    serde_json::from_str(&text).expect("JSON")
}

fn analyzed(file: &std::path::Path, format: &str) -> String {
    let mut command = Command::new(app::binary().expect("keyscape"));
    command.arg("analyze").arg(file);
    command.args(["--format", format, "--top", "1000"]);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_file_says_what_the_service_says() {
    for name in ["redis-7.0", "redis-8.0"] {
        let server = scene::server(name, &[("enable-debug-command", "yes")]);
        let mut client = server.client().expect("the server");
        for n in 0..60 {
            client.push(&["SADD", &format!("tags:{n}"), "0"]);
            for member in 1..600 {
                client.push(&["SADD", &format!("tags:{n}"), &member.to_string()]);
            }
        }
        for n in 0..400 {
            client.push(&["SET", &format!("user:{n}:name"), "x"]);
            client.push(&["SET", &format!("session:{n}"), "x", "EX", "200000"]);
            client.push(&["SET", &format!("soon:{n}"), "x", "EX", "40000"]);
        }
        client.flush().expect("written");
        for _ in 0..60 * 600 + 3 * 400 {
            client.read().expect("a reply");
        }
        // What a load makes of the keys is what the file tells.
        client.ask(&["DEBUG", "RELOAD"]).expect("a reload");
        server.save().expect("a file");
        let app = App::start(&[server.url()], EAGER).expect("keyscape");
        app.wait_synced(PATIENCE).expect("a model");
        scene::settle(&server, &app);

        let file = server.file("dump.rdb");
        let told: Value = serde_json::from_str(&analyzed(&file, "json")).expect("JSON");
        let mut patterns = Value::Null;
        wait::for_true(PATIENCE, "the keys to be counted", || {
            patterns = served(&app, &["KS.PATTERNS", "LIMIT", "1000"]);
            Ok(!patterns["notes"].to_string().contains("being counted"))
        })
        .expect("they are");
        let expected = [("session:*", 400), ("soon:*", 400), ("tags:*", 60)];
        let found = rows(&told["patterns"], "pattern");
        for (pattern, keys) in expected {
            let own = found.iter().find(|(name, _)| name == pattern);
            assert_eq!(own.map(|(_, sum)| sum.0), Some(keys), "{name}: {found:?}");
        }
        assert_eq!(found, rows(&patterns["patterns"], "pattern"), "{name}");

        let lives = rows(&served(&app, &["KS.TTL"])["by_life"], "life");
        assert_eq!(rows(&told["expiries"]["by_life"], "life"), lives, "{name}");
        assert_eq!(lives.len(), 3, "{lives:?}");

        // The sets of integers that are a little too long to be packed.
        let of = |findings: &Value| {
            let findings = findings.as_array().expect("findings").iter();
            let mut own = findings.filter(|row| row["rule"] == "MEM-05");
            own.next().map(|row| (sum(row), row["saving"].clone()))
        };
        let mut service = None;
        wait::for_true(PATIENCE, "the survey", || {
            service = of(&served(&app, &["KS.ADVISE"])["findings"]);
            Ok(service.is_some())
        })
        .expect("advice");
        assert_eq!(of(&told["advice"]["findings"]), service, "{name}");
        let undecided = told["advice"]["undecided"].as_array().expect("rules");
        assert!(undecided.contains(&"EVI-01".into()), "{undecided:?}");

        let text = analyzed(&file, "text");
        for part in ["tags:*", "no ttl", "MEM-05", "set-max-intset-entries"] {
            assert!(text.contains(part), "{name}: no {part} in {text}");
        }
    }
}
