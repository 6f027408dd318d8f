use super::*;
use crate::apiserver::CALL;
use crate::control::Peer;
use crate::control::fake::FakeBroker;
use crate::error::Class;
use crate::metrics::Metrics;
use crate::mock::{Server, answer, conflict, on_runtime};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::ObjectMeta;
use rmq_control::Bearer;
use rmq_operator_plan::control::Target;
use rmq_operator_plan::steps::{PermissionReason, Why};
use rmq_operator_plan::{Kind, Object, Observed};
use rmq_testkit::clock::FakeClock;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const CORE: &str = "/api/v1/namespaces/ns";
const SETS: &str = "/apis/apps/v1/namespaces/ns/statefulsets";
const MERGE: &str = "application/merge-patch+json";
const AS_OPERATOR: &str = "&fieldManager=rocketmq.rs-operator";

pub(crate) fn context(client: Client) -> Context {
    let plan = rmq_operator_plan::Context::new("1.0.0", "registry.test");
    let metrics = Metrics::new("1.0.0");
    Context::new(client, Arc::new(FakeClock::default()), metrics, plan, "test".to_owned())
}

fn sight(peers: Vec<Peer>) -> Sight {
    let peers = peers.into_iter().map(|peer| (peer.pod.clone(), peer)).collect();
    Sight { observed: Observed::at(0), peers, bearer: Bearer::new("secret").ok() }
}

/// Does `step` while `script` answers, and checks that nothing else was asked.
fn run(
    step: &Step,
    sight: &Sight,
    script: impl AsyncFnOnce(&mut Server),
) -> (Result<Flow, Error>, String) {
    on_runtime(async {
        let (client, mut server) = Server::new();
        let work = async {
            let context = context(client);
            let key = ClusterKey::new("ns", "c");
            let actor = Actor { context: &context, key: &key, sight };
            (actor.step(step).await, context.metrics.render())
        };
        let script = async {
            script(&mut server).await;
            server.nothing_more().await;
        };
        let (result, ()) = tokio::join!(work, script);
        result
    })
}

fn ok(step: &Step, script: impl AsyncFnOnce(&mut Server)) -> Flow {
    let (result, metrics) = run(step, &sight(Vec::new()), script);
    let counted = format!("rocketmq_operator_actions_total{{action=\"{}\"}} 1\n", step.name());
    assert!(metrics.contains(&counted), "{metrics}");
    result.expect("the step is done")
}

fn failed(step: &Step, script: impl AsyncFnOnce(&mut Server)) -> Error {
    let (result, metrics) = run(step, &sight(Vec::new()), script);
    assert!(!metrics.contains("actions_total{"), "a step that failed does not count");
    result.expect_err("the step fails")
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("ns".to_owned()),
        ..ObjectMeta::default()
    }
}

fn config_map() -> Object {
    Object::ConfigMap(Box::new(ConfigMap { metadata: named("c-client"), ..ConfigMap::default() }))
}

fn stateful_set() -> Object {
    let set = json!({"metadata": {"name": "c-broker-a", "namespace": "ns"}});
    Object::StatefulSet(Box::new(serde_json::from_value(set).expect("a set")))
}

fn changes(name: &str, value: Option<&str>) -> BTreeMap<String, Option<String>> {
    [(name.to_owned(), value.map(str::to_owned))].into()
}

fn success() -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "status": "Success", "metadata": {}})
}

#[test]
fn objects_are_applied_by_force_and_without_nulls() {
    let step = Step::Apply(config_map());
    let flow = ok(&step, async |server: &mut Server| {
        let body = server.expect_apply(&format!("{CORE}/configmaps/c-client")).echo().await;
        assert_eq!((&body["apiVersion"], &body["kind"]), (&json!("v1"), &json!("ConfigMap")));
        assert!(!body.to_string().contains("null"), "{body}");
    });
    assert_eq!(flow, Flow::Next);
}

