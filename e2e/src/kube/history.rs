//! What a client did and saw, and what must hold of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Broker, queue and offset.
pub type Place = (String, i32, i64);

/// Errors that are kept in words; all are counted.
const ERRORS_MAX: usize = 8;

/// Everything that was acknowledged and delivered. Times count from the start of the load.
#[derive(Debug, Default)]
pub struct History {
    /// Acknowledged messages, where they were stored and when that was said.
    acknowledged: BTreeMap<String, (Place, Duration)>,
    /// How often each message was delivered, and when first.
    delivered: BTreeMap<String, (u32, Duration)>,
    /// Highest value of [`Verdict::rewound`] so far.
    rewound: Duration,
    /// When something new was delivered last, by queue.
    newest: BTreeMap<(String, i32), Duration>,
    /// What was delivered from each place.
    places: BTreeMap<Place, String>,
    /// Highest offset delivered so far, by queue.
    highest: BTreeMap<(String, i32), i64>,
    /// Places that were delivered for the first time after a later one of their queue.
    late: Vec<Place>,
    /// Places that had one message and then another.
    changed: Vec<Place>,
    failed: u32,
    errors: Vec<(Duration, String)>,
    last_acknowledged: Option<Duration>,
    longest_gap: Duration,
}

impl History {
    /// A send was answered `SEND_OK`.
    pub fn acknowledged(&mut self, at: Duration, id: String, place: Place) {
        if let Some(last) = self.last_acknowledged {
            self.longest_gap = self.longest_gap.max(at.saturating_sub(last));
        }
        self.last_acknowledged = Some(at);
        self.acknowledged.insert(id, (place, at));
    }

    /// A send failed, whatever became of the message.
    pub fn failed(&mut self, at: Duration, error: String) {
        self.failed += 1;
        if self.errors.len() < ERRORS_MAX {
            self.errors.push((at, error));
        }
    }

    /// A message was delivered.
    pub fn delivered(&mut self, at: Duration, id: String, place: Place) {
        let queue = (place.0.clone(), place.1);
        match self.places.get(&place) {
            Some(before) if *before != id => self.changed.push(place.clone()),
            // Of this very place: a producer that tries again makes a second one elsewhere.
            Some(_) => {
                let newest = self.newest.get(&queue).copied().unwrap_or(at);
                let first = self.delivered.get(&id).map_or(at, |(_, first)| *first);
                self.rewound = self.rewound.max(newest.saturating_sub(first));
            }
            None => {
                self.newest.insert(queue.clone(), at);
                let highest = self.highest.entry(queue).or_insert(place.2);
                if place.2 < *highest {
                    self.late.push(place.clone());
                }
                *highest = (*highest).max(place.2);
                self.places.insert(place, id.clone());
            }
        }
        self.delivered.entry(id).or_insert((0, at)).0 += 1;
    }

    /// Acknowledged messages that were not delivered yet.
    pub fn missing(&self) -> Vec<&str> {
        let ids = self.acknowledged.keys();
        ids.filter(|id| !self.delivered.contains_key(*id)).map(String::as_str).collect()
    }

    /// Acknowledged messages of `broker`: where they were stored, when, and whether they were
    /// delivered.
    pub fn acknowledged_by<'a>(
        &'a self,
        broker: &'a str,
    ) -> impl Iterator<Item = (&'a Place, Duration, bool)> {
        let all = self.acknowledged.iter();
        all.filter(move |(_, (place, _))| place.0 == broker)
            .map(|(id, (place, at))| (place, *at, self.delivered.contains_key(id)))
    }

    /// How many messages were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    /// How many different messages were delivered.
    pub fn delivered_count(&self) -> usize {
        self.delivered.len()
    }

    /// Names of the brokers that acknowledged something.
    pub fn brokers(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.acknowledged.values().map(|(place, _)| place.0.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        let missing: Vec<String> = self.missing().into_iter().map(str::to_owned).collect();
        let misplaced = self
            .acknowledged
            .iter()
            .filter(|(id, (place, _))| self.places.get(place).is_some_and(|other| other != *id))
            .map(|(_, (place, _))| place.clone())
            .collect();
        Verdict {
            acknowledged: self.acknowledged.len(),
            failed: self.failed,
            delivered: self.delivered.len(),
            again: self.delivered.values().filter(|(count, _)| 1 < *count).count(),
            rewound: self.rewound,
            missing,
            late: self.late.clone(),
            changed: self.changed.clone(),
            misplaced,
            longest_gap: self.longest_gap,
            errors: self.errors.clone(),
        }
    }
}

/// What a history comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Messages answered `SEND_OK`.
    pub acknowledged: usize,
    /// Sends that failed after the client's own retries.
    pub failed: u32,
    /// Different messages that were delivered.
    pub delivered: usize,
    /// Of these more than once, which is allowed.
    pub again: usize,
    /// How far a queue was read again: most time between the first delivery of a message that came
    /// again and the newest one of its queue by then.
    pub rewound: Duration,
    /// Acknowledged and never delivered.
    pub missing: Vec<String>,
    /// Delivered for the first time after a later message of their queue.
    pub late: Vec<Place>,
    /// Places that held two messages one after the other.
    pub changed: Vec<Place>,
    /// Acknowledged for a place that holds another message.
    pub misplaced: Vec<Place>,
    /// Longest time between two acknowledgements.
    pub longest_gap: Duration,
    /// The first errors and when they were.
    pub errors: Vec<(Duration, String)>,
}

