//! Which bytes go to a replica next.

use crate::LogEnds;
use crate::epoch::{Entry, Epochs};
use rmq_model::LogOffset;
use std::time::Duration;

/// A piece of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// First byte.
    pub offset: LogOffset,
    /// How many.
    pub bytes: usize,
    /// The term that all of them were written in.
    pub term: Option<Entry>,
}

/// What a connection to a replica does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send these bytes. They may turn out to be fewer: see [`Sender::sent`].
    Data(Chunk),
    /// Nothing was sent for a while: say so, naming the byte that comes next.
    Heartbeat(LogOffset),
    /// Wait for the log to grow, at most so long.
    Wait(Duration),
    /// What comes next is not in the log any more.
    Gone,
}

/// Position of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    next: LogOffset,
    last_write: Duration,
    heartbeat_every: Duration,
    bytes_max: usize,
}

impl Sender {
    /// From `next` on, in pieces of at most `bytes_max`.
    pub fn new(
        now: Duration,
        next: LogOffset,
        heartbeat_every: Duration,
        bytes_max: usize,
    ) -> Self {
        Self { next, last_write: now, heartbeat_every, bytes_max }
    }

    /// First byte that was not sent.
    pub fn position(&self) -> LogOffset {
        self.next
    }

    /// What to do, with the log as it is: `log.end` is what replicas may have.
    pub fn next(&self, now: Duration, log: LogEnds, epochs: &Epochs) -> Next {
        if self.next < log.min {
            return Next::Gone;
        }
        // A piece never crosses from one term into the next.
        let end = epochs.end_of(self.next).map_or(log.end, |term_end| term_end.min(log.end));
        let bytes = end.bytes_since(self.next).unwrap_or(0);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.bytes_max);
        if 0 < bytes {
            return Next::Data(Chunk { offset: self.next, bytes, term: epochs.at(self.next) });
        }
        let quiet = now.saturating_sub(self.last_write);
        match self.heartbeat_every.checked_sub(quiet) {
            Some(left) if !left.is_zero() => Next::Wait(left),
            _ => Next::Heartbeat(self.next),
        }
    }

    /// So many bytes were written to the connection; 0 for a heartbeat.
    pub fn sent(&mut self, now: Duration, bytes: usize) {
        self.last_write = now;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.next = LogOffset(self.next.0.saturating_add(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::Epoch;

    #[test]
    fn pieces_end_with_terms_and_silence_is_broken() {
        let entry =
            |epoch, start| Entry { epoch: Epoch::new(epoch).unwrap(), start: LogOffset(start) };
        let epochs = Epochs::of([entry(1, 0), entry(2, 50)]).unwrap();
        let log = LogEnds { min: LogOffset(0), end: LogOffset(90), synced: LogOffset(90) };
        let beat = Duration::from_secs(5);
        let mut sender = Sender::new(Duration::ZERO, LogOffset(0), beat, 32);
        let mut sent = Vec::new();
        let mut now = Duration::ZERO;
        loop {
            match sender.next(now, log, &epochs) {
                Next::Data(chunk) => {
                    sent.push((chunk.offset.0, chunk.bytes, chunk.term.unwrap().epoch.number()));
                    sender.sent(now, chunk.bytes);
                }
                Next::Wait(time) => now += time,
                Next::Heartbeat(at) => {
                    assert_eq!((at, now), (LogOffset(90), beat));
                    sender.sent(now, 0);
                    break;
                }
                Next::Gone => panic!("it is there"),
            }
        }
        assert_eq!(sent, [(0, 32, 1), (32, 18, 1), (50, 32, 2), (82, 8, 2)]);
        assert_eq!(sender.next(now, log, &epochs), Next::Wait(beat));
        let trimmed = LogEnds { min: LogOffset(91), ..log };
        assert_eq!(sender.next(now, trimmed, &epochs), Next::Gone);
    }
}
