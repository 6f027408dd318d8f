//! A small Kubernetes in memory: StatefulSet controller, kubelet, brokers and name servers, just as
//! far as the planner can see them. Time moves only when a test says so.

mod act;
mod broker;
mod observe;
mod tick;

use std::collections::BTreeMap;

use rmq_operator_api::{Cluster, manifest};
use rmq_operator_plan::decide::plan;
use rmq_operator_plan::{Context, Decision, Expansion, Kind, Step};
use serde_json::Value;

pub(crate) use broker::Broker;

/// UID of the cluster resource.
pub(crate) const UID: &str = "0000-cluster";

/// An object as the API server keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) uid: String,
    pub(crate) body: Value,
    pub(crate) applied_ms: i64,
    pub(crate) generation: i64,
}

/// A pod and what runs in it.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) set: String,
    pub(crate) revision: String,
    pub(crate) template: Value,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) created_ms: i64,
    /// Since when it is ready, or not.
    pub(crate) changed_ms: i64,
    pub(crate) ready: bool,
    /// When it will be, if nothing happens.
    pub(crate) ready_at_ms: i64,
    pub(crate) deleting_ms: Option<i64>,
    pub(crate) gone_at_ms: i64,
    /// Nobody gets an answer from it until then.
    pub(crate) silent_until_ms: i64,
    /// `None` for name servers.
    pub(crate) broker: Option<Broker>,
    pub(crate) started_ms: i64,
}

/// A claim of a volume.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) uid: String,
    pub(crate) request_bytes: u64,
    pub(crate) capacity_bytes: u64,
    pub(crate) grows_at_ms: i64,
    pub(crate) pending: bool,
    pub(crate) labels: BTreeMap<String, String>,
}

/// The whole of it.
#[derive(Clone, Debug)]
pub(crate) struct Sim {
    pub(crate) now_ms: i64,
    pub(crate) cluster: Cluster,
    pub(crate) context: Context,
    pub(crate) objects: BTreeMap<(Kind, String), Kept>,
    pub(crate) pods: BTreeMap<String, Pod>,
    pub(crate) claims: BTreeMap<String, Claim>,
    /// Whether the storage class lets volumes grow.
    pub(crate) expansion: Expansion,
    /// Whether a volume that grows waits for its pod.
    pub(crate) grows_offline: bool,
    /// Messages that a group has when it begins to be drained, as milliseconds of consuming.
    pub(crate) backlog_ms: i64,
    /// Each step that was taken, with its time.
    pub(crate) log: Vec<String>,
    /// From and to, of each copy of metadata.
    pub(crate) copies: Vec<(String, String)>,
    serial: u64,
    seed: u64,
}

impl Sim {
    /// A cluster with this spec; nothing of it is there yet.
    pub(crate) fn new(spec: &str) -> Self {
        let mut context = Context::new("1.0.0", "registry.example.org");
        context.replicates = true;
        Self {
            now_ms: 1_800_000_000_000,
            cluster: cluster(spec),
            context,
            objects: BTreeMap::new(),
            pods: BTreeMap::new(),
            claims: BTreeMap::new(),
            expansion: Expansion::Allowed,
            grows_offline: false,
            backlog_ms: 120_000,
            log: Vec::new(),
            copies: Vec::new(),
            serial: 0,
            seed: 1,
        }
    }

