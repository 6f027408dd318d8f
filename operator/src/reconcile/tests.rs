//! Whole reconciles against a server that keeps objects, with the real plans.

use super::*;
use crate::act::tests::context;
use crate::error::Class;
use crate::mock::on_runtime;
use crate::mock::store::Store;
use crate::watch::Caches;
use kube::Client;
use serde_json::{Value, json};

const RESOURCE: &str = "rocketmqclusters";
/// More reconciles than any of these scenarios needs.
const LOOKS_MAX: usize = 30;

/// One life of the operator: what it remembers is gone with it.
struct Life {
    store: Store,
    scope: Arc<Scope>,
}

impl Life {
    fn begin(store: &Store) -> Self {
        let client = Client::new(store.clone(), "ns");
        let context = Arc::new(context(client));
        let caches = Arc::new(Caches::default());
        let life = Self { store: store.clone(), scope: Arc::new(Scope { context, caches }) };
        life.look_around();
        life
    }

    /// The watches catch up.
    fn look_around(&self) {
        self.scope.caches.list(&self.store);
    }

    async fn reconcile(&self) -> Result<Action, Arc<Error>> {
        let resource = self.store.get(RESOURCE, "c").expect("the resource is there");
        let resource: Guarded = serde_json::from_value(resource).expect("it has metadata");
        reconcile(Arc::new(resource), Arc::clone(&self.scope)).await
    }

    /// Reconciles until nothing is written any more.
    async fn settle(&self) -> Result<(), Arc<Error>> {
        for _ in 0..LOOKS_MAX {
            self.store.take_writes();
            self.look_around();
            self.reconcile().await?;
            if self.store.take_writes().is_empty() {
                return Ok(());
            }
        }
        panic!("it writes again and again");
    }
}

fn cluster() -> Value {
    json!({
        "apiVersion": "rocketmq.rs/v1alpha1", "kind": "RocketMQCluster",
        "metadata": {"name": "c", "namespace": "ns", "uid": "cluster-uid"},
        "spec": {"layout": "2m-noslave", "brokers": {"storage": {"size": "1Gi"}}},
    })
}

fn store() -> Store {
    let store = Store::default();
    store.put(RESOURCE, cluster());
    store
}

#[test]
fn a_new_cluster_gets_its_objects_and_then_nothing_is_written() {
    on_runtime(async {
        let store = store();
        let life = Life::begin(&store);
        life.reconcile().await.expect("everything is allowed");
        let writes = store.take_writes();
        let at = |write: &str| writes.iter().position(|one| one == write);
        let (config, set) =
            (at("PATCH configmaps/c-broker-a"), at("PATCH statefulsets/c-broker-a"));
        assert!(config.is_some() && config < set, "{writes:?}");
        assert!(at("POST secrets/c-control-token").is_some(), "{writes:?}");
        assert!(at("PATCH rocketmqclusters/c/status").is_some(), "{writes:?}");
        life.settle().await.expect("everything is allowed");
        for _ in 0..3 {
            life.look_around();
            store.take_reads();
            life.reconcile().await.expect("everything is allowed");
            assert_eq!(store.take_writes(), Vec::<String>::new());
            assert!(store.take_reads() <= 1, "a settled cluster costs at most its token");
        }
    });
}

#[test]
fn a_death_after_any_write_changes_nothing_in_the_end() {
    on_runtime(async {
        // One group: of two, the second would count as new where the first is there already.
        let store = || {
            let store = Store::default();
            let mut one = cluster();
            one["spec"]["layout"] = "single".into();
            store.put(RESOURCE, one);
            store
        };
        let whole = store();
        let life = Life::begin(&whole);
        life.reconcile().await.expect("everything is allowed");
        let writes = whole.take_writes().len();
        assert!(12 < writes, "there is something to interrupt: {writes}");
        life.settle().await.expect("everything is allowed");
        let want = whole.essence();
        for at in 0..writes {
            let store = store();
            store.dies_at(Some(at));
            // A death shows as a lost connection, if it shows at all.
            if let Err(error) = Life::begin(&store).reconcile().await {
                assert_eq!(error.class(), Class::Transient, "{error}");
            }
            store.dies_at(None);
            Life::begin(&store).settle().await.expect("the next life finishes");
            let (got, want) = (store.essence(), &want);
            for (name, object) in want {
                assert_eq!(got.get(name), Some(object), "{name:?} after death with write {at}");
            }
            assert_eq!(got.len(), want.len(), "nothing is left over");
        }
    });
}

