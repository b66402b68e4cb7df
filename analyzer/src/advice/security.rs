//! Section 5 of the catalogue: who may do what, and who can listen.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[];
