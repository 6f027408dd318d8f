//! What `/metrics` shows of the operator itself.

use crate::cache::ClusterKey;
use parking_lot::Mutex;
use rmq_host::metrics::{Counter, Describe, Family, Gauge, Histogram, Registry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The one kind that is reconciled so far.
const KIND: &str = "RocketMQCluster";

/// Condition states a cluster's series were last written with: type and status.
type Shown = BTreeMap<ClusterKey, BTreeSet<(String, String)>>;

/// All series. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    reconciles: Family<Counter>,
    seconds: Histogram,
    errors: Family<Counter>,
    actions: Family<Counter>,
    conditions: Family<Gauge>,
    shown: Arc<Mutex<Shown>>,
    rpc_seconds: Family<Histogram>,
    leader: Gauge,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new(version: &'static str) -> Self {
        let registry = Registry::new(Vec::new());
        let describe = |name, help, labels| Describe { name, help, labels };
        let build = registry.gauges(describe(
            "rocketmq_operator_build_info",
            "Always 1; the label is the operator's version.",
            &["version"],
        ));
        build.with(&[version]).set(1);
        let seconds = registry.histograms(
            describe(
                "rocketmq_operator_reconcile_duration_seconds",
                "How long one reconcile took.",
                &["kind"],
            ),
            SECONDS,
        );
        Self {
            reconciles: registry.counters(describe(
                "rocketmq_operator_reconcile_total",
                "Reconciles that ended.",
                &["kind", "result"],
            )),
            seconds: seconds.with(&[KIND]),
            errors: registry.counters(describe(
                "rocketmq_operator_reconcile_errors_total",
                "Reconciles that ended with an error.",
                &["kind", "class"],
            )),
            actions: registry.counters(describe(
                "rocketmq_operator_actions_total",
                "Steps that were carried out.",
                &["action"],
            )),
            conditions: registry.gauges(describe(
                "rocketmq_operator_condition",
                "1 for the present status of each condition of each cluster.",
                &["namespace", "name", "type", "status"],
            )),
            shown: Arc::default(),
            rpc_seconds: registry.histograms(
                describe(
                    "rocketmq_operator_broker_rpc_duration_seconds",
                    "How long control calls to brokers and name servers took.",
                    &["method", "result"],
                ),
                SECONDS,
            ),
            leader: registry
                .gauge("rocketmq_operator_leader", "1 while this process is the one that acts."),
            registry,
        }
    }

    /// Prometheus text.
    pub(crate) fn render(&self) -> String {
        self.registry.render()
    }

    /// One reconcile ended; `error` is the class of what ended it, if it failed.
    pub(crate) fn reconciled(&self, took: Duration, error: Option<&'static str>) {
        let result = if error.is_some() { "error" } else { "ok" };
        self.reconciles.with(&[KIND, result]).increment();
        self.seconds.observe(took.as_secs_f64());
        if let Some(class) = error {
            self.errors.with(&[KIND, class]).increment();
        }
    }

    /// A step was carried out.
    pub(crate) fn acted(&self, action: &'static str) {
        self.actions.with(&[action]).increment();
    }

    /// A control call ended.
    pub(crate) fn called(&self, method: &'static str, ok: bool, took: Duration) {
        let result = if ok { "ok" } else { "error" };
        self.rpc_seconds.with(&[method, result]).observe(took.as_secs_f64());
    }

    /// This process acts, or stopped to.
    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The conditions a cluster has now, as pairs of type and status; those it had before and has
    /// no longer disappear.
    pub(crate) fn conditions<'a>(
        &self,
        cluster: &ClusterKey,
        now: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        let now: BTreeSet<(String, String)> =
            now.map(|(kind, status)| (kind.to_owned(), status.to_owned())).collect();
        let mut shown = self.shown.lock();
        let before = shown.get(cluster);
        if before == Some(&now) {
            return;
        }
        for (kind, status) in before.into_iter().flatten().filter(|pair| !now.contains(*pair)) {
            self.conditions.remove(&[&cluster.namespace, &cluster.name, kind, status]);
        }
        for (kind, status) in &now {
            self.conditions.with(&[&cluster.namespace, &cluster.name, kind, status]).set(1);
        }
        if now.is_empty() {
            shown.remove(cluster);
        } else {
            shown.insert(cluster.clone(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_has_one_series_at_a_time_and_none_once_its_cluster_has_gone() {
        let metrics = Metrics::new("1.2.3");
        let cluster = ClusterKey::new("ns", "c");
        let series = |status: &str| {
            format!(
                "rocketmq_operator_condition{{namespace=\"ns\",name=\"c\",type=\"Ready\",status=\"{status}\"}} 1\n"
            )
        };
        metrics.conditions(&cluster, [("Ready", "False")].into_iter());
        assert!(metrics.render().contains(&series("False")), "{}", metrics.render());
        metrics.conditions(&cluster, [("Ready", "True")].into_iter());
        let text = metrics.render();
        assert!(text.contains(&series("True")) && !text.contains(&series("False")), "{text}");
        metrics.conditions(&cluster, std::iter::empty());
        assert!(!metrics.render().contains("name=\"c\""), "{}", metrics.render());
    }

    #[test]
    fn counts_carry_the_documented_names() {
        let metrics = Metrics::new("1.2.3");
        metrics.reconciled(Duration::from_millis(20), None);
        metrics.reconciled(Duration::from_millis(20), Some("transient"));
        metrics.acted("Apply");
        metrics.called("GetStatus", true, Duration::from_millis(3));
        metrics.leads(true);
        let text = metrics.render();
        for line in [
            "rocketmq_operator_build_info{version=\"1.2.3\"} 1",
            "rocketmq_operator_reconcile_total{kind=\"RocketMQCluster\",result=\"ok\"} 1",
            "rocketmq_operator_reconcile_total{kind=\"RocketMQCluster\",result=\"error\"} 1",
            "rocketmq_operator_reconcile_duration_seconds_count{kind=\"RocketMQCluster\"} 2",
            "rocketmq_operator_reconcile_errors_total{kind=\"RocketMQCluster\",class=\"transient\"} 1",
            "rocketmq_operator_actions_total{action=\"Apply\"} 1",
            "rocketmq_operator_broker_rpc_duration_seconds_count{method=\"GetStatus\",result=\"ok\"} 1",
            "rocketmq_operator_leader 1",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is missing in\n{text}");
        }
    }
}