#[test]
fn what_others_change_or_delete_is_put_right() {
    on_runtime(async {
        let store = store();
        let life = Life::begin(&store);
        life.settle().await.expect("everything is allowed");
        let want = store.essence();
        store.change("services", "c-namesrv", |service| {
            service["spec"]["ports"] = json!([{"name": "other", "port": 1}]);
        });
        store.change("configmaps", "c-broker-a", |map| map["data"] = json!({}));
        store.remove("serviceaccounts", "c-broker");
        store.remove("networkpolicies", "c-broker");
        life.settle().await.expect("everything is allowed");
        assert!(store.essence() == want, "all is as it was");
    });
}

#[test]
fn what_the_spec_no_longer_asks_for_goes_and_others_objects_stay() {
    on_runtime(async {
        let store = store();
        let life = Life::begin(&store);
        life.settle().await.expect("everything is allowed");
        let policy = store.get("networkpolicies", "c-broker").expect("it is made");
        let mut stranger = policy.clone();
        stranger["metadata"]["name"] = "c-stranger".into();
        stranger["metadata"]["uid"] = Value::Null;
        stranger["metadata"]["ownerReferences"] = json!([]);
        store.put("networkpolicies", stranger);
        store.change(RESOURCE, "c", |one| {
            one["spec"]["security"] = json!({"networkPolicy": {"enabled": false}});
        });
        life.settle().await.expect("everything is allowed");
        let left: Vec<String> = store
            .all("networkpolicies")
            .iter()
            .map(|one| one["metadata"]["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(left, ["c-stranger"]);
    });
}

#[test]
fn a_missing_permission_is_told_in_the_status() {
    on_runtime(async {
        let store = store();
        store.forbid("configmaps");
        let life = Life::begin(&store);
        let error = life.reconcile().await.expect_err("it is forbidden");
        assert_eq!(error.class(), Class::Permission);
        let resource = store.get(RESOURCE, "c").expect("the resource is there");
        let conditions = resource["status"]["conditions"].as_array().expect("conditions");
        let ready = conditions.iter().find(|one| one["type"] == "Ready").expect("it has it");
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("Forbidden")));
        let message = ready["message"].as_str().expect("text");
        assert!(message.starts_with("cannot apply ConfigMap c-"), "{message}");
        // By now the addresses of the Services are known, which is news for the status.
        life.look_around();
        life.reconcile().await.expect_err("it is still forbidden");
        store.take_writes();
        life.look_around();
        life.reconcile().await.expect_err("it is still forbidden");
        let status = "PATCH rocketmqclusters/c/status".to_owned();
        assert!(!store.take_writes().contains(&status), "the same error is told once");
    });
}

#[test]
fn a_resource_that_cannot_be_read_is_told_and_nothing_is_touched() {
    on_runtime(async {
        let store = Store::default();
        let mut odd = cluster();
        odd["spec"]["layout"] = "17m".into();
        store.put(RESOURCE, odd);
        let life = Life::begin(&store);
        let error = life.reconcile().await.expect_err("there is no such layout");
        assert_eq!(error.class(), Class::Invalid);
        let events = store.all("events");
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["reason"], "InvalidSpec");
        assert!(store.take_writes().iter().all(|write| write.contains(" events/")));
    });
}

#[test]
fn a_resource_that_is_going_is_left_alone() {
    on_runtime(async {
        let store = Store::default();
        let mut going = cluster();
        going["metadata"]["deletionTimestamp"] = "2023-11-14T22:10:00Z".into();
        store.put(RESOURCE, going);
        let life = Life::begin(&store);
        assert_eq!(life.reconcile().await.expect("nothing to do"), Action::await_change());
        assert_eq!(store.take_writes(), Vec::<String>::new());
    });
}

