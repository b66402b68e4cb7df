//! When a server may be asked for a full sync again. Each costs it a fork, copied pages and an
//! output buffer, so one that came to nothing is not repeated at once:
//!
//! - One that was cut, or whose stream was cut soon after it: a growing wait, and no less than it
//!   took. A busy master that cuts us at its output-buffer limit after minutes would be forked
//!   without end otherwise.
//! - One whose snapshot cannot be read: ten minutes, doubled up to an hour, because the next would
//!   most likely be the same. If it holds what we do not know: a day, unless the server is another
//!   process or another version before. That is remembered of each server: the link may go to and fro
//!   between some of them.

use std::time::{Duration, Instant};

use analyzer::profile::Version;
use replica_shim::rdb::Blame;

use crate::fault::Unfit;
use crate::fleet::{Loss, Server};
use crate::link::backoff::Backoff;

/// Longest wait that only grows; a stream that holds what cannot be followed costs its master a
/// full sync no more often than this either.
pub const RESYNC_EVERY: Duration = Duration::from_secs(600);

/// Longest wait behind snapshots that cannot be read.
const UNREAD_MAX: Duration = Duration::from_secs(3600);

/// Wait behind one that holds what is not known: the key that it is in may be gone by then.
const UNSUPPORTED_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Servers whose snapshots could not be read, of which that is remembered.
const UNREAD_SERVERS: usize = 16;

/// An attempt waits itself for no longer than this; what it was told of the server grows old.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// The full syncs of one master.
#[derive(Debug)]
pub struct FullSyncs {
    waits: Backoff,
    /// A stream that lived this long behind a snapshot was a good one.
    good_life: Duration,
    /// When the one of the present link began, and the least wait behind it.
    began: Option<(Instant, Duration)>,
    /// Since when the present link follows its stream.
    live: Option<Instant>,
    bar: Bar,
}

/// What stands against a full sync now.
#[derive(Clone, Debug)]
pub struct Bar {
    not_before: Instant,
    /// The last one is the newest.
    unread: Vec<Unread>,
}

/// A snapshot that could not be read.
#[derive(Clone, Debug)]
struct Unread {
    /// Whose it was; `None` if the server does not say who it is.
    server: Option<Process>,
    until: Instant,
    /// The wait that ends then.
    wait: Duration,
    loss: Loss,
    text: String,
}

/// What a snapshot depends on, beside the keys: the run id and the version.
type Process = (String, Version);

/// Of a server that does not say who it is nobody sees that it is another one.
fn process(server: Option<&Server>) -> Option<Process> {
    let server = server.filter(|server| !server.run_id.is_empty())?;
    Some((server.run_id.clone(), server.version))
}

impl FullSyncs {
    /// None yet; waits begin at `min`.
    pub fn new(min: Duration, good_life: Duration, now: Instant) -> FullSyncs {
        FullSyncs {
            waits: Backoff::new(min, RESYNC_EVERY.max(min)),
            good_life,
            began: None,
            live: None,
            bar: Bar {
                not_before: now,
                unread: Vec::new(),
            },
        }
    }

    /// What stands against one now.
    pub fn bar(&self) -> Bar {
        self.bar.clone()
    }

    /// The server answered with one, foreseen or not.
    pub fn began(&mut self, now: Instant) {
        let wait = self.waits.next_wait();
        self.began = Some((now, wait));
        self.bar.not_before = now + wait;
    }

    /// The link follows its stream: its snapshot, if there was one, is whole.
    pub fn live(&mut self, now: Instant) {
        self.live = Some(now);
        if self.began.is_some() {
            self.bar.unread.clear();
        }
    }

