//! What is counted: said once, when a keyspace is made.

use std::fmt;
use std::sync::Arc;

/// Which names belong to a group; it must not take longer than a name is long.
pub type Matcher = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Keys that the user wants to be counted together.
pub struct Group {
    /// What the user calls them.
    pub name: String,
    /// Which keys they are.
    pub matches: Matcher,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What is counted of keys beyond their totals. By default that is their expiry alone.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Patterns of a database at most; 0 if keys are not counted by pattern.
    pub patterns_max: usize,
    /// Groups that keys are counted by, each key in any number of them.
    pub groups: Arc<[Group]>,
}
