//! What the supervisor sees, for itself and for whoever asks.

use std::sync::Arc;

use anyhow::Context as _;
use parking_lot::Mutex;
use rmq_operator_plan::{Component, Plan};
use tokio::sync::watch;

use super::dirs::ClusterDir;
use super::record::{Phase, PodState, Running, State};

/// What all pods of the cluster look like; kept in `state.json` as well. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Board {
    dir: ClusterDir,
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<()>>,
}

impl Board {
    pub(super) fn new(dir: &ClusterDir, plan: &Plan) -> anyhow::Result<Self> {
        let pod = |name: &String| PodState { name: name.clone(), ..PodState::default() };
        let pods = plan.processes.iter().map(|process| pod(&process.name)).collect();
        let state = State { supervisor: Running::this(), pods };
        state.save(dir).with_context(|| format!("cannot write {}", dir.state().display()))?;
        let (changed, _) = watch::channel(());
        Ok(Self {
            dir: dir.clone(),
            state: Arc::new(Mutex::new(state)),
            changed: Arc::new(changed),
        })
    }

    /// Changes what is known of the pod with `index` in the plan.
    pub(super) fn update(&self, index: usize, change: impl FnOnce(&mut PodState)) {
        let mut state = self.state.lock();
        let Some(pod) = state.pods.get_mut(index) else { return };
        let before = pod.clone();
        change(pod);
        if *pod != before {
            // A full disk must not end the cluster; readers then see an older state.
            state.save(&self.dir).ok();
            self.changed.send_replace(());
        }
    }

    /// Told of every change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        let mut changes = self.changed.subscribe();
        changes.mark_unchanged();
        changes
    }

    /// The pods as they are now.
    pub(super) fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Whether all pods of `component` are ready.
    pub(super) fn is_ready(&self, plan: &Plan, component: Component) -> bool {
        let state = self.state.lock();
        let mut pods = plan.processes.iter().zip(&state.pods);
        pods.all(|(process, pod)| process.component != component || pod.phase == Phase::Ready)
    }
}
