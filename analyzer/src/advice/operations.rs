//! Section 5 of the catalogue: the server itself.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[];
