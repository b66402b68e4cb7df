//! A link before its stream: answers, the envelope, the snapshot.

use super::{Link, State};
use crate::error::Error;
use crate::event::{Event, Step};
use crate::handshake::{Answer, Ask, Purpose};
use crate::limits;
use crate::options::Announce;
use crate::position::Position;
use crate::rdb::{Item, Sink};
use crate::resp::{self, Fault, Line};
use crate::transfer::{self, Form, Progress, Transfer};

/// Takes a snapshot nobody needs.
struct Swallow;

impl Sink for Swallow {
    fn item(&mut self, _: Item<'_>) {}
}

impl Link {
    /// A reply of the handshake, or what comes in its place.
    pub(super) fn answer(&mut self, ask: Ask, is_sent: bool, input: &[u8]) -> Result<Step, Error> {
        match input.first() {
            None => Ok(Step {
                consumed: 0,
                event: None,
            }),
            Some(b'\n') if ask.is_last() && is_sent => self.keepalives(input),
            Some(b'$') if ask.is_last() && is_sent => {
                self.state = State::Waiting;
                match self.purpose {
                    Purpose::Follow => {
                        let event = Some(Event::FullResync { start: None });
                        Ok(Step { consumed: 0, event })
                    }
                    Purpose::StandBy { .. } => self.envelope(input),
                }
            }
            Some(b'+' | b'-') => self.answer_line(ask, is_sent, input),
            Some(other) => Err(self.fault(Fault::Reply(*other))),
        }
    }

    fn answer_line(&mut self, ask: Ask, is_sent: bool, input: &[u8]) -> Result<Step, Error> {
        let (text, consumed) = match resp::line(input, limits::LINE_BYTES_MAX) {
            Ok(Line::Whole(text, consumed)) => (text, consumed),
            Ok(Line::Part) => {
                return Ok(Step {
                    consumed: 0,
                    event: None,
                });
            }
            Err(fault) => return Err(self.fault(fault)),
        };
        let answer = match text.split_first() {
            Some((b'-', text)) => match ask.refused(text, &self.options) {
                Ok(answer) => Some(answer),
                Err(error) => return Err(self.end(error)),
            },
            Some((_, text)) => ask.accepted(text, &self.options),
            None => None,
        };
        if !is_sent {
            return Err(self.unexpected("silence, as nothing was asked", "a reply"));
        }
        let Some(answer) = answer else {
            return Err(self.unexpected("an answer to PSYNC", "another reply"));
        };
        self.received = self.received.saturating_add(consumed as u64);
        let event = self.proceed(ask, answer);
        Ok(Step { consumed, event })
    }

    /// Acts on an answer.
    fn proceed(&mut self, ask: Ask, answer: Answer) -> Option<Event> {
        match answer {
            Answer::Next | Answer::Declined => {
                if (ask, answer) == (Ask::Version, Answer::Declined) {
                    // Redis: there is nothing to lower, and in the stream it would be an error.
                    self.options.announce = Announce::Nothing;
                }
                let next = ask.next(&self.options, self.purpose);
                self.state = State::Handshake {
                    ask: next,
                    is_sent: false,
                };
                (answer == Answer::Declined).then_some(Event::Declined { ask })
            }
            Answer::FullResync(replid, offset) => {
                self.start = Some((replid, offset));
                self.state = State::Waiting;
                Some(Event::FullResync { start: self.start })
            }
            Answer::Continue(renamed) => {
                // `accepted` lets this pass only if we asked to continue.
                let asked = self.options.resume?;
                let replid = renamed.unwrap_or(asked.replid);
                let position = Position { replid, ..asked };
                self.begin_stream(position, false);
                Some(Event::Continued {
                    position,
                    renamed: replid != asked.replid,
                })
            }
        }
    }

    /// Newlines that say the server is busy saving.
    fn keepalives(&mut self, input: &[u8]) -> Result<Step, Error> {
        let consumed = input.iter().take_while(|byte| **byte == b'\n').count();
        self.newlines = self.newlines.saturating_add(consumed as u64);
        if self.newlines > limits::NEWLINES_MAX {
            let (max, got) = (limits::NEWLINES_MAX, self.newlines);
            return Err(self.fault(Fault::TooBig {
                what: "run of newlines",
                max,
                got,
            }));
        }
        self.received = self.received.saturating_add(consumed as u64);
        Ok(Step {
            consumed,
            event: None,
        })
    }

    pub(super) fn envelope(&mut self, input: &[u8]) -> Result<Step, Error> {
        match input.first() {
            Some(b'\n') => return self.keepalives(input),
            // A save that fails is told to those who wait for it.
            Some(b'-') => return self.answer_line(Ask::Psync, true, input),
            Some(_) | None => {}
        }
        let parsed = match resp::line(input, limits::LINE_BYTES_MAX) {
            Ok(Line::Part) => {
                return Ok(Step {
                    consumed: 0,
                    event: None,
                });
            }
            Ok(Line::Whole(text, consumed)) => Form::parse(text).map(|form| (form, consumed)),
            Err(fault) => Err(fault),
        };
        let (form, consumed) = match parsed {
            Ok(parsed) => parsed,
            Err(fault) => return Err(self.fault(fault)),
        };
        self.received = self.received.saturating_add(consumed as u64);
        self.transfer = Some(Box::new(Transfer::new(form, self.options.seed)));
        self.state = State::Transfer;
        let bytes = match form {
            Form::Sized(bytes) => Some(bytes),
            Form::Marked(_) => None,
        };
        let event = match self.purpose {
            Purpose::Follow => Some(Event::SnapshotBegan { bytes }),
            Purpose::StandBy { .. } => None,
        };
        Ok(Step { consumed, event })
    }

    pub(super) fn snapshot<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<Step, Error> {
        let Some(transfer) = &mut self.transfer else {
            return Err(self.end(Error::Ended));
        };
        let progress = match self.purpose {
            Purpose::Follow => transfer.feed(input, sink),
            Purpose::StandBy { .. } => transfer.feed(input, &mut Swallow),
        };
        let (consumed, is_whole) = match progress {
            Ok(Progress::Took(consumed)) => (consumed, false),
            Ok(Progress::Ended(consumed)) => (consumed, true),
            Err(transfer::Broken::Decoder(source)) => {
                let error = Error::Snapshot {
                    at: self.at(),
                    source,
                };
                return Err(self.end(error));
            }
            Err(transfer::Broken::Order { expected, got }) => {
                return Err(self.unexpected(expected, got));
            }
        };
        self.received = self.received.saturating_add(consumed as u64);
        let event = if is_whole {
            Some(self.end_snapshot()?)
        } else {
            None
        };
        Ok(Step { consumed, event })
    }

    /// The snapshot is whole: the stream begins where it lies.
    fn end_snapshot(&mut self) -> Result<Event, Error> {
        let origin = self
            .transfer
            .take()
            .map(|transfer| transfer.origin)
            .unwrap_or_default();
        let Some((replid, offset)) = self.start.or_else(|| origin.replid.zip(origin.offset)) else {
            let expected = "the position of the snapshot, in an answer or inside it";
            return Err(self.unexpected(expected, "neither"));
        };
        let position = Position {
            replid,
            offset,
            db: origin.db.unwrap_or(0),
        };
        self.begin_stream(position, true);
        if self.purpose == Purpose::Follow {
            return Ok(Event::SnapshotEnded { position });
        }
        self.start = Some((replid, offset));
        self.replid = None;
        self.state = State::Held;
        Ok(Event::StandsBy { replid, offset })
    }
}
