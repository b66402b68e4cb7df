//! Where else than at its position a link may continue.
//!
//! ```text
//!   A: ----------.......p1           p  where we left a history for another
//!            \           \          .  what the promoted replica never had
//!             C           B: ...p2
//! ```
//!
//! A server that does not know `B` may know `A`. A killed master that comes back as a master of its
//! own, before Sentinel or the cluster demotes it, continues `A` under a new replid; the replica that
//! was promoted meanwhile has never heard of that one, and left `A` for its own `C`. As far as the
//! model can undo what was followed since (`Keyspace::go_back`), it goes back to where `C` begins.

use replica_shim::position::{Backlog, Offset};
use replica_shim::{Coverage, Position};

/// Histories remembered; a server itself remembers two.
const FORMER_MAX: usize = 4;

/// The histories that we came through.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// Where each was left, the latest last; none is beyond our position.
    former: Vec<Position>,
}

impl Trail {
    /// Begins anew with a snapshot.
    pub fn begin(&mut self) {
        self.former.clear();
    }

    /// The link was at `before` and goes on at `now`.
    pub fn went_on(&mut self, before: Position, now: &Position) {
        if before.replid == now.replid {
            return;
        }
        if self.former.len() >= FORMER_MAX {
            self.former.remove(0);
        }
        self.former.push(before);
    }

    /// The link goes back to a position.
    pub fn went_back(&mut self, to: &Position) {
        self.former.retain(|p| p.offset <= to.offset);
    }

    /// A position that the server continues from, for one that it does not continue from; none
    /// before `undoable_from`.
    #[must_use]
    pub fn earlier(
        &self,
        position: &Position,
        undoable_from: u64,
        backlog: &Backlog,
    ) -> Option<Position> {
        let known = std::iter::once(position).chain(self.former.iter().rev());
        known
            .filter_map(|position| continued(position, backlog))
            .find(|position| undoable_from <= position.offset.get())
    }
}

/// The position itself, or where the server left its history to become a master.
fn continued(position: &Position, backlog: &Backlog) -> Option<Position> {
    let end = backlog.second.filter(|(id, _)| *id == position.replid);
    let end = end.and_then(|(_, end)| end.get().checked_sub(1));
    let offset = end.map_or(position.offset, |end| position.offset.min(Offset(end)));
    let position = Position {
        offset,
        ..*position
    };
    (position.coverage(backlog) == Coverage::Continues).then_some(position)
}

#[cfg(test)]
mod tests {
    use replica_shim::position::ReplId;

    use super::*;

    fn id(name: u8) -> ReplId {
        ReplId::parse(&[name; 40]).unwrap()
    }

    fn at(name: u8, offset: u64) -> Position {
        Position {
            replid: id(name),
            offset: Offset(offset),
            db: 0,
        }
    }

    /// A server that became a master at 100, until when it followed `second`.
    fn promoted(second: u8) -> Backlog {
        Backlog {
            replid: id(b'c'),
            second: Some((id(second), Offset(101))),
            offset: Offset(140),
            first_byte: Some(Offset(1)),
        }
    }

    #[test]
    fn what_the_promoted_replica_never_had_is_gone_back_over() {
        let trail = Trail::default();
        let earlier = |undoable| trail.earlier(&at(b'a', 120), undoable, &promoted(b'a'));
        assert_eq!(earlier(90), Some(at(b'a', 100)));
        assert_eq!(earlier(110), None);
    }

    #[test]
    fn a_history_that_the_server_does_not_know_leads_to_one_that_it_knows() {
        let mut trail = Trail::default();
        trail.went_on(at(b'a', 100), &at(b'b', 100));
        let earlier = |undoable, known| trail.earlier(&at(b'b', 130), undoable, &promoted(known));
        assert_eq!(earlier(90, b'a'), Some(at(b'a', 100)));
        assert_eq!(earlier(90, b'd'), None);
        assert_eq!(earlier(115, b'a'), None);
    }

    #[test]
    fn the_same_history_is_no_other() {
        let mut trail = Trail::default();
        trail.went_on(at(b'a', 80), &at(b'a', 80));
        assert_eq!(trail.earlier(&at(b'b', 130), 0, &promoted(b'a')), None);
    }

    #[test]
    fn what_lies_beyond_the_place_gone_back_to_is_forgotten() {
        let mut trail = Trail::default();
        trail.went_on(at(b'a', 60), &at(b'b', 60));
        trail.went_on(at(b'b', 95), &at(b'd', 95));
        trail.went_back(&at(b'a', 60));
        assert_eq!(trail.earlier(&at(b'e', 99), 0, &promoted(b'b')), None);
    }

    #[test]
    fn few_histories_are_remembered() {
        let mut trail = Trail::default();
        for name in b'1'..=b'9' {
            trail.went_on(at(name, 100), &at(b'a', 100));
        }
        assert_eq!(trail.former.len(), FORMER_MAX);
        let earlier = |known| trail.earlier(&at(b'f', 100), 0, &promoted(known));
        assert_eq!(earlier(b'9'), Some(at(b'9', 100)));
        assert_eq!(earlier(b'1'), None);
    }
}