    /// The same with another seed for whatever is left to chance.
    pub(crate) fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        self
    }

    /// A cluster that has settled.
    pub(crate) fn settled(spec: &str) -> Self {
        let mut sim = Self::new(spec);
        sim.settle();
        sim
    }

    /// Changes the manifest as somebody with an editor would.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Cluster)) {
        change(&mut self.cluster);
        let violations = rmq_operator_api::validate::validate(&self.cluster);
        assert_eq!(violations, [], "the test's manifest must be valid");
        let generation = self.cluster.metadata.generation.unwrap_or(0);
        self.cluster.metadata.generation = Some(generation + 1);
    }

    pub(crate) fn annotate(&mut self, name: &str, value: &str) {
        let annotations = self.cluster.metadata.annotations.get_or_insert_default();
        annotations.insert(name.to_owned(), value.to_owned());
    }

    /// What the planner says now.
    pub(crate) fn decide(&self) -> Decision {
        plan(&self.cluster, &self.observe(), &self.context)
    }

    /// One reconcile: decides, does everything, reports; then time moves on.
    pub(crate) fn round(&mut self) -> Decision {
        let decision = self.decide();
        for step in &decision.steps {
            self.act(step);
        }
        self.cluster.status = Some(decision.status.clone());
        self.pass(decision.requeue_ms.clamp(5_000, 10_000));
        decision
    }

    /// Rounds until there is nothing to do and the cluster is ready, at most for six hours.
    pub(crate) fn settle(&mut self) {
        self.until("the cluster has settled", |decision| {
            decision.steps.is_empty() && holds(decision, "Ready")
        });
    }

    /// Rounds until `done` says so, at most for six hours.
    pub(crate) fn until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&Decision) -> bool,
    ) -> Decision {
        for _ in 0..2_160 {
            let decision = self.round();
            if done(&decision) {
                return decision;
            }
        }
        let last = self.decide();
        let steps: Vec<String> = last.steps.iter().map(Step::to_string).collect();
        let conditions: Vec<String> = last
            .status
            .conditions
            .iter()
            .map(|one| format!("{} {} {}: {}", one.type_, one.status, one.reason, one.message))
            .collect();
        let from = self.log.len().saturating_sub(30);
        unreachable!(
            "never: {what}\nsteps {steps:#?}\nconditions {conditions:#?}\nlog {:#?}",
            self.log.get(from..)
        );
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + i64::try_from(ms).expect("short");
        while self.now_ms < end {
            self.now_ms = end.min(self.now_ms + 1_000);
            self.tick();
        }
    }

    /// Steps taken since entry `from` of the log, without times, those that only tidy up left out.
    pub(crate) fn steps_since(&self, from: usize) -> Vec<&str> {
        let quiet = ["label pod", "reload"];
        self.log
            .iter()
            .skip(from)
            .map(|line| line.split_once("s ").map_or(line.as_str(), |(_, text)| text))
            .filter(|text| quiet.iter().all(|one| !text.starts_with(one)))
            .collect()
    }

    pub(crate) fn pod(&mut self, name: &str) -> &mut Pod {
        self.pods.get_mut(name).expect(name)
    }

    pub(crate) fn replicas(&self, set: &str) -> u32 {
        let kept = self.objects.get(&(Kind::StatefulSet, set.to_owned()));
        let replicas = kept.and_then(|kept| kept.body.pointer("/spec/replicas")?.as_u64());
        replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(0)
    }

    /// A number below `bound`, by the seed.
    pub(crate) fn chance(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % bound.max(1)
    }

    fn fresh(&mut self, what: &str) -> String {
        self.serial += 1;
        format!("{what}-{}", self.serial)
    }
}

/// Whether a condition is true.
pub(crate) fn holds(decision: &Decision, kind: &str) -> bool {
    decision.status.condition(kind).is_some_and(|one| one.status == "True")
}

/// A condition's reason.
pub(crate) fn reason<'a>(decision: &'a Decision, kind: &str) -> &'a str {
    decision.status.condition(kind).map_or("", |one| one.reason.as_str())
}

/// A cluster called `demo` as the API server would hand it out.
pub(crate) fn cluster(spec: &str) -> Cluster {
    let text = format!(
        "{{apiVersion: rocketmq.rs/v1alpha1, kind: RocketMQCluster, \
          metadata: {{name: demo, namespace: mq}}, spec: {spec}}}"
    );
    let mut cluster = manifest::read(&text).expect(&text).pop().expect("one");
    cluster.metadata.uid = Some(UID.to_owned());
    cluster.metadata.generation = Some(1);
    cluster
}
