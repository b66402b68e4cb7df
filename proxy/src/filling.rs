//! A thread beside a large load: one makes records of what comes, the other fills them into pages.
//!
//! ```text
//! owner: link -> decoder -> Keyspace --batches, at most QUEUE_MAX--> thread: Filler
//!                                    <-------- empty ones ---------
//! ```
//!
//! Loading is one of the two times at which a master's model uses a second core (the other is reading
//! ahead, `link::ahead`), and only from about a megabyte of keys on. A full queue makes the owner wait for one batch, a fraction of a
//! millisecond; the end of a load waits for all that are under way.

use std::num::NonZero;
use std::panic;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use analyzer::keyspace::{Batch, Filler, Helper};

/// Batches that wait for the thread: some 50 KiB each.
const QUEUE_MAX: usize = 8;

/// The thread and the way to it.
#[derive(Debug)]
struct Aside {
    full: SyncSender<Batch>,
    empty: Receiver<Batch>,
    thread: JoinHandle<Option<Box<Filler>>>,
}

/// Starts a thread for a load, unless there is but one core or no thread to be had.
///
/// # Errors
/// There is no help: the filler comes back.
pub fn hire(filler: Box<Filler>) -> Result<Box<dyn Helper>, Box<Filler>> {
    if thread::available_parallelism().map_or(1, NonZero::get) < 2 {
        return Err(filler);
    }
    let (full, batches) = sync_channel::<Batch>(QUEUE_MAX);
    let (returns, empty) = sync_channel(2 * QUEUE_MAX);
    let (hand, handed) = sync_channel::<Box<Filler>>(1);
    let work = move || {
        let mut filler = handed.recv().ok()?;
        for mut batch in batches {
            filler.fill(&mut batch);
            // Where nobody wants it back it is freed.
            let _ = returns.try_send(batch);
        }
        Some(filler)
    };
    let Ok(thread) = thread::Builder::new().name("load".into()).spawn(work) else {
        return Err(filler);
    };
    hand.send(filler).map_err(|unsent| unsent.0)?;
    Ok(Box::new(Aside {
        full,
        empty,
        thread,
    }))
}

impl Helper for Aside {
    fn take(&mut self, batch: Batch) -> Batch {
        // A thread that is gone has panicked, which `finish` passes on.
        let _ = self.full.send(batch);
        self.empty.try_recv().unwrap_or_default()
    }

    fn finish(self: Box<Self>) -> Option<Box<Filler>> {
        drop(self.full);
        match self.thread.join() {
            Ok(filler) => filler,
            // The owner's own panic from here on: its supervisor knows what to do.
            Err(panicked) => panic::resume_unwind(panicked),
        }
    }
}

#[cfg(test)]
mod tests {
    use analyzer::Keyspace;
    use analyzer::input::{Key, Shape};
    use analyzer::profile::{Family, Profile, Version};

    use super::*;

    fn load(keyspace: &mut Keyspace, from: u64, to: u64) {
        for n in from..to {
            let name = format!("key:{n}");
            let key = Key {
                db: 0,
                name: name.as_bytes(),
                shape: Shape::String,
                expire_ms: None,
                idle_s: None,
                freq: None,
                count_hint: 1,
            };
            keyspace.load_string(key, n % 100, None);
        }
    }

    #[test]
    fn a_load_with_help_is_the_same_load() {
        let profile = || Profile::defaults(Family::Redis, Version::new(7, 0));
        let mut alone = Keyspace::new(profile(), 7);
        let mut helped = Keyspace::new(profile(), 7).with_helper(hire);
        for keyspace in [&mut alone, &mut helped] {
            for round in 0..2 {
                keyspace.begin_load(round);
                keyspace.expect_keys(0, 100_000);
                load(keyspace, 0, 100_000);
                load(keyspace, 90_000, 91_000);
                keyspace.commit_load(1);
                // One that fails on the way leaves what is there.
                keyspace.begin_load(round);
                load(keyspace, 0, 70_000);
                keyspace.abort_load();
            }
            keyspace.audit().expect("sums agree");
            assert_eq!(keyspace.counters().loaded_twice, 2000);
        }
        assert_eq!(alone.totals(), helped.totals());
        assert_eq!((alone.keys(), helped.keys()), (100_000, 100_000));
    }

    #[test]
    fn a_load_that_is_forgotten_ends_its_thread() {
        let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
        let mut keyspace = Keyspace::new(profile, 7).with_helper(hire);
        keyspace.begin_load(1);
        load(&mut keyspace, 0, 70_000);
        drop(keyspace);
    }
}
