//! The log: commit log, consume queues, index, checkpoint, recovery and retention.
