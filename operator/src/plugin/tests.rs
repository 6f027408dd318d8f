//! Commands against an API server that follows a script.

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// What came of a command.
struct Played {
    /// `Ok` with whether the status was 0, or the error.
    result: Result<bool, String>,
    out: String,
    /// Method, path with query, and body of each request.
    seen: Vec<(String, Value)>,
}

/// Runs `kubectl rmq ARGS` in namespace `ns`; `script` answers its requests in turn.
fn play(args: &[&str], script: &[(u16, Value)]) -> Played {
    let line = CommandLine::try_parse_from(["kubectl-rmq"].iter().chain(args)).expect("understood");
    let config = RuntimeConfig { workers: 0, ..RuntimeConfig::default() };
    runtime::build(&config).expect("a runtime").block_on(async move {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let session =
            Session { client: Client::new(service, "default"), namespace: "ns".to_owned() };
        let work = async move {
            let mut out = Vec::new();
            let result = run(&session, &line.command, &mut out).await;
            (result, out)
        };
        let server = async move {
            let mut seen = Vec::new();
            let mut answers = script.iter();
            while let Some((request, send)) = handle.next_request().await {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.expect("the body is in memory");
                let what = format!("{} {}", head.method, head.uri);
                seen.push((what.clone(), serde_json::from_slice(&body).unwrap_or_default()));
                let (code, answer) = answers.next().unwrap_or_else(|| panic!("unexpected: {what}"));
                let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
                let response =
                    Response::builder().status(*code).body(Body::from(text.into_bytes()));
                send.send_response(response.expect("well-formed"));
            }
            assert_eq!(answers.next(), None, "not asked for");
            seen
        };
        let ((result, out), seen) = futures_util::future::join(work, server).await;
        Played {
            result: result
                .map(|code| format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS))
                .map_err(|error| format!("{error:#}")),
            out: String::from_utf8(out).expect("text"),
            seen,
        }
    })
}

fn missing() -> (u16, Value) {
    (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}))
}

fn cluster(change: impl FnOnce(&mut Value)) -> (u16, Value) {
    let mut cluster = json!({
        "apiVersion": "rocketmq.rs/v1alpha1",
        "kind": "RocketMQCluster",
        "metadata": {"name": "demo", "namespace": "ns", "generation": 2},
        "spec": {
            "layout": "2m-2s-sync",
            "brokers": {"storage": {"size": "1Gi"}, "config": {"traceOn": "false"}},
        },
    });
    change(&mut cluster);
    (200, cluster)
}

fn status(phase: &str, group_phase: &str, hash: &str) -> Value {
    json!({
        "observedGeneration": 2,
        "phase": phase,
        "version": "0.1.0",
        "readyGroups": "1/1",
        "endpoints": {"namesrv": "demo-namesrv.ns.svc:9876"},
        "nameservers": {"ready": 1, "desired": 2, "updated": 2},
        "groups": [{
            "name": "broker-a", "phase": group_phase, "writable": true, "inSync": [0],
            "replicas": [
                {"ordinal": 0, "pod": "demo-broker-a-0", "role": "Master", "brokerId": 0,
                 "address": "10.96.3.7:10911", "ready": true, "configHash": hash},
                {"ordinal": 1, "pod": "demo-broker-a-1", "ready": false},
            ],
        }],
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "PodsNotReady",
            "message": "demo-broker-a-1 is not ready",
            "lastTransitionTime": "2026-11-21T10:00:00Z", "observedGeneration": 2,
        }],
    })
}

fn list(kind: &str, items: &Value) -> (u16, Value) {
    (200, json!({"apiVersion": "v1", "kind": kind, "metadata": {}, "items": items}))
}

const CLUSTER: &str = "/apis/rocketmq.rs/v1alpha1/namespaces/ns/rocketmqclusters/demo";

#[test]
fn the_status_of_a_cluster_is_a_page() {
    let reported = cluster(|cluster| cluster["status"] = status("Degraded", "Active", "h"));
    let played = play(&["status", "demo"], &[reported]);
    assert_eq!(played.result, Ok(true));
    assert_eq!(played.seen[0].0, format!("GET {CLUSTER}"));
    assert_eq!(
        played.out,
        "\
cluster      demo (demo)
layout       2m-2s-sync: 2 x 2, Sync
phase        Degraded
version      0.1.0
clients      demo-namesrv.ns.svc:9876
name servers 1/2 ready, 2 in the wanted form

GROUP     PHASE   WRITABLE  POD              ROLE    ID  READY  IN-SYNC  LAG  ADDRESS
broker-a  Active  yes       demo-broker-a-0  Master  0   yes    yes      -    10.96.3.7:10911
broker-a  Active  yes       demo-broker-a-1  -       -   no     no       -    -

CONDITION  STATUS  SINCE                 REASON        MESSAGE
Ready      False   2026-11-21T10:00:00Z  PodsNotReady  demo-broker-a-1 is not ready
"
    );
}

