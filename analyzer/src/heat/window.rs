//! The last hour in spans of ten seconds, a minute and ten minutes.
//!
//! ```text
//!   hour:  |--10m--|--10m--| .. six .. |--1m--|--1m--| .. |-10s-|-10s-| .. | now |
//! ```
//!
//! Writes go into the span that is open. Every ten seconds it is closed and kept as its largest rows;
//! six of those make a minute, ten minutes make one of ten. A window is made of whole spans, so it
//! covers a little more than its name says, and every answer says how much.
//!
//! Time here is what passed on the wall clock, which is told about once a second (never by commands,
//! which are older than that): a clock that is put back stops it for an instant, one that is put
//! forward by more than an hour empties all windows.

use std::collections::VecDeque;

use super::Work;
use super::rates::{BySlot, Numbered, Slots};
use super::sketch::{Rows, Sketch, merge};

/// Milliseconds of the shortest span.
const SPAN_MS: u64 = 10_000;

/// Spans of a minute, minutes of the next longer span, and of those the ones that are kept.
const TENS: usize = 6;
const MINUTES: usize = 10;
const LONGS: usize = 6;

/// A gap that leaves nothing to tell.
const GAP_MAX_MS: u64 = 4_200_000;

/// Rows of a closed span by writes, and as many by bytes.
pub(super) const ROWS_KEPT: usize = 128;

/// Most buckets of the sketch of keys, and of hash tags: 4096 and 1024 rows.
const KEY_BUCKETS: usize = 512;
const TAG_BUCKETS: usize = 128;

/// How far back an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last minute.
    Minute,
    /// The last ten minutes.
    TenMinutes,
    /// The last hour.
    Hour,
}

/// The open span.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) keys: Sketch,
    pub(super) tags: Sketch,
    pub(super) commands: Numbered,
    pub(super) slots: Slots,
}

/// A closed span.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    /// Milliseconds.
    pub(super) took_ms: u64,
    /// Writes to keys, all of them.
    pub(super) total: Work,
    pub(super) keys: Rows,
    pub(super) tags: Rows,
    pub(super) commands: Numbered,
    pub(super) slots: BySlot,
    /// Bytes allocated for it.
    heap: usize,
}

impl Open {
    pub(super) fn new() -> Open {
        Open {
            keys: Sketch::new(KEY_BUCKETS),
            tags: Sketch::new(TAG_BUCKETS),
            commands: Numbered::default(),
            slots: Slots::default(),
        }
    }

    /// As if it ended now.
    fn span(&self, took_ms: u64) -> Span {
        Span {
            took_ms,
            total: self.keys.total(),
            keys: self.keys.rows(ROWS_KEPT),
            tags: self.tags.rows(ROWS_KEPT),
            commands: self.commands.clone(),
            slots: self.slots.written(),
            heap: 0,
        }
        .weighed()
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.tags.clear();
        self.commands.0.fill(Work::default());
        self.slots.clear();
    }
}

impl Span {
    /// Several spans as one.
    fn of(parts: &[&Span], keep: usize) -> Span {
        let mut commands = Numbered::default();
        parts.iter().for_each(|part| commands.take(&part.commands));
        Span {
            took_ms: parts.iter().map(|part| part.took_ms).sum(),
            total: parts
                .iter()
                .fold(Work::default(), |sum, part| sum.plus(part.total)),
            keys: merge(parts.iter().map(|part| &part.keys), keep),
            tags: merge(parts.iter().map(|part| &part.tags), keep),
            commands,
            slots: BySlot::merged(parts.iter().map(|part| &part.slots)),
            heap: 0,
        }
        .weighed()
    }

    fn weighed(mut self) -> Span {
        let rows = self.keys.rows.iter().chain(&self.tags.rows);
        let rows = rows.map(|row| size_of_val(row) + row.name.len());
        self.heap = rows.sum::<usize>()
            + self.commands.0.capacity() * size_of::<Work>()
            + self.slots.heap_bytes();
        self
    }
}

