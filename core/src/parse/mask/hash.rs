//! Replaces values that nothing reads by a keyed hash: a change can be seen, nothing can be guessed.

/// What a replaced value begins with.
pub(super) const PREFIX: &str = "hash:";
