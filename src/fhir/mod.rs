//! Reading: tolerant, from JSON to domain facts, with a list of issues. Writing: strict, checked resources.
