//! The commands that wait for owners, as a closed list, and where each is answered.

use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use super::{info, keys, memory, monitor, report, streams, transaction};

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
}

impl Model {
    /// True if the answer is about keys, so that there is none before anything was loaded. Our own
    /// verbs say themselves how fresh they are.
    fn needs_keys(self) -> bool {
        match self {
            Model::DbSize
            | Model::RandomKey
            | Model::Keys
            | Model::Scan
            | Model::StreamInfo
            | Model::StreamGroups
            | Model::StreamConsumers => true,
            Model::Select
            | Model::Exec
            | Model::Monitor
            | Model::Info
            | Model::MemoryStats
            | Model::MemoryDoctor
            | Model::Nodes
            | Model::Summary
            | Model::Top => false,
        }
    }
}

/// Answers one of them.
pub(crate) async fn answer(session: &mut Session, model: Model, request: &Request) -> Reply {
    if model.needs_keys()
        && let Some(loading) = session.port.loading()
    {
        return loading;
    }
    let answer = match model {
        Model::Select => keys::select(session, request).await,
        Model::Exec => Ok(transaction::exec(session).await),
        Model::Monitor => Ok(monitor::begin(session).await),
        Model::Info => Ok(info::info(&session.port, request).await),
        Model::DbSize => keys::dbsize(session).await,
        Model::RandomKey => keys::random(session).await,
        Model::Keys => keys::keys(session, request).await,
        Model::Scan => keys::scan(session, request).await,
        Model::StreamInfo => streams::stream(session, request).await,
        Model::StreamGroups => streams::groups(session, request).await,
        Model::StreamConsumers => streams::consumers(session, request).await,
        Model::MemoryStats => memory::stats(session).await,
        Model::MemoryDoctor => memory::doctor(session).await,
        Model::Nodes => report::nodes(session, request).await,
        Model::Summary => report::summary(session, request).await,
        Model::Top => report::top(session, request).await,
    };
    answer.unwrap_or_else(|error| error)
}