    /// The snapshot of `server` could not be read.
    pub fn unread(
        &mut self,
        server: Option<&Server>,
        (blame, text): (Blame, String),
        now: Instant,
    ) {
        let server = process(server);
        let unread = &mut self.bar.unread;
        let known = unread.iter().position(|one| one.server == server);
        let before = known.map(|at| unread.remove(at).wait);
        let wait = before.map_or(RESYNC_EVERY, |before| (before * 2).min(UNREAD_MAX));
        let (loss, until) = match blame {
            Blame::Unsupported if server.is_some() => (Loss::Unsupported, now + UNSUPPORTED_WAIT),
            Blame::Unsupported => (Loss::Unsupported, now + UNREAD_MAX),
            Blame::Peer => (Loss::Corrupt, now + wait),
            Blame::Limit => (Loss::Limit, now + wait),
        };
        if unread.len() >= UNREAD_SERVERS {
            unread.remove(0);
        }
        unread.push(Unread {
            server,
            until,
            wait,
            loss,
            text,
        });
    }

    /// The link has ended.
    pub fn ended(&mut self, now: Instant) {
        let lived = self.live.take().map(|since| now.duration_since(since));
        let is_good = lived.is_some_and(|lived| lived > self.good_life);
        let began = self.began.take();
        if is_good {
            self.waits.reset();
            self.bar.not_before = now;
        } else if let Some((began, wait)) = began {
            let wait = wait.max(now.duration_since(began));
            self.bar.not_before = now + wait;
        }
    }

    /// Another server is to be followed: it has not been asked yet. What has grown goes on, because
    /// orders may go to and fro.
    pub fn moved(&mut self, now: Instant) {
        self.bar.not_before = self.bar.not_before.min(now + self.good_life);
    }
}

impl Bar {
    /// Refuses a full sync whose snapshot would be one that cannot be read.
    ///
    /// # Errors
    /// It would be, as far as is known.
    pub fn readable(&self, server: Option<&Server>, now: Instant) -> Result<(), Unfit> {
        let server = process(server);
        let unread = self.unread.iter().find(|one| one.server == server);
        let Some(unread) = unread.filter(|unread| unread.until > now) else {
            return Ok(());
        };
        let left = unread.until.duration_since(now).as_secs();
        let text = format!(
            "for another {left} s, or before the server starts anew: the last one could not be \
             read: {}",
            unread.text
        );
        Err(Unfit::Unread(unread.loss, text))
    }

