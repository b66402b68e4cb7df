//! Section 3 of the catalogue, first half: expiries that are missing, lost, late or at once.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[];
