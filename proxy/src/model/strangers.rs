//! Commands of the stream that the server has told no key positions of: once a link it is asked.
//!
//! ```text
//!   met --> waiting --(sent)--> asked --(answer)--> answered
//!              ^                  |
//!              +---(connection lost)
//! ```
//!
//! A name that is answered stays: what the server does not tell of a command now, because it is no
//! write or we lack the right, it will not tell for the next one either.

use std::collections::BTreeMap;

/// Names of one link; further ones are not asked for.
const NAMES_MAX: usize = 32;

/// How far the question for a name has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Asked,
    Answered,
}

/// The names.
#[derive(Debug, Default)]
pub struct Strangers {
    names: BTreeMap<Vec<u8>, Stage>,
}

impl Strangers {
    /// A command without known key positions was met.
    pub fn met(&mut self, name: &[u8]) {
        let name = name.to_ascii_uppercase();
        if self.names.len() < NAMES_MAX {
            self.names.entry(name).or_insert(Stage::Waiting);
        }
    }

    /// The names to ask for now: none while others are on their way, so that an answer belongs to
    /// all that were asked.
    pub fn wanted(&self) -> Vec<Vec<u8>> {
        let is_under_way = self.names.values().any(|stage| *stage == Stage::Asked);
        let waiting = self.names.iter();
        let waiting = waiting.filter(|(_, stage)| !is_under_way && **stage == Stage::Waiting);
        waiting.map(|(name, _)| name.clone()).collect()
    }

    /// The wanted names were asked for.
    pub fn asked(&mut self) {
        self.move_all(Stage::Waiting, Stage::Asked);
    }

    /// What was asked for is answered.
    pub fn answered(&mut self) {
        self.move_all(Stage::Asked, Stage::Answered);
    }

    /// What was asked for is not going to be answered.
    pub fn lost(&mut self) {
        self.move_all(Stage::Asked, Stage::Waiting);
    }

    /// Another link begins, with what its server tells at the beginning.
    pub fn forget(&mut self) {
        self.names.clear();
    }

    fn move_all(&mut self, from: Stage, to: Stage) {
        let stages = self.names.values_mut();
        for stage in stages.filter(|stage| **stage == from) {
            *stage = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_once_and_again_where_the_answer_is_lost() {
        let mut strangers = Strangers::default();
        strangers.met(b"mod.set");
        strangers.met(b"MOD.set");
        let wanted = vec![b"MOD.SET".to_vec()];
        // Nothing is forgotten where the queue was full.
        assert_eq!(strangers.wanted(), wanted);
        assert_eq!(strangers.wanted(), wanted);
        strangers.asked();
        strangers.met(b"MOD.SET");
        assert!(strangers.wanted().is_empty());
        strangers.lost();
        assert_eq!(strangers.wanted(), wanted);
        strangers.asked();
        strangers.answered();
        strangers.met(b"MOD.SET");
        strangers.lost();
        assert!(strangers.wanted().is_empty());
        strangers.forget();
        strangers.met(b"MOD.SET");
        assert_eq!(strangers.wanted(), wanted);
    }

    #[test]
    fn what_is_met_while_a_question_is_under_way_waits_for_the_next() {
        let mut strangers = Strangers::default();
        strangers.met(b"A");
        strangers.asked();
        strangers.met(b"B");
        assert!(strangers.wanted().is_empty());
        strangers.answered();
        assert_eq!(strangers.wanted(), [b"B".to_vec()]);
        for n in 0..100 {
            strangers.met(format!("C{n}").as_bytes());
        }
        assert_eq!(strangers.wanted().len(), NAMES_MAX - 1);
    }
}
