//! Section 4 of the catalogue, second half: replicas, backlogs and buffers.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[];
