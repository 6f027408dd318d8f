//! What docs/durability.md promises, against every power cut, kill and failure of a single
//! operation that a small history can meet, and against thousands of random ones.
//!
//! The store runs without threads of its own, so the same seed leads to the same operations of the
//! disk and to the same end. Every check is also run with a mistake built in
//! ([`mutants`]): one that is not found means that the checks see nothing.

mod exhaustive;
mod history;
mod mutants;
mod random;
mod small_files;
