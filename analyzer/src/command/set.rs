//! Commands on sets (to be filled in by its owner).

use crate::command::Handler;

pub(crate) fn handler(_name: &[u8]) -> Option<Handler> {
    None
}
