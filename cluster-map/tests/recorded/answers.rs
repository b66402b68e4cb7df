//! Recorded answers by name, and just enough of RESP to read them.

use std::collections::BTreeMap;
use std::path::Path;

use cluster_map::{Addr, Asked, Value};

/// The answers of one server.
pub(crate) struct Answers(BTreeMap<String, Value>);

impl Answers {
    pub(crate) fn of(server: &str) -> Answers {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let bytes = std::fs::read(dir.join(format!("{server}.answers"))).unwrap();
        let mut answers = BTreeMap::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let header = std::str::from_utf8(line(&mut rest)).unwrap();
            let mut words = header.split(' ').skip(1);
            let name = words.next().unwrap().to_owned();
            let length: usize = words.next().unwrap().parse().unwrap();
            let (mut answer, after) = rest.split_at(length);
            answers.insert(name, read(&mut answer));
            assert!(answer.is_empty());
            rest = &after[1..];
        }
        Answers(answers)
    }

    /// The answer of that name, without its protocol's ending: the RESP2 one.
    pub(crate) fn get(&self, name: &str) -> &Value {
        self.find(name)
            .unwrap_or_else(|| panic!("{name} was not recorded"))
    }

    /// The same, if it was recorded.
    pub(crate) fn find(&self, name: &str) -> Option<&Value> {
        self.0.get(&format!("{name}.resp2"))
    }

    /// The RESP3 one, if there is one.
    pub(crate) fn resp3(&self, name: &str) -> Option<&Value> {
        self.0.get(&format!("{name}.resp3"))
    }
}

/// Who was asked, as far as it matters: the host.
pub(crate) fn asked() -> Asked {
    Asked {
        addr: Addr::new("seed.example", 7).unwrap(),
        tls: false,
    }
}

fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn read(rest: &mut &[u8]) -> Value {
    let first = line(rest);
    let text = std::str::from_utf8(&first[1..]).unwrap();
    match first[0] {
        b'+' => Value::text(text),
        b'-' => Value::Error(text.to_owned()),
        b':' => Value::Int(text.parse().unwrap()),
        b'_' => Value::Null,
        b'$' | b'=' | b'*' | b'~' if text == "-1" => Value::Null,
        b'$' | b'=' => {
            let (bulk, after) = rest.split_at(text.parse().unwrap());
            *rest = &after[2..];
            // A verbatim string begins with its format.
            Value::text(if first[0] == b'=' { &bulk[4..] } else { bulk })
        }
        b'*' | b'~' => Value::List((0..text.parse().unwrap()).map(|_| read(rest)).collect()),
        b'%' => {
            let pair = |_| (read(rest), read(rest));
            Value::Map((0..text.parse().unwrap()).map(pair).collect())
        }
        other => panic!("no type {other}"),
    }
}
