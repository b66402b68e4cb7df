//! The commands that wait for owners, as a closed list, and where each is answered.

use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use super::{
    advise, cluster, growth, hot, info, keys, memory, monitor, nodes, patterns, rebalance, report,
    slots, streams, target, transaction, ttl, verify, whatif,
};

/// A command that is answered by asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// SELECT: a database is known by its keys.
    Select,
    /// EXEC: whatever was queued.
    Exec,
    /// MONITOR.
    Monitor,
    /// INFO.
    Info,
    /// DBSIZE.
    DbSize,
    /// RANDOMKEY.
    RandomKey,
    /// KEYS.
    Keys,
    /// SCAN.
    Scan,
    /// XINFO STREAM.
    StreamInfo,
    /// XINFO GROUPS.
    StreamGroups,
    /// XINFO CONSUMERS.
    StreamConsumers,
    /// MEMORY STATS.
    MemoryStats,
    /// MEMORY DOCTOR.
    MemoryDoctor,
    /// KS.NODES.
    Nodes,
    /// KS.SUMMARY.
    Summary,
    /// KS.TOP.
    Top,
    /// KS.TARGET: it must not overtake the questions before it.
    Target,
    /// KS.SLOTS.
    Slots,
    /// KS.GROWTH.
    Growth,
    /// KS.TTL.
    Ttl,
    /// KS.REBALANCE.
    Rebalance,
    /// KS.HOT.
    Hot,
    /// KS.PATTERNS.
    Patterns,
    /// KS.VERIFY.
    Verify,
    /// KS.WHATIF.
    WhatIf,
    /// KS.ADVISE.
    Advise,
    /// CLUSTER COUNTKEYSINSLOT.
    CountInSlot,
    /// CLUSTER GETKEYSINSLOT.
    KeysInSlot,
}

/// Answers one of them.
pub(crate) async fn answer(session: &mut Session, model: Model, request: &Request) -> Reply {
    let answer = match model {
        Model::Select => keys::select(session, request).await,
        Model::Exec => Ok(transaction::exec(session).await),
        Model::Monitor => monitor::begin(session).await,
        Model::Info => Ok(info::info(session, request).await),
        Model::DbSize => keys::dbsize(session).await,
        Model::RandomKey => keys::random(session).await,
        Model::Keys => keys::keys(session, request).await,
        Model::Scan => keys::scan(session, request).await,
        Model::StreamInfo => streams::stream(session, request).await,
        Model::StreamGroups => streams::groups(session, request).await,
        Model::StreamConsumers => streams::consumers(session, request).await,
        Model::MemoryStats => memory::stats(session).await,
        Model::MemoryDoctor => memory::doctor(session).await,
        Model::Nodes => nodes::nodes(session, request).await,
        Model::Summary => report::summary(session, request).await,
        Model::Top => report::top(session, request).await,
        Model::Target => target::target(session, request),
        Model::Slots => slots::slots(session, request).await,
        Model::Growth => growth::growth(session, request).await,
        Model::Ttl => ttl::ttl(session, request).await,
        Model::Rebalance => rebalance::rebalance(session, request).await,
        Model::Hot => hot::hot(session, request).await,
        Model::Patterns => patterns::patterns(session, request).await,
        Model::Verify => verify::verify(session, request).await,
        Model::WhatIf => whatif::what_if(session, request).await,
        Model::Advise => advise::advise(session, request).await,
        Model::CountInSlot => cluster::count(session, request).await,
        Model::KeysInSlot => cluster::keys(session, request).await,
    };
    answer.unwrap_or_else(|error| error)
}
