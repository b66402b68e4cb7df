//! Remedies are lines to paste into redis-cli: what begins as a command is one, whole, with options
//! that the server has. They are looked at and not run, for what they do would end the state that a
//! test is about.

use integration::resp::Client;
use serde_json::Value;

/// Words as redis-cli splits them: apart by blanks, or in double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// True if the server has an option of that name.
fn has_option(client: &mut Client, name: &str) -> bool {
    let reply = client.ask(&["CONFIG", "GET", name]).expect("CONFIG GET");
    !reply.items().is_empty()
}

/// The line is no command, or one that the server would take.
fn is_whole(client: &mut Client, line: &str) -> bool {
    let words = words(line);
    let [first, rest @ ..] = &words[..] else {
        return false;
    };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (first.as_str(), &rest[..]) {
        ("CONFIG", ["SET", name, value]) => {
            !value.ends_with([',', ';']) && has_option(client, name)
        }
        ("CONFIG", rest) => *rest == ["REWRITE"],
        ("BGSAVE" | "BGREWRITEAOF", rest) => rest.is_empty(),
        ("SCRIPT", rest) => *rest == ["FLUSH"],
        ("MEMORY", rest) => *rest == ["PURGE"],
        ("ACL", ["SETUSER", user, rules @ ..]) => {
            // On a user that is not there, and is gone again.
            let mut command = vec!["ACL", "SETUSER", "pasted-for-a-moment"];
            command.extend(rules.iter().copied());
            let reply = client.call(&command).expect("a reply");
            client
                .call(&["ACL", "DELUSER", "pasted-for-a-moment"])
                .expect("a reply");
            !user.is_empty() && !reply.is_error()
        }
        (_, _) => true,
    }
}

/// Every line of the remedy; there is at least one.
pub(super) fn can_be_pasted(client: &mut Client, advice: &Value) {
    let steps = advice["remedy"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(!steps.is_empty(), "{advice:#}");
    for step in steps {
        let line = step["step"].as_str().expect("a line");
        assert!(
            is_whole(client, line),
            "{line:?} cannot be pasted: {advice:#}"
        );
    }
}

#[test]
fn lines_are_split_as_redis_cli_does() {
    let line = "CONFIG SET save \"3600 1 300 100\"";
    assert_eq!(words(line), ["CONFIG", "SET", "save", "3600 1 300 100"]);
    assert!(words("").is_empty());
}
