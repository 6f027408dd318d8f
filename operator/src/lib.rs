//! The operator: observes what runs, plans the next safe step, and takes it.
#![warn(missing_docs)]