#[test]
fn what_an_operator_has_not_seen_is_said() {
    let played = play(&["status", "demo"], &[cluster(|_| {})]);
    assert!(played.out.contains("no operator has reported yet"), "{}", played.out);
    let stale = cluster(|cluster| {
        cluster["status"] = status("Running", "Active", "h");
        cluster["metadata"]["generation"] = json!(3);
        cluster["spec"]["paused"] = json!(true);
    });
    let played = play(&["status", "demo"], &[stale]);
    assert!(played.out.contains("has not seen the latest change"), "{}", played.out);
    assert!(played.out.contains("by spec.paused"), "{}", played.out);
    let played = play(&["status", "demo"], &[missing()]);
    assert_eq!(played.result, Err("there is no RocketMQCluster demo in namespace ns".to_owned()));
}

#[test]
fn all_clusters_are_a_table() {
    let (_, one) = cluster(|cluster| cluster["status"] = status("Running", "Active", "h"));
    let played = play(&["status", "-A"], &[list("RocketMQClusterList", &json!([one]))]);
    assert!(played.seen[0].0.starts_with("GET /apis/rocketmq.rs/v1alpha1/rocketmqclusters"));
    assert_eq!(
        played.out,
        "\
NAMESPACE  NAME  LAYOUT      PHASE    GROUPS  READY  MESSAGE
ns         demo  2m-2s-sync  Running  1/1     False  demo-broker-a-1 is not ready
"
    );
    let played = play(&["status"], &[list("RocketMQClusterList", &json!([]))]);
    assert_eq!(played.out, "there is no RocketMQCluster in namespace ns\n");
}

#[test]
fn a_restart_sets_a_new_token() {
    let played = play(&["restart", "demo"], &[cluster(|_| {}), cluster(|_| {})]);
    assert_eq!(played.result, Ok(true));
    let (what, body) = &played.seen[1];
    assert_eq!(*what, format!("PATCH {CLUSTER}?&fieldManager=kubectl-rmq"));
    let token = &body["metadata"]["annotations"]["rocketmq.rs/restart"];
    assert!(token.as_str().is_some_and(|token| !token.is_empty()), "{body}");
}

#[test]
fn a_pod_is_restarted_unless_it_is_held_or_a_strangers() {
    let pod = |labels: Value, annotations: Value| {
        let metadata =
            json!({"name": "demo-broker-a-1", "labels": labels, "annotations": annotations});
        (200, json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}))
    };
    let ours = || json!({"rocketmq.rs/cluster": "demo"});
    let name = "demo-broker-a-1";
    let good = pod(ours(), json!({}));
    let played = play(&["restart", name], &[missing(), good.clone(), good]);
    assert_eq!(played.result, Ok(true));
    assert_eq!(
        played.seen[2].0,
        format!("PATCH /api/v1/namespaces/ns/pods/{name}?&fieldManager=kubectl-rmq")
    );
    for (answer, words) in [
        (pod(ours(), json!({"rocketmq.rs/hold": "true"})), "is held"),
        (pod(json!({}), json!({})), "belongs to no RocketMQCluster"),
        (missing(), "neither a RocketMQCluster nor a pod"),
    ] {
        let played = play(&["restart", name], &[missing(), answer]);
        assert!(played.result.as_ref().is_err_and(|error| error.contains(words)), "{words}");
    }
}

#[test]
fn a_pause_is_an_annotation_that_comes_and_goes() {
    let paused = || {
        cluster(|cluster| {
            cluster["metadata"]["annotations"] = json!({"rocketmq.rs/pause": "true"});
        })
    };
    let played = play(&["pause", "demo"], &[cluster(|_| {}), paused()]);
    assert_eq!(
        played.seen[1].1,
        json!({"metadata": {"annotations": {"rocketmq.rs/pause": "true"}}})
    );
    let played = play(&["resume", "demo"], &[paused(), cluster(|_| {})]);
    assert_eq!(played.seen[1].1, json!({"metadata": {"annotations": {"rocketmq.rs/pause": null}}}));
    assert_eq!(played.result, Ok(true));
    let played = play(&["resume", "demo"], &[cluster(|_| {})]);
    assert_eq!(played.out, "cluster demo was not paused\n");
    let by_spec = cluster(|cluster| cluster["spec"]["paused"] = json!(true));
    let played = play(&["resume", "demo"], &[by_spec]);
    assert!(played.result.is_err_and(|error| error.contains("spec.paused")));
}