#[test]
fn refusals_keep_what_was_tried_and_their_class() {
    let step = Step::Apply(config_map());
    for (code, reason, class) in [
        (403, "Forbidden", Class::Permission),
        (409, "Conflict", Class::Transient),
        (422, "Invalid", Class::Invalid),
        (429, "TooManyRequests", Class::Transient),
        (500, "InternalError", Class::Transient),
    ] {
        let error = failed(&step, async |server: &mut Server| {
            let path = format!("{CORE}/configmaps/c-client");
            server.expect_apply(&path).status(code, reason, "said so").await;
        });
        assert_eq!(error.class(), class, "{code}");
        let want = format!("cannot apply ConfigMap c-client: said so ({code} {reason})");
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_silent_server_is_not_waited_for_without_end() {
    on_runtime(async {
        let (client, mut server) = Server::new();
        let api: kube::Api<ConfigMap> = kube::Api::namespaced(client, "ns");
        let call = crate::apiserver::bounded_by(
            std::time::Duration::from_millis(20),
            "read ConfigMap x",
            api.get("x"),
        );
        let silent = server.expect("GET", &format!("{CORE}/configmaps/x")).hold();
        let (result, held) = tokio::join!(call, silent);
        let error = result.expect_err("nobody answered");
        assert_eq!(error.class(), Class::Transient);
        assert!(error.to_string().starts_with("cannot read ConfigMap x: no answer"), "{error}");
        drop(held);
        assert!(CALL.as_secs() <= 10);
    });
}

#[test]
fn a_token_is_created_and_never_replaced() {
    let secret = Secret { metadata: named("c-control-token"), ..Secret::default() };
    let secret = Object::Secret(Box::new(secret));
    let step = Step::CreateToken { secret, key: "token" };
    let path = format!("{CORE}/secrets");
    let flow = ok(&step, async |server: &mut Server| {
        let body = server.expect("POST", &path).query(AS_OPERATOR).echo().await;
        let token = body["stringData"]["token"].as_str().expect("a token");
        assert_eq!(token.len(), 64);
        assert_eq!(body["metadata"]["name"], "c-control-token");
    });
    assert_eq!(flow, Flow::Next);
    // Another operator was quicker: that token is the one.
    ok(&step, async |server: &mut Server| {
        server.expect("POST", &path).answer(conflict()).await;
    });
}

#[test]
fn only_the_object_that_was_seen_is_deleted() {
    let step = Step::Delete { kind: Kind::Service, name: "old".to_owned(), uid: "u1".to_owned() };
    let path = format!("{CORE}/services/old");
    ok(&step, async |server: &mut Server| {
        let body = server.expect("DELETE", &path).reply(success()).await;
        assert_eq!(body["preconditions"], json!({"uid": "u1"}));
        assert_eq!(body["propagationPolicy"], "Background");
    });
    ok(&step, async |server: &mut Server| server.expect("DELETE", &path).not_found().await);
    let error = failed(&step, async |server: &mut Server| {
        server.expect("DELETE", &path).answer(conflict()).await;
    });
    assert_eq!(error.class(), Class::Transient, "another object has the name now: look again");
}

#[test]
fn a_pod_goes_by_its_uid_and_nothing_is_done_behind_it() {
    let step = Step::DeletePod {
        name: "c-broker-a-1".to_owned(),
        uid: "p1".to_owned(),
        why: Why::RevisionChanged,
    };
    let path = format!("{CORE}/pods/c-broker-a-1");
    let flow = ok(&step, async |server: &mut Server| {
        let body = server.expect("DELETE", &path).reply(success()).await;
        assert_eq!(body["preconditions"], json!({"uid": "p1"}));
    });
    assert_eq!(flow, Flow::Stop);
}

#[test]
fn a_statefulset_is_deleted_without_its_pods_and_made_anew_once_it_has_gone() {
    let step = Step::RecreateStatefulSet { uid: "s1".to_owned(), object: stateful_set() };
    let path = format!("{SETS}/c-broker-a");
    let flow = ok(&step, async |server: &mut Server| {
        let body = server.expect("DELETE", &path).reply(success()).await;
        assert_eq!(body["propagationPolicy"], "Orphan");
        assert_eq!(body["preconditions"], json!({"uid": "s1"}));
        server.expect_apply(&path).echo().await;
    });
    assert_eq!(flow, Flow::Next);
    // Usually the garbage collector needs a moment; nothing is applied to what is going.
    let flow = ok(&step, async |server: &mut Server| {
        let going = stateful_set().to_json();
        server.expect("DELETE", &path).reply(going).await;
    });
    assert_eq!(flow, Flow::Stop);
}

#[test]
fn claims_and_pods_are_patched_only_with_their_uid() {
    let claim = "store-c-broker-a-0".to_owned();
    let claims = format!("{CORE}/persistentvolumeclaims/{claim}");
    let pods = format!("{CORE}/pods/c-broker-a-0");
    let uid = "u1".to_owned();
    let table = [
        (
            Step::ResizeClaim { name: claim.clone(), uid: uid.clone(), size: "2Gi".to_owned() },
            &claims,
            json!({"metadata": {"uid": "u1"},
                   "spec": {"resources": {"requests": {"storage": "2Gi"}}}}),
        ),
        (
            Step::MarkClaim {
                name: claim,
                uid: uid.clone(),
                labels: changes("rocketmq.rs/orphaned-group", Some("broker-b")),
                annotations: changes("a", None),
            },
            &claims,
            json!({"metadata": {"uid": "u1", "labels": {"rocketmq.rs/orphaned-group": "broker-b"},
                   "annotations": {"a": null}}}),
        ),
        (
            Step::LabelPod {
                name: "c-broker-a-0".to_owned(),
                uid,
                labels: changes("rocketmq.rs/role", Some("master")),
            },
            &pods,
            json!({"metadata": {"uid": "u1", "labels": {"rocketmq.rs/role": "master"}}}),
        ),
    ];
    for (step, path, want) in table {
        ok(&step, async |server: &mut Server| {
            let expected = server.expect("PATCH", path).query(AS_OPERATOR).content_type(MERGE);
            let object = json!({"metadata": {"name": "x", "namespace": "ns"}});
            assert_eq!(expected.reply(object).await, want, "{step}");
        });
        ok(&step, async |server: &mut Server| server.expect("PATCH", path).not_found().await);
    }
}

#[test]
fn an_annotation_is_removed_only_while_it_has_the_value_that_was_acted_upon() {
    let name = rmq_operator_api::meta::FORCE_SCALE_IN;
    let step = Step::ClearAnnotation { name, value: "broker-b".to_owned() };
    let path = "/apis/rocketmq.rs/v1alpha1/namespaces/ns/rocketmqclusters/c";
    let cluster = |value: &str| {
        json!({
            "apiVersion": "rocketmq.rs/v1alpha1", "kind": "RocketMQCluster",
            "metadata": {"name": "c", "namespace": "ns", "uid": "u", "resourceVersion": "9",
                         "annotations": {(name): value}},
            "spec": {"layout": "single", "brokers": {"storage": {"size": "1Gi"}}},
        })
    };
    ok(&step, async |server: &mut Server| {
        server.expect("GET", path).reply(cluster("broker-b")).await;
        let patch = server.expect("PATCH", path).content_type(MERGE);
        let body = patch.reply(cluster("broker-b")).await;
        let want = json!({"uid": "u", "resourceVersion": "9", "annotations": {(name): null}});
        assert_eq!(body["metadata"], want);
    });
    let flow = ok(&step, async |server: &mut Server| {
        server.expect("GET", path).reply(cluster("broker-c")).await;
    });
    assert_eq!(flow, Flow::Stop, "it asks for something else now");
}

fn target(broker: &FakeBroker) -> Target {
    Target { store_id: broker.store_id(), incarnation: broker.incarnation() }
}

#[test]
fn brokers_are_asked_with_the_token_and_the_process_that_is_meant() {
    on_runtime(async {
        let broker = FakeBroker::start("secret");
        let peer = broker.peer(&ClusterKey::new("ns", "c"), "c-broker-a-0", "p1");
        let sight = sight(vec![peer]);
        let (client, _server) = Server::new();
        let context = context(client);
        let key = ClusterKey::new("ns", "c");
        let actor = Actor { context: &context, key: &key, sight: &sight };
        let pod = "c-broker-a-0".to_owned();
        let reason = PermissionReason::Restart;
        let set = |target| Step::SetPermission { pod: pod.clone(), target, perm: 4, reason };
        actor.step(&set(target(&broker))).await.expect("it is the one");
        actor
            .step(&Step::Reload { pod: pod.clone(), target: target(&broker) })
            .await
            .expect("it is the one");
        assert_eq!(
            broker.calls(),
            [format!("permission 4 {}", reason.text()), "reload".to_owned()]
        );
        let other = Target { store_id: broker.store_id(), incarnation: "before".to_owned() };
        let error = actor.step(&set(other)).await.expect_err("it is another process");
        assert_eq!(error.class(), Class::Transient);
        assert!(error.to_string().contains("meant for incarnation \"before\""), "{error}");
        let nobody = Step::Reload { pod: "c-broker-b-0".to_owned(), target: target(&broker) };
        let error = actor.step(&nobody).await.expect_err("it has no address");
        assert_eq!(error.to_string(), "cannot call c-broker-b-0: it has no address");
        broker.stop().await;
    });
}

/// `answer` is for scripts of other modules as well; here it shows that odd answers are told apart.
#[test]
fn an_answer_that_is_no_object_is_a_fault_of_ours() {
    let step = Step::Apply(config_map());
    let error = failed(&step, async |server: &mut Server| {
        let path = format!("{CORE}/configmaps/c-client");
        server.expect_apply(&path).answer(answer(200, &json!("text"))).await;
    });
    assert_eq!(error.class(), Class::Bug);
}
