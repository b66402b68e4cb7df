//! Which handler a command name means, found without comparing it to every name there is, and a
//! small number for each name that is known, to count by.

use std::collections::BTreeMap;

use crate::command::{Handler, handler, server};
use crate::flows::Verb;
use crate::text::Text;

/// Longest command name that the model knows.
const NAME_MAX: usize = 24;

/// Slots of the cache, a power of two above the number of commands in use.
const SLOTS: usize = 256;

/// What to do with a command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// It edits keys.
    Handler(Handler),
    /// It concerns no key.
    Ignore,
    /// Its effects cannot be known.
    Resync,
    /// Nobody knows it.
    Unknown,
}

/// What a name means, and its number: 0 for all names that are not known.
pub(crate) type Numbered = (Call, u16);

/// A command name in upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    len: u8,
    bytes: [u8; NAME_MAX],
}

impl Name {
    #[inline]
    fn of(text: &[u8]) -> Option<Name> {
        let mut bytes = [0; NAME_MAX];
        let field = bytes.get_mut(..text.len())?;
        field.copy_from_slice(text);
        field.make_ascii_uppercase();
        let len = u8::try_from(text.len()).ok()?;
        Some(Name { len, bytes })
    }

    fn slot(&self) -> usize {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes;
        let word = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let mixed = (word ^ u64::from(self.len) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let [.., top] = mixed.to_le_bytes();
        usize::from(top) % SLOTS
    }
}

/// Remembers what names mean.
#[derive(Debug)]
pub(crate) struct Dispatch {
    slots: Vec<Option<(Name, Numbered)>>,
    /// Known names that were met, by number less one: as many as the model knows at most.
    names: Vec<Name>,
    numbers: BTreeMap<Name, u16>,
}

impl Dispatch {
    pub(crate) fn new() -> Dispatch {
        Dispatch {
            slots: vec![None; SLOTS],
            names: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// What the command of that name does.
    #[inline]
    pub(crate) fn call(&mut self, name: &Text<'_>) -> Numbered {
        let Text::Bytes(text) = name else {
            return (Call::Unknown, 0);
        };
        let Some(name) = Name::of(text) else {
            return (Call::Unknown, 0);
        };
        let slot = name.slot();
        if let Some((known, call)) = &self.slots[slot]
            && *known == name
        {
            return *call;
        }
        let text = name.bytes.get(..usize::from(name.len)).unwrap_or_default();
        let call = match (handler(text), server::keyless(text)) {
            (Some(handler), _) => Call::Handler(handler),
            (None, Some(call)) => call,
            (None, None) => Call::Unknown,
        };
        let numbered = match call {
            Call::Unknown => (call, 0),
            Call::Handler(_) | Call::Ignore | Call::Resync => (call, self.number(name)),
        };
        self.slots[slot] = Some((name, numbered));
        numbered
    }

    fn number(&mut self, name: Name) -> u16 {
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        self.names.push(name);
        let number = u16::try_from(self.names.len()).unwrap_or(0);
        self.numbers.insert(name, number);
        number
    }

    /// What a command of that number does to a key.
    pub(crate) fn verb(&self, number: u16) -> Verb {
        let name = usize::from(number).checked_sub(1);
        let name = name.and_then(|at| self.names.get(at));
        match name.and_then(|name| name.bytes.get(..usize::from(name.len))) {
            Some(b"DEL" | b"UNLINK") => Verb::Delete,
            Some(b"PERSIST" | b"GETEX") => Verb::Persist,
            Some(_) | None => Verb::Other,
        }
    }

    /// The name of a number, in upper case; empty for all that are not known.
    pub(crate) fn name(&self, number: usize) -> String {
        let name = number.checked_sub(1).and_then(|at| self.names.get(at));
        let bytes = name.map_or(&[][..], |name| &name.bytes[..usize::from(name.len)]);
        String::from_utf8_lossy(bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        let mut dispatch = Dispatch::new();
        let mut call = |name: &[u8]| dispatch.call(&Text::Bytes(name)).0;
        for _ in 0..2 {
            assert!(matches!(call(b"set"), Call::Handler(_)));
            assert!(matches!(call(b"SeT"), Call::Handler(_)));
            assert!(matches!(call(b"publish"), Call::Ignore));
            assert!(matches!(call(b"EVALSHA"), Call::Resync));
            assert!(matches!(call(b"nothing.like.it"), Call::Unknown));
            assert!(matches!(call(&[b'x'; 25]), Call::Unknown));
            assert!(matches!(call(b""), Call::Unknown));
        }
    }

    #[test]
    fn known_names_have_a_number_and_others_share_one() {
        let mut dispatch = Dispatch::new();
        let mut number = |name: &[u8]| dispatch.call(&Text::Bytes(name)).1;
        let (set, get) = (number(b"set"), number(b"PUBLISH"));
        assert_eq!((set, get, number(b"SET")), (1, 2, 1));
        assert_eq!((number(b"no.such"), number(b"nor.such")), (0, 0));
        assert_eq!(dispatch.name(1), "SET");
        assert_eq!((dispatch.name(0), dispatch.name(9)), Default::default());
    }
}