#[test]
fn a_drain_says_what_it_waits_for_and_how_to_end_it() {
    let idle = cluster(|cluster| cluster["status"] = status("Running", "Active", "h"));
    let played = play(&["drain-status", "demo"], &[idle]);
    assert_eq!(played.out, "no group of cluster demo is about to go\n");
    let blocked = cluster(|cluster| {
        cluster["status"] = status("ScalingIn", "Draining", "h");
        cluster["status"]["conditions"] = json!([{
            "type": "ScaleInBlocked", "status": "True", "reason": "MessagesWaiting",
            "message": "orders/billing is 12 behind",
            "lastTransitionTime": "2026-11-21T10:00:00Z",
        }]);
    });
    let played = play(&["drain-status", "demo"], &[blocked]);
    assert_eq!(
        played.out,
        "\
GROUP     PHASE     MEANING
broker-a  Draining  its messages are being consumed

MessagesWaiting: orders/billing is 12 behind
to let broker-a go with what it still has: kubectl -n ns annotate rmq/demo \
rocketmq.rs/force-scale-in=broker-a
"
    );
}

#[test]
fn logs_are_told_apart_by_pod() {
    let pod = |name: &str, containers: Value| {
        json!({
            "metadata": {
                "name": name,
                "labels": {"app.kubernetes.io/component": "broker"},
            },
            "spec": {"containers": containers},
        })
    };
    let pods = json!([
        pod("demo-broker-a-1", json!([{"name": "sidecar"}, {"name": "broker"}])),
        pod("demo-broker-a-0", json!([{"name": "broker"}])),
    ]);
    let played = play(
        &["logs", "demo", "broker-a", "--tail", "2"],
        &[list("PodList", &pods), (200, json!("one\ntwo\n")), (200, json!("three\n"))],
    );
    assert_eq!(played.result, Ok(true));
    let selector =
        "labelSelector=rocketmq.rs%2Fcluster%3Ddemo%2Crocketmq.rs%2Fbroker-name%3Dbroker-a";
    assert!(played.seen[0].0.contains(selector), "{:?}", played.seen[0]);
    for (request, pod) in played.seen[1..].iter().zip(["demo-broker-a-0", "demo-broker-a-1"]) {
        assert!(request.0.contains(&format!("pods/{pod}/log?")), "{request:?}");
        assert!(request.0.contains("container=broker"), "{request:?}");
        assert!(request.0.contains("tailLines=2"), "{request:?}");
    }
    assert_eq!(
        played.out,
        "[demo-broker-a-0] one\n[demo-broker-a-0] two\n[demo-broker-a-1] three\n"
    );
    let played = play(&["logs", "demo", "namesrv"], &[list("PodList", &json!([]))]);
    assert!(played.result.is_err_and(|error| error.contains("component=namesrv")));
}

#[test]
fn drift_compares_manifest_file_and_brokers() {
    let map = |text: &str| {
        let metadata = json!({
            "name": "demo-broker-a",
            "labels": {"rocketmq.rs/cluster": "demo", "rocketmq.rs/broker-name": "broker-a"},
        });
        list("ConfigMapList", &json!([{"metadata": metadata, "data": {"broker.conf": text}}]))
    };
    let hash = rmq_pod::files::settings_hash([("traceOn", "false")]);
    let reported = |hash: &str| {
        cluster(|cluster| {
            cluster["status"] = status("Running", "Active", hash);
            cluster["status"]["groups"][0]["replicas"]
                .as_array_mut()
                .expect("replicas")
                .truncate(1);
        })
    };
    let played = play(&["drift", "demo"], &[reported(&hash), map("traceOn=false\n")]);
    assert_eq!(played.result, Ok(true), "{}", played.out);
    assert_eq!(played.out, "every broker of cluster demo uses what its manifest says\n");
    let played = play(&["drift", "demo"], &[reported("0123"), map("traceOn=true\n")]);
    assert_eq!(played.result, Ok(false));
    let lines: Vec<&str> = played.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", played.out);
    assert_eq!(lines[0], "broker-a: traceOn is true in the mounted file, false in the manifest");
    assert!(lines[1].starts_with("demo-broker-a-0: uses settings 0123, the mounted file has "));
    let played = play(&["drift", "demo"], &[reported(&hash), list("ConfigMapList", &json!([]))]);
    assert_eq!(played.out, "broker-a: its ConfigMap is missing\n");
}

#[test]
fn lines_that_make_no_sense_are_refused() {
    for bad in [
        &["walk"][..],
        &["restart"],
        &["status", "demo", "-A"],
        &["logs", "demo", "-f", "--previous"],
        &[],
    ] {
        let line = CommandLine::try_parse_from(["kubectl-rmq"].iter().chain(bad));
        assert!(line.is_err(), "{bad:?}");
    }
    let line = CommandLine::try_parse_from(["kubectl-rmq", "drift", "demo", "-n", "x"]);
    assert_eq!(line.expect("understood").access.namespace.as_deref(), Some("x"));
}
