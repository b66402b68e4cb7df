//! What a keyspace counts of its own life.

/// What happened to a keyspace since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commands that changed a key.
    pub applied: u64,
    /// Commands that found nothing to change.
    pub no_change: u64,
    /// Commands that concern no key.
    pub ignored: u64,
    /// Commands that the model does not know.
    pub unknown: u64,
    /// Commands that do not parse as what they name.
    pub malformed: u64,
    /// Commands after which only a full sync helps.
    pub resync: u64,
    /// Keys that a full sync brought twice.
    pub loaded_twice: u64,
    /// Collections that a full sync brought without elements.
    pub loaded_empty: u64,
    /// Keys of a full sync with parts that did not fit their type.
    pub loaded_malformed: u64,
    /// Doubtful keys that found no room in a queue and wait for the walk.
    pub wants_overflowed: u64,
    /// Re-reads that were taken.
    pub settled: u64,
    /// Re-reads that were too old.
    pub stale: u64,
    /// Re-reads that contradicted what the model was sure of.
    pub drifted: u64,
}
