//! Section 4 of the catalogue, first half: what a crash or a restart would lose.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[];
