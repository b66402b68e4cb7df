//! Section 5 of the catalogue: slots and shards.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[];