/// The spans.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) open: Open,
    /// Milliseconds since the open span began.
    open_ms: u64,
    /// The wall clock, unix milliseconds; `None` before it was first told.
    clock: Option<i64>,
    tens: VecDeque<Span>,
    minutes: VecDeque<Span>,
    longs: VecDeque<Span>,
    /// The last of `tens` that are in no minute yet, and of `minutes` in nothing longer.
    loose_tens: usize,
    loose_minutes: usize,
    /// Commands of all closed spans since the beginning.
    closed_commands: Numbered,
}

impl Spans {
    pub(super) fn new() -> Spans {
        Spans {
            open: Open::new(),
            open_ms: 0,
            clock: None,
            tens: VecDeque::new(),
            minutes: VecDeque::new(),
            longs: VecDeque::new(),
            loose_tens: 0,
            loose_minutes: 0,
            closed_commands: Numbered::default(),
        }
    }

    /// Takes the wall clock.
    #[inline]
    pub(super) fn clock(&mut self, now_ms: i64) {
        let Some(before) = self.clock.replace(now_ms) else {
            return;
        };
        let passed = u64::try_from(now_ms.saturating_sub(before)).unwrap_or(0);
        self.open_ms = self.open_ms.saturating_add(passed);
        if self.open_ms >= SPAN_MS {
            self.close();
        }
    }

    #[cold]
    fn close(&mut self) {
        self.closed_commands.take(&self.open.commands);
        if self.open_ms > GAP_MAX_MS {
            *self = Spans {
                clock: self.clock,
                closed_commands: std::mem::take(&mut self.closed_commands),
                ..Spans::new()
            };
            return;
        }
        while self.open_ms >= SPAN_MS {
            // The clock comes every second, so that a pause stands behind what was written.
            let span = self.open.span(SPAN_MS);
            self.open.clear();
            self.open_ms -= SPAN_MS;
            keep(&mut self.tens, span, TENS);
            self.loose_tens += 1;
            if self.loose_tens == TENS {
                self.loose_tens = 0;
                let parts: Vec<&Span> = self.tens.iter().collect();
                keep(&mut self.minutes, Span::of(&parts, ROWS_KEPT), MINUTES);
                self.loose_minutes += 1;
            }
            if self.loose_minutes == MINUTES {
                self.loose_minutes = 0;
                let parts: Vec<&Span> = self.minutes.iter().collect();
                keep(&mut self.longs, Span::of(&parts, ROWS_KEPT), LONGS);
            }
        }
    }

    /// All of a window, at least as long as its name says once so much has passed.
    pub(super) fn window(&self, window: Window) -> Span {
        let open = self.open.span(self.open_ms);
        let mut parts = vec![&open];
        parts.extend(self.closed(window));
        Span::of(&parts, usize::MAX)
    }

    /// Commands since the beginning.
    pub(super) fn commands_ever(&self) -> Numbered {
        let mut commands = self.closed_commands.clone();
        commands.take(&self.open.commands);
        commands
    }

    /// Milliseconds and writes of a window.
    pub(super) fn total(&self, window: Window) -> (u64, Work) {
        let open = (self.open_ms, self.open.keys.total());
        let closed = self.closed(window).into_iter();
        closed.fold(open, |(ms, work), span| {
            (ms + span.took_ms, work.plus(span.total))
        })
    }

    /// The closed spans of a window.
    fn closed(&self, window: Window) -> Vec<&Span> {
        let loose_tens = self.tens.len() - self.loose_tens..;
        let loose_minutes = self.minutes.len() - self.loose_minutes..;
        let mut parts = Vec::new();
        match window {
            Window::Minute => parts.extend(&self.tens),
            Window::TenMinutes => {
                parts.extend(self.tens.range(loose_tens));
                parts.extend(&self.minutes);
            }
            Window::Hour => {
                parts.extend(self.tens.range(loose_tens));
                parts.extend(self.minutes.range(loose_minutes));
                parts.extend(&self.longs);
            }
        }
        parts
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let closed = self.tens.iter().chain(&self.minutes).chain(&self.longs);
        closed.map(|span| span.heap).sum::<usize>()
            + self.open.keys.heap_bytes()
            + self.open.tags.heap_bytes()
            + self.open.slots.heap_bytes()
    }
}

fn keep(spans: &mut VecDeque<Span>, span: Span, most: usize) {
    if spans.len() == most {
        spans.pop_front();
    }
    spans.push_back(span);
}
