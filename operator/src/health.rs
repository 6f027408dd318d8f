//! What probes are told.

use crate::watch::Caches;
use parking_lot::Mutex;
use rmq_host::http::Health;
use std::sync::Arc;

/// What the process waits for. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State(Arc<Mutex<Waits>>);

#[derive(Debug, Default)]
struct Waits {
    /// Set while there is no definition of the resource to watch.
    definition: Option<String>,
    /// Caches that are to be filled. None before this process leads: one that waits to lead
    /// is ready, or no update of two replicas would ever end.
    caches: Vec<Arc<Caches>>,
}

impl State {
    /// Not ready before these are filled.
    pub(crate) fn waits_for(&self, caches: &Arc<Caches>) {
        self.0.lock().caches.push(Arc::clone(caches));
    }

    /// Not ready while there is no definition, and why.
    pub(crate) fn definition(&self, missing: Option<String>) {
        self.0.lock().definition = missing;
    }
}

impl Health for State {
    fn conditions(&self) -> Vec<(&'static str, Option<String>)> {
        let waits = self.0.lock();
        let missing: Vec<&str> = waits.caches.iter().flat_map(|one| one.missing()).collect();
        let listed = (!missing.is_empty()).then(|| format!("waiting for {}", missing.join(", ")));
        vec![("definition", waits.definition.clone()), ("listed", listed)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_lead_is_ready_and_one_that_does_once_it_knows_everything() {
        let state = State::default();
        assert!(state.not_ready().is_empty());
        state.waits_for(&Arc::default());
        let reasons = state.not_ready();
        assert!(reasons[0].starts_with("listed: waiting for clusters, pods, "), "{reasons:?}");
        state.definition(Some("it is missing".to_owned()));
        assert_eq!(state.not_ready()[0], "definition: it is missing");
    }
}
