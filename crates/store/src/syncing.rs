//! Puts whose sync is under way, and the thread that answers them when it takes too long.

use crate::put::Answers;
use crate::shared::{Shared, Wake};
use parking_lot::Mutex;
use std::time::Duration;

/// What the log's thread leaves here while it syncs.
#[derive(Default)]
pub(crate) struct Syncing {
    waiting: Mutex<Option<Waiting>>,
}

struct Waiting {
    /// By the monotonic clock.
    deadline: Duration,
    answers: Answers,
}

impl Syncing {
    /// A sync begins; at `deadline` these answers no longer wait for it.
    pub(crate) fn begin(&self, deadline: Duration, answers: Answers) {
        *self.waiting.lock() = Some(Waiting { deadline, answers });
    }

    /// The sync is over: the answers that were not given meanwhile.
    pub(crate) fn end(&self, now: Duration) -> Answers {
        let Some(mut waiting) = self.waiting.lock().take() else { return Answers::default() };
        if waiting.deadline < now {
            waiting.answers.delay();
        }
        waiting.answers
    }

    /// Gives the answers if their time is over. Otherwise the time left; `None` if nobody waits.
    fn look(&self, now: Duration) -> Option<Duration> {
        let mut waiting = self.waiting.lock();
        let left = waiting.as_ref()?.deadline.saturating_sub(now);
        if !left.is_zero() {
            return Some(left);
        }
        let late = waiting.take();
        drop(waiting);
        if let Some(Waiting { mut answers, .. }) = late {
            answers.delay();
            answers.deliver();
        }
        None
    }
}

/// Body of the thread that looks after slow syncs. It wakes once per timeout at most, however many
/// syncs there are.
pub(crate) fn watch(shared: &Shared) {
    while shared.flusher.wait(None) != Wake::Stop {
        while let Some(left) = shared.syncing.look(shared.clock.monotonic()) {
            if shared.flusher.pause(left) == Wake::Stop {
                return;
            }
        }
    }
}