/// A cluster whose name server cannot start, for a reason that a new template has just removed.
async fn stuck(store: &Store) -> Life {
    let life = Life::begin(store);
    life.settle().await.expect("everything is allowed");
    store.change("pods", "c-namesrv-0", |pod| {
        pod["status"] = json!({
            "phase": "Pending",
            "conditions": [{"type": "Ready", "status": "False",
                            "lastTransitionTime": "2023-11-14T22:00:00Z"}],
            "containerStatuses": [{
                "name": "namesrv", "ready": false, "restartCount": 0, "image": "x", "imageID": "",
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
            }],
        });
    });
    store.change(RESOURCE, "c", |one| {
        one["spec"]["nameserver"] = json!({"image": {"tag": "2.0.0"}});
    });
    life.look_around();
    life.reconcile().await.expect("the new template is applied");
    life.look_around();
    store.take_writes();
    life
}

fn deleted(store: &Store) -> Vec<String> {
    store.take_writes().into_iter().filter(|write| write.starts_with("DELETE")).collect()
}

#[test]
fn a_stuck_pod_is_replaced_after_a_fresh_look() {
    on_runtime(async {
        let store = store();
        let life = stuck(&store).await;
        store.take_reads();
        life.reconcile().await.expect("everything is allowed");
        assert_eq!(deleted(&store), ["DELETE pods/c-namesrv-0"]);
        assert!(5 <= store.take_reads(), "the resource and what changes by itself are read anew");
    });
}

/// What happened, and how.
type Change = (&'static str, fn(&Store));

#[test]
fn nothing_disruptive_is_done_on_old_news() {
    on_runtime(async {
        let changes: [Change; 3] = [
            ("somebody paused it", |store| {
                let pause = rmq_operator_api::meta::PAUSE;
                store.change(RESOURCE, "c", |one| {
                    one["metadata"]["annotations"] = json!({ (pause): "true" });
                });
            }),
            ("the pod is another one", |store| store.remove("pods", "c-namesrv-0")),
            ("the resource has gone", |store| store.remove(RESOURCE, "c")),
        ];
        for (what, change) in changes {
            let store = store();
            let life = stuck(&store).await;
            let known = store.get(RESOURCE, "c").expect("it is there");
            let known: Guarded = serde_json::from_value(known).expect("it has metadata");
            change(&store);
            reconcile(Arc::new(known), Arc::clone(&life.scope)).await.expect("no error");
            assert_eq!(deleted(&store), Vec::<String>::new(), "{what}");
        }
    });
}

#[test]
fn only_an_essential_step_that_fails_keeps_the_rest_from_being_done() {
    use rmq_operator_plan::{Kind, Step};
    on_runtime(async {
        for (essential, written) in [(false, true), (true, false)] {
            let store = store();
            let life = Life::begin(&store);
            let cluster = serde_json::from_value(cluster()).expect("it is one");
            let key = ClusterKey::new("ns", "c");
            let seen = Look::at(&life.scope, &cluster, &key, Freshness::Cached).await;
            let mut look = seen.expect("it can be seen");
            let apply = |kind| {
                let is_it = |step: &&Step| matches!(step, Step::Apply(one) if one.kind() == kind);
                look.decision.steps.iter().find(is_it).cloned()
            };
            let service = apply(Kind::Service).expect("it has services");
            let config_map = apply(Kind::ConfigMap).expect("it has settings");
            let refused = if essential {
                store.forbid("services");
                service
            } else {
                store.forbid("persistentvolumeclaims");
                let (name, uid) = ("store-c-broker-a-0".to_owned(), "uid".to_owned());
                Step::ResizeClaim { name, uid, size: "2Gi".to_owned() }
            };
            look.decision.steps = vec![refused, config_map];
            store.take_writes();
            let error = act(&life.scope, &key, &mut look).await.expect_err("one is refused");
            assert_eq!(error.class(), Class::Permission);
            let writes = store.take_writes();
            let found = writes.iter().any(|write| write.starts_with("PATCH configmaps/"));
            assert_eq!(found, written, "{writes:?}");
        }
    });
}
