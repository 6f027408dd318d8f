//! Where a consumer stands in one queue.

use crate::pull::PullStatus;
use std::time::Duration;

/// State of one assigned queue.
#[derive(Debug)]
pub(super) struct Progress {
    /// Distinguishes this assignment from earlier and later ones of the same queue.
    pub(super) generation: u64,
    /// Broker id that the broker suggested to read from.
    pub(super) broker_id: i64,
    /// False while somebody else holds the lock of an ordered queue.
    pub(super) may_pull: bool,
    /// Offset to pull from next.
    offset: i64,
    /// Offset that is consumed, and the one that is stored.
    consumed: i64,
    stored: i64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Rests { until: Duration },
    Pulling,
    Delivered,
}

/// What follows from a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its messages go to the application.
    Deliver,
    /// There is nothing to deliver.
    GoOn,
}

impl Progress {
    pub(super) fn new(generation: u64, offset: i64) -> Self {
        Self {
            generation,
            broker_id: 0,
            may_pull: true,
            offset,
            consumed: offset,
            // Stored at once, so that a group which reads nothing yet keeps its place.
            stored: -1,
            state: State::Idle,
        }
    }

    /// Offset to pull from, if it is time to; the queue then is being pulled.
    pub(super) fn start_pull(&mut self, now: Duration) -> Option<i64> {
        let rested = match self.state {
            State::Idle => true,
            State::Rests { until } => until <= now,
            State::Pulling | State::Delivered => false,
        };
        if !rested || !self.may_pull {
            return None;
        }
        self.state = State::Pulling;
        Some(self.offset)
    }

    /// The pull brought something, or nothing.
    pub(super) fn pulled(&mut self, status: PullStatus, next: i64, messages: bool) -> Step {
        self.offset = next;
        if messages {
            self.state = State::Delivered;
            return Step::Deliver;
        }
        self.state = State::Idle;
        match status {
            // Everything before `next` is dealt with: it did not match, or is not there.
            PullStatus::Found | PullStatus::NoneMatched | PullStatus::OffsetMoved => {
                self.consumed = next;
            }
            PullStatus::NothingNew => {}
        }
        Step::GoOn
    }

    pub(super) fn pull_failed(&mut self, again_at: Duration) {
        self.state = State::Rests { until: again_at };
    }

    /// Everything before `next` is consumed.
    pub(super) fn consumed(&mut self, next: i64) {
        self.consumed = next;
        self.state = State::Idle;
    }

    /// Messages from `offset` on must come again.
    pub(super) fn again(&mut self, offset: i64, at: Duration) {
        self.offset = offset;
        self.state = State::Rests { until: at };
    }

    pub(super) fn rests_until(&self) -> Option<Duration> {
        match self.state {
            State::Rests { until } if self.may_pull => Some(until),
            State::Rests { .. } | State::Idle | State::Pulling | State::Delivered => None,
        }
    }

    /// Everything before it is consumed.
    pub(super) fn position(&self) -> i64 {
        self.consumed
    }

    /// Offset that is not stored yet; counts as stored from here on.
    pub(super) fn take_unstored(&mut self) -> Option<i64> {
        let due = (self.consumed != self.stored).then_some(self.consumed);
        self.stored = self.consumed;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(10);
    const LATER: Duration = Duration::from_secs(11);

    #[test]
    fn one_pull_or_batch_at_a_time() {
        let mut queue = Progress::new(1, 5);
        assert_eq!(queue.take_unstored(), Some(5));
        assert_eq!(queue.start_pull(NOW), Some(5));
        assert_eq!(queue.start_pull(NOW), None);
        assert_eq!(queue.pulled(PullStatus::Found, 8, true), Step::Deliver);
        assert_eq!(queue.start_pull(NOW), None);
        assert_eq!(queue.take_unstored(), None);
        queue.consumed(8);
        assert_eq!(queue.take_unstored(), Some(8));
        assert_eq!(queue.take_unstored(), None);
        assert_eq!(queue.start_pull(NOW), Some(8));
    }

    #[test]
    fn what_did_not_match_is_passed() {
        for (status, stored) in [
            (PullStatus::NoneMatched, Some(9)),
            (PullStatus::OffsetMoved, Some(9)),
            (PullStatus::Found, Some(9)), // all were dropped for their tags
            (PullStatus::NothingNew, None),
        ] {
            let mut queue = Progress::new(1, 5);
            queue.take_unstored();
            queue.start_pull(NOW);
            assert_eq!(queue.pulled(status, 9, false), Step::GoOn);
            assert_eq!(queue.take_unstored(), stored, "{status:?}");
        }
    }

    #[test]
    fn a_failed_batch_comes_again_after_a_rest() {
        let mut queue = Progress::new(1, 5);
        queue.start_pull(NOW);
        queue.pulled(PullStatus::Found, 8, true);
        queue.again(5, LATER);
        assert_eq!(queue.rests_until(), Some(LATER));
        assert_eq!(queue.start_pull(NOW), None);
        assert_eq!(queue.start_pull(LATER), Some(5));
    }

    #[test]
    fn a_queue_that_is_not_locked_is_not_pulled() {
        let mut queue = Progress::new(1, 5);
        queue.may_pull = false;
        assert_eq!(queue.start_pull(NOW), None);
        queue.pull_failed(LATER);
        assert_eq!(queue.rests_until(), None);
    }
}
