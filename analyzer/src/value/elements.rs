//! Element tables of sets, hashes and sorted sets (to be filled in by its owner).