    /// When a full sync may begin, if that is soon.
    ///
    /// # Errors
    /// It is not.
    pub fn due(&self, now: Instant) -> Result<Instant, Unfit> {
        let left = self.not_before.saturating_duration_since(now);
        if left > SLEEP_MAX {
            return Err(Unfit::Spared(left.as_secs()));
        }
        Ok(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use analyzer::profile::Family;

    use super::*;
    use crate::clock;

    const MINUTE: Duration = Duration::from_secs(60);
    const GOOD: Duration = Duration::from_secs(30);

    fn full_syncs(now: Instant) -> FullSyncs {
        FullSyncs::new(Duration::from_millis(500), GOOD, now)
    }

    /// Full syncs that were cut at once, again and again.
    fn often_cut(now: Instant) -> FullSyncs {
        let mut syncs = full_syncs(now);
        for _ in 0..12 {
            syncs.began(now);
            syncs.ended(now);
        }
        syncs
    }

    fn server(run_id: &str, minor: u16) -> Server {
        Server {
            family: Family::Redis,
            version: Version::new(7, minor),
            run_id: run_id.to_owned(),
            cluster: false,
            upstream: None,
            used_memory: None,
        }
    }

    #[test]
    fn a_copy_that_was_cut_is_not_repeated_sooner_than_it_took() {
        let start = clock::now();
        let mut syncs = full_syncs(start);
        syncs.began(start);
        let now = start + 5 * MINUTE;
        syncs.ended(now);
        assert_eq!(syncs.bar().due(now), Err(Unfit::Spared(300)));
        let then = now + 5 * MINUTE;
        assert_eq!(syncs.bar().due(then), Ok(then));
    }

    #[test]
    fn a_stream_that_was_soon_cut_is_no_good_life_however_long_its_snapshot_took() {
        let start = clock::now();
        let mut syncs = full_syncs(start);
        syncs.began(start);
        syncs.live(start + 2 * MINUTE);
        let now = start + 2 * MINUTE + GOOD / 2;
        syncs.ended(now);
        assert_eq!(syncs.bar().due(now), Err(Unfit::Spared(135)));
        // One that lived leaves nothing to wait for.
        syncs.began(now);
        syncs.live(now + MINUTE);
        let now = now + MINUTE + 2 * GOOD;
        syncs.ended(now);
        assert!(syncs.bar().due(now).is_ok_and(|at| at <= now));
        syncs.began(now);
        let soon = now + Duration::from_secs(1);
        assert!(syncs.bar().due(now).is_ok_and(|at| at <= soon));
    }

    #[test]
    fn copies_that_fail_at_once_are_made_every_few_minutes_in_the_end() {
        let now = clock::now();
        let mut syncs = often_cut(now);
        assert!(syncs.bar().due(now + RESYNC_EVERY - MINUTE).is_err());
        // Another server is not the one that was asked so often.
        syncs.moved(now);
        assert_eq!(syncs.bar().due(now), Ok(now + GOOD));
    }

    #[test]
    fn what_is_not_supported_is_asked_for_once_of_each_process_and_version() {
        let now = clock::now();
        let mut syncs = full_syncs(now);
        let first = server("a", 0);
        syncs.unread(
            Some(&first),
            (Blame::Unsupported, "type 99".to_owned()),
            now,
        );
        let later = now + UNSUPPORTED_WAIT - MINUTE;
        let bar = syncs.bar();
        let refused = bar.readable(Some(&first), later);
        assert!(
            matches!(&refused, Err(Unfit::Unread(Loss::Unsupported, text)) if text.contains("type 99")),
            "{refused:?}"
        );
        assert_eq!(bar.readable(Some(&server("b", 0)), later), Ok(()));
        assert_eq!(bar.readable(Some(&server("a", 2)), later), Ok(()));
        assert_eq!(bar.readable(Some(&first), later + MINUTE), Ok(()));
        // The link goes to another server and back: both are remembered.
        let second = server("b", 0);
        syncs.unread(Some(&second), (Blame::Peer, "checksum".to_owned()), now);
        let soon = now + MINUTE;
        for server in [&first, &second] {
            assert!(syncs.bar().readable(Some(server), soon).is_err());
        }
        // Who does not say who it is may be another one at any time.
        syncs.unread(
            Some(&server("", 0)),
            (Blame::Unsupported, "type 99".to_owned()),
            now,
        );
        let nobody = syncs.bar().readable(None, now + UNREAD_MAX);
        assert_eq!(nobody, Ok(()));
    }

    /// Behind cuts the waits have grown; a stream that lived long ends them.
    #[test]
    fn a_good_life_leaves_nothing_to_wait_for() {
        let now = clock::now();
        let mut syncs = often_cut(now);
        syncs.began(now);
        syncs.live(now);
        let then = now + 2 * GOOD;
        syncs.ended(then);
        assert_eq!(syncs.bar().due(then), Ok(then));
    }

    #[test]
    fn what_is_damaged_is_asked_for_ever_more_rarely() {
        let mut now = clock::now();
        let mut syncs = full_syncs(now);
        for minutes in [10, 20, 40, 60, 60] {
            syncs.unread(None, (Blame::Peer, "checksum".to_owned()), now);
            let wait = minutes * MINUTE;
            let second = Duration::from_secs(1);
            assert!(syncs.bar().readable(None, now + wait - second).is_err());
            assert_eq!(syncs.bar().readable(None, now + wait), Ok(()));
            now += wait;
        }
        // One that was read ends it.
        syncs.began(now);
        syncs.live(now);
        assert_eq!(syncs.bar().readable(None, now), Ok(()));
        syncs.unread(None, (Blame::Limit, "key".to_owned()), now);
        assert_eq!(syncs.bar().readable(None, now + 10 * MINUTE), Ok(()));
    }
}
