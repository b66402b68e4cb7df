//! Section 5 of the catalogue: commands that are slow, failing or in vain.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[];
