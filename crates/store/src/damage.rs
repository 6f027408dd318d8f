//! Damage that reads meet: recovery does not look at what was durable long before a stop.

use crate::queue::Queue;
use parking_lot::Mutex;
use std::collections::BTreeSet;

/// Most places that are remembered and named.
const PLACES_MAX: usize = 256;

/// Places of the log where no record is although a queue says so.
#[derive(Default)]
pub(crate) struct Damage {
    places: Mutex<BTreeSet<u64>>,
}

impl Damage {
    /// A read passed over the record that should be at `log_offset`. Says so once per place.
    pub(crate) fn passed(&self, queue: &Queue, log_offset: u64) {
        let (topic, queue) = (&**queue.topic(), queue.id());
        let mut places = self.places.lock();
        if PLACES_MAX <= places.len() || !places.insert(log_offset) {
            return;
        }
        let last = places.len() == PLACES_MAX;
        drop(places);
        tracing::error!(topic, queue, log_offset, "the log is damaged here, a message is lost");
        if last {
            tracing::error!(places = PLACES_MAX, "further damage of the log is not named");
        }
    }

    /// Places so far; stops counting at 256.
    pub(crate) fn places(&self) -> usize {
        self.places.lock().len()
    }
}
