//! Section 5 of the catalogue: connections.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[];
