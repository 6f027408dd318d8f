//! Layouts without slaves.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use rmq_host::SystemClock;
use rmq_model::clock::Clock as _;
use serde_json::{Value, json};

use super::{SHORT, small, two_groups};
use crate::kube::load;
use crate::kube::space::Space;
use crate::report;
use crate::scenario::suite::Stage;

/// A cluster of two groups is to be Ready within this, on a machine that does nothing else.
const READY: Duration = Duration::from_secs(15);

pub(super) async fn run(stage: Stage) -> anyhow::Result<()> {
    let storage = json!({"size": "1Gi"});
    let brokers = json!({"storage": storage, "resources": small()});
    let single = json!({"layout": "single", "nameserver": {"resources": small()},
        "brokers": brokers});
    let custom = json!({"layout": "Custom", "nameserver": {"replicas": 2, "resources": small()},
        "brokers": {"groups": 3, "replicasPerGroup": 1, "replication": "Async",
            "namePrefix": "mq", "storage": storage, "resources": small()}});
    let cases: [(&str, Value, &[&str]); 3] = [
        ("single", single, &["broker-a"]),
        ("two", two_groups(), &["broker-a", "broker-b"]),
        ("custom", custom, &["mq-a", "mq-b", "mq-c"]),
    ];
    for (name, spec, groups) in cases {
        let space = stage.space(&format!("-{name}")).await?;
        let clock = SystemClock::new();
        space.apply(name, &spec).await?;
        space.ready(name, SHORT).await?;
        let took = clock.monotonic();
        report::note(&format!("   {name}: Ready after {:.1} s", took.as_secs_f64()));
        // Several times of it under load is a fault, not noise.
        ensure!(took < READY * 3, "{name} took {took:?}, and should take {READY:?}");
        looks_as_promised(&space, name, groups).await?;
        space.clean().await?;
    }
    Ok(())
}

async fn looks_as_promised(space: &Space, name: &str, groups: &[&str]) -> anyhow::Result<()> {
    let client = load::client(&space.name_servers(name).await?)?;
    let info = client.admin().cluster_info().await?;
    let found: Vec<&str> = info.brokers.keys().map(String::as_str).collect();
    ensure!(found == groups, "brokers are {found:?} and not {groups:?}");
    for (broker, known) in &info.brokers {
        ensure!(known.cluster == name, "{broker} is of the cluster {}", known.cluster);
        // In the default mode clients are told the address of the pod's own Service.
        let service: k8s_openapi::api::core::v1::Service =
            space.api().get(&format!("{name}-{broker}-0")).await?;
        let ip = service.spec.and_then(|spec| spec.cluster_ip).unwrap_or_default();
        let promised = BTreeMap::from([(0, format!("{ip}:10911"))]);
        ensure!(known.addresses == promised, "{broker} is at {:?}", known.addresses);
    }
    let status = space.status(name).await?;
    let at = |path: &str| status.pointer(path).cloned().unwrap_or_default();
    let count = groups.len();
    ensure!(at("/phase") == "Running", "phase {}", at("/phase"));
    ensure!(at("/readyGroups") == format!("{count}/{count}"), "groups {}", at("/readyGroups"));
    ensure!(
        at("/groups/0/replicas/0/role") == "Master",
        "role {}",
        at("/groups/0/replicas/0/role")
    );
    ensure!(at("/groups/0/writable") == true, "not writable: {status}");
    for kind in ["Available", "ConfigApplied"] {
        let condition = space.condition(name, kind, "True", Duration::from_secs(10)).await?;
        ensure!(condition.get("reason").is_some(), "{kind} without reason");
    }
    load::make_topic(&client, "through").await
}