impl Verdict {
    /// Whether nothing acknowledged was lost, moved or put out of order.
    pub fn is_sound(&self) -> bool {
        0 < self.acknowledged
            && self.missing.is_empty()
            && self.late.is_empty()
            && self.changed.is_empty()
            && self.misplaced.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acknowledged, {} failed, {} delivered ({} again, the oldest by {:.1} s), \
             longest gap {:.1} s",
            self.acknowledged,
            self.failed,
            self.delivered,
            self.again,
            self.rewound.as_secs_f64(),
            self.longest_gap.as_secs_f64()
        )?;
        for (what, places) in
            [("late", &self.late), ("changed", &self.changed), ("misplaced", &self.misplaced)]
        {
            if !places.is_empty() {
                write!(f, "; {what}: {} such as {:?}", places.len(), places.first())?;
            }
        }
        if !self.missing.is_empty() {
            write!(f, "; missing: {} such as {:?}", self.missing.len(), self.missing.first())?;
        }
        for (at, error) in &self.errors {
            write!(f, "\n    at {:.1} s: {error}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(queue: i32, offset: i64) -> Place {
        ("broker-a".to_owned(), queue, offset)
    }

    fn sent(count: i64) -> History {
        let mut history = History::default();
        for n in 0..count {
            let at = Duration::from_secs(n.unsigned_abs());
            history.acknowledged(at, format!("m{n}"), place(0, n));
        }
        history
    }

    fn deliver(history: &mut History, ids: &[i64]) {
        for n in ids {
            history.delivered(Duration::ZERO, format!("m{n}"), place(0, *n));
        }
    }

    #[test]
    fn all_delivered_in_order_is_sound() {
        let mut history = sent(3);
        deliver(&mut history, &[0, 1, 2, 1, 2]);
        let verdict = history.verdict();
        assert!(verdict.is_sound(), "{verdict}");
        assert_eq!((verdict.acknowledged, verdict.delivered, verdict.again), (3, 3, 2));
        assert_eq!(verdict.longest_gap, Duration::from_secs(1));
    }

    #[test]
    fn nothing_at_all_is_not_sound() {
        assert!(!History::default().verdict().is_sound());
    }

    #[test]
    fn each_fault_is_found() {
        let mut missing = sent(3);
        deliver(&mut missing, &[0, 2]);
        assert_eq!(missing.verdict().missing, ["m1"]);

        let mut late = sent(3);
        deliver(&mut late, &[0, 2, 1]);
        assert_eq!(late.verdict().late, [place(0, 1)]);

        let mut changed = sent(1);
        deliver(&mut changed, &[0]);
        changed.delivered(Duration::ZERO, "other".to_owned(), place(0, 0));
        assert_eq!(changed.verdict().changed, [place(0, 0)]);

        let mut misplaced = sent(1);
        misplaced.delivered(Duration::ZERO, "other".to_owned(), place(0, 0));
        misplaced.delivered(Duration::ZERO, "m0".to_owned(), place(0, 1));
        assert_eq!(misplaced.verdict().misplaced, [place(0, 0)]);

        for history in [missing, late, changed, misplaced] {
            assert!(!history.verdict().is_sound());
        }
    }

    #[test]
    fn what_comes_again_is_timed_by_what_its_queue_had_delivered() {
        let mut history = sent(3);
        // m0 comes again after a long silence, which does not count.
        for (at, n) in [(1, 0), (3, 1), (60, 0), (61, 1), (62, 2), (63, 1)] {
            history.delivered(Duration::from_secs(at), format!("m{n}"), place(0, n));
        }
        let verdict = history.verdict();
        assert_eq!((verdict.again, verdict.rewound), (2, Duration::from_secs(59)));
        let mut short = sent(2);
        for (at, n) in [(1, 0), (3, 1), (60, 0)] {
            short.delivered(Duration::from_secs(at), format!("m{n}"), place(0, n));
        }
        assert_eq!(short.verdict().rewound, Duration::from_secs(2));
        // What a producer sent twice is in two places.
        short.delivered(Duration::from_secs(90), "m9".to_owned(), place(1, 0));
        short.delivered(Duration::from_secs(99), "m0".to_owned(), place(1, 1));
        assert_eq!(short.verdict().rewound, Duration::from_secs(2));
    }

    #[test]
    fn one_brokers_messages_are_told_apart() {
        let mut history = sent(2);
        let other = ("broker-b".to_owned(), 0, 0);
        history.acknowledged(Duration::from_secs(5), "n".to_owned(), other);
        deliver(&mut history, &[1]);
        let of = |broker| -> Vec<(i64, bool)> {
            history.acknowledged_by(broker).map(|(place, _, came)| (place.2, came)).collect()
        };
        assert_eq!(of("broker-a"), [(0, false), (1, true)]);
        assert_eq!(of("broker-b"), [(0, false)]);
    }

    #[test]
    fn failures_are_counted_and_some_are_kept() {
        let mut history = sent(1);
        for n in 0..20 {
            history.failed(Duration::from_secs(n), format!("error {n}"));
        }
        deliver(&mut history, &[0]);
        let verdict = history.verdict();
        assert_eq!((verdict.failed, verdict.errors.len()), (20, ERRORS_MAX));
        assert!(verdict.is_sound() && verdict.to_string().contains("at 0.0 s: error 0"));
    }
}
