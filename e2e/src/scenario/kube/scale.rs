//! More and fewer of something.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use rmq_client::consumer::{Consumer, ConsumerConfig, StartFrom, Verdict};
use rmq_client::{Outgoing, Producer};
use serde_json::{Value, json};

use super::{LONG, SHORT, two_groups};
use crate::kube::load::{self, Load};
use crate::kube::space::{Space, condition_of, name_of, same_lives};
use crate::kube::until;
use crate::report;
use crate::scenario::suite::Stage;

/// Messages that nobody has read when a group is to go.
const BACKLOG: usize = 60;

fn with(path: &str, name: &str, value: Value) -> Value {
    let mut spec = two_groups();
    if let Some(fields) = spec.pointer_mut(path).and_then(Value::as_object_mut) {
        fields.insert(name.to_owned(), value);
    }
    spec
}

/// What each name server knows, asked one by one.
async fn known_everywhere(space: &Space, servers: usize, brokers: usize) -> anyhow::Result<()> {
    until(SHORT, &format!("{servers} name servers know {brokers} brokers"), || async {
        let pods: Vec<Pod> = space.pods("demo", Some("namesrv")).await?;
        ensure!(pods.len() == servers, "there are {} name servers", pods.len());
        for pod in pods {
            let ip = pod.status.and_then(|status| status.pod_ip).context("no address yet")?;
            let client = load::client(&format!("{ip}:9876"))?;
            let found = client.admin().cluster_info().await?.brokers.len();
            ensure!(found == brokers, "{ip} knows {found}");
        }
        Ok(Some(()))
    })
    .await
}

pub(super) async fn name_servers(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    space.apply("demo", &two_groups()).await?;
    space.ready("demo", SHORT).await?;
    let brokers = space.lives("demo", Some("broker")).await?;
    let load = Load::start(&space.name_servers("demo").await?, "orders").await?;
    for count in [3_usize, 1] {
        space.apply("demo", &with("/nameserver", "replicas", json!(count))).await?;
        space.ready("demo", LONG).await?;
        known_everywhere(&space, count, 2).await?;
        same_lives(&brokers, &space.lives("demo", Some("broker")).await?)?;
        load.flows(100, SHORT).await?;
    }
    let verdict = load.finish(LONG).await?;
    report::note(&format!("   {verdict}"));
    ensure!(verdict.failed == 0, "sends failed while name servers came and went");
    Ok(())
}

/// Reads for `group` until all of `wanted` came, or nothing came for a while.
async fn read(
    space: &Space,
    group: &str,
    wanted: &BTreeSet<String>,
) -> anyhow::Result<BTreeSet<String>> {
    let client = load::client(&space.name_servers("demo").await?)?;
    let from = ConsumerConfig { from: StartFrom::First, ..ConsumerConfig::new(group, "backlog") };
    let mut consumer = Consumer::start(client, from).await?;
    let mut bodies = BTreeSet::new();
    while !bodies.is_superset(wanted) {
        let Ok(batch) = tokio::time::timeout(Duration::from_secs(45), consumer.next()).await else {
            break;
        };
        let batch = batch?;
        let texts = batch.messages.iter().map(|m| String::from_utf8_lossy(&m.body).into_owned());
        bodies.extend(texts);
        consumer.done(&batch, Verdict::Consumed).await?;
    }
    consumer.close().await;
    Ok(bodies)
}

pub(super) async fn groups(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    space.apply("demo", &two_groups()).await?;
    space.ready("demo", SHORT).await?;
    let first = space.lives("demo", None).await?;
    let client = load::client(&space.name_servers("demo").await?)?;
    load::make_topic(&client, "backlog").await?;
    // A group that has read from the topic counts when brokers are emptied.
    let producer = Producer::new(client.clone(), "e2e");
    producer.send(&Outgoing::new("backlog", "first")).await?;
    let first_one = BTreeSet::from(["first".to_owned()]);
    let seen = read(&space, "readers", &first_one).await?;
    ensure!(seen == first_one, "instead of the first message came {seen:?}");

    space.apply("demo", &with("/brokers", "groups", json!(3))).await?;
    space.ready("demo", LONG).await?;
    same_lives(&first, &space.lives("demo", None).await?)?;
    until(SHORT, "the topic can be written to on the new group", || async {
        client.forget_route("backlog");
        let route = client.route("backlog").await?;
        let queues = route.write_queues();
        Ok(queues.iter().any(|queue| &*queue.broker_name == "broker-c").then_some(()))
    })
    .await?;
    let mut sent = BTreeSet::new();
    let mut on_third = 0;
    for number in 0..BACKLOG {
        let body = format!("m{number}");
        let place = producer.send(&Outgoing::new("backlog", body.clone())).await?;
        on_third += usize::from(&*place.queue.broker_name == "broker-c");
        sent.insert(body);
    }
    ensure!(0 < on_third, "nothing was sent to the new group");

    space.apply("demo", &two_groups()).await?;
    let blocked = space.condition("demo", "ScaleInBlocked", "True", LONG).await?;
    let message = blocked.get("message").and_then(Value::as_str).unwrap_or_default();
    ensure!(message.contains("backlog"), "the condition names no topic: {message}");
    let pods = space.pods("demo", Some("broker")).await?;
    ensure!(pods.len() == 3, "a group with messages was removed");

    let got = read(&space, "readers", &sent).await?;
    let missing: Vec<_> = sent.difference(&got).collect();
    ensure!(missing.is_empty(), "not delivered: {missing:?}");
    until(LONG, "the third group is gone", || async {
        let pods = space.pods("demo", Some("broker")).await?;
        let names: Vec<_> = pods.iter().filter_map(name_of).collect();
        ensure!(names.len() == 2, "pods are {names:?}");
        let status = space.status("demo").await?;
        let still = condition_of(&status, "ScaleInBlocked");
        let over = still.is_none_or(|still| still.get("status") == Some(&json!("False")));
        Ok(over.then_some(()))
    })
    .await?;
    space.ready("demo", SHORT).await?;
    let volumes = space.volumes().await?;
    ensure!(volumes.contains_key("store-demo-broker-c-0"), "its volume is gone: {volumes:?}");
    same_lives(&first, &space.lives("demo", None).await?)?;
    report::note(&format!("   {on_third} of {BACKLOG} messages were on the third group"));
    Ok(())
}
