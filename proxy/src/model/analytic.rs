//! Questions to what is counted beyond the totals: a closed list of its own, as [`Ask`] is.
//!
//! [`Ask`]: crate::model::ask::Ask

use std::collections::{BTreeMap, BTreeSet};

use analyzer::Keyspace;
use analyzer::census::{Progress, Sizes};
use analyzer::flows::{Growth, PatternFlows};
use analyzer::heat::{Tagged, Window, Work};

use crate::model::advise::Advise;
use crate::model::answer::{Job, Walks, send};
use crate::model::ask::{Answer, Freshness, Reply};
use crate::model::hot::{self, Heated, Wanted};
use crate::model::mirror::Mirror;
use crate::model::patterns::{self, Told};
use crate::model::tags;
use crate::model::ttl::{self, Outlook, Which};

/// A question about what is counted.
#[derive(Debug)]
pub enum Analytic {
    /// When keys expire.
    Expiries {
        /// The time that it is asked for, unix milliseconds: one for all masters.
        now_ms: i64,
        /// Of which keys.
        which: Which,
        /// What is known; while keys are being counted, how far that has come.
        reply: Reply<Outlook>,
    },
    /// What the stream writes most.
    Hot {
        /// What is meant.
        wanted: Wanted,
        /// The rows.
        reply: Reply<Heated>,
    },
    /// All writes to keys of a window.
    Written {
        /// Which time.
        window: Window,
        /// Milliseconds that it covers, and the writes.
        reply: Reply<(u64, Work)>,
    },
    /// Keys and bytes by hash tag, by a walk.
    Tags {
        /// The largest.
        reply: Reply<Tagged>,
    },
    /// What happened to the keys in the last seconds, days at most.
    Growth {
        /// So many seconds.
        window_s: u32,
        /// What is remembered of them.
        reply: Reply<Growth>,
    },
    /// What happened to the keys of each pattern since this was asked last, which is forgotten with
    /// the answer: one asks, and adds it up.
    PatternFlows {
        /// By pattern.
        reply: Reply<PatternFlows>,
    },
    /// Every command of the stream since the model was made.
    Commands {
        /// By name, in upper case; those that are not known have none.
        reply: Reply<BTreeMap<String, Work>>,
    },
    /// How large keys are.
    Sizes {
        /// Keys by classes; while keys are being counted, how far that has come.
        reply: Reply<Result<Sizes, Progress>>,
    },
    /// Keys by pattern and by group.
    Patterns {
        /// What is known; while keys are being counted, how far that has come.
        reply: Reply<Told>,
    },
    /// The patterns of these keys, in the order asked.
    PatternsOf {
        /// Database and name of each.
        keys: Vec<(u32, Vec<u8>)>,
        /// One glob per key; `None` if there is no such key.
        reply: Reply<Result<Vec<Option<Vec<u8>>>, Progress>>,
    },
    /// A key of each of these patterns, by a walk that gives up after a while.
    Examples {
        /// Their globs.
        wanted: BTreeSet<Vec<u8>>,
        /// Tokens that they are rolled up to.
        depth: Option<usize>,
        /// Globs and keys.
        reply: Reply<BTreeMap<Vec<u8>, Vec<u8>>>,
    },
}

/// Answers, or begins the walk that will.
pub(super) fn answer(
    ask: Analytic,
    mirror: &mut Mirror,
    (walks, advise): (&mut Walks, &Advise),
    fresh: Freshness,
) {
    let (keyspace, generation) = (&mut mirror.keyspace, mirror.generation);
    match ask {
        Analytic::Expiries {
            now_ms,
            which,
            reply,
        } => {
            let job = ttl::begin(
                (now_ms, which, advise.storm_limits()),
                keyspace,
                reply,
                fresh,
            );
            if let Some(job) = job {
                walks.push(generation, Job::Ttl(job));
            }
        }
        Analytic::Hot { wanted, reply } => {
            send(reply, fresh, hot::heated(keyspace, &wanted));
        }
        Analytic::Written { window, reply } => send(reply, fresh, keyspace.written(window)),
        Analytic::Tags { reply } => walks.push(generation, Job::Tags(tags::Job::new(reply))),
        Analytic::Growth { window_s, reply } => send(reply, fresh, keyspace.growth(window_s)),
        Analytic::PatternFlows { reply } => take_pattern_flows(keyspace, reply, fresh),
        Analytic::Commands { reply } => send(reply, fresh, keyspace.commands_ever()),
        Analytic::Sizes { reply } => send(reply, fresh, keyspace.sizes(None)),
        Analytic::Patterns { reply } => patterns::all(keyspace, reply, fresh),
        Analytic::PatternsOf { keys, reply } => patterns::of(keyspace, &keys, reply, fresh),
        Analytic::Examples {
            wanted,
            depth,
            reply,
        } => {
            let job = patterns::Job::new(wanted, depth, reply);
            walks.push(generation, Job::Examples(job));
        }
    }
}

/// What was taken is nowhere else: whoever asked and does not wait any more must not have it.
fn take_pattern_flows(keyspace: &mut Keyspace, reply: Reply<PatternFlows>, fresh: Freshness) {
    if reply.is_closed() {
        return;
    }
    let value = keyspace.take_pattern_flows();
    if let Err(unheard) = reply.send(Answer { fresh, value }) {
        keyspace.return_pattern_flows(unheard.value);
    }
}
