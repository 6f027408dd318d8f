//! Every rule of the definition, each with what it takes and what it refuses.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail, ensure};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::definitions;
use crate::kube::space::{Space, cluster_type};
use crate::report;
use crate::scenario::suite::Stage;

/// A spec with a change in it: a JSON merge patch to [`base`].
type Change = Value;

fn base() -> Value {
    json!({"layout": "2m-noslave", "brokers": {"storage": {"size": "1Gi"}}})
}

fn custom(brokers: &Value) -> Value {
    let mut whole = json!({"groups": 1, "replicasPerGroup": 2, "replication": "Sync"});
    merge(&mut whole, brokers);
    json!({"layout": "Custom", "brokers": whole})
}

fn brokers(change: &Value) -> Value {
    json!({"brokers": change})
}

/// What is taken.
fn good() -> Vec<(&'static str, Change)> {
    vec![
        ("nothing", json!({})),
        ("each layout", json!({"layout": "single"})),
        ("2m-2s-sync", json!({"layout": "2m-2s-sync"})),
        ("2m-2s-async", json!({"layout": "2m-2s-async"})),
        ("custom", custom(&json!({}))),
        ("groups with a preset", brokers(&json!({"groups": 3}))),
        ("minInSync of all", custom(&json!({"sync": {"minInSync": 2}}))),
        (
            "ephemeral without size",
            brokers(&json!({"storage": {"size": null, "type": "Ephemeral"}})),
        ),
        ("settings", brokers(&json!({"config": {"fileReservedTime": "72"}}))),
        ("overrides", brokers(&json!({"groupOverrides": [{"name": "broker-b"}]}))),
        (
            "host network",
            brokers(&json!({"antiAffinity": "Required",
                "addressing": {"advertise": "HostIP", "hostNetwork": true}})),
        ),
        (
            "external",
            brokers(&json!({"addressing": {"advertise": "External",
                "external": {"type": "NodePort", "hostTemplate": "{nodeIP}"}}})),
        ),
        (
            "other name servers",
            json!({"nameserver": {"externalAddresses": ["ns.example.org:9876"]}}),
        ),
        ("variables", json!({"podDefaults": {"env": [{"name": "TZ", "value": "UTC"}]}})),
        ("filters", json!({"logging": {"filters": {"rmq_store": "debug"}}})),
    ]
}

/// What is refused, with words of the refusal.
fn bad() -> Vec<(&'static str, Change)> {
    let identity = "settings that say who a process is";
    let letters = "names of settings must be";
    let variables = "env cannot set the variables of the operator";
    let forbidden = json!([{"name": "RMQ_X", "value": "1"}]);
    vec![
        ("layout Custom needs", json!({"layout": "Custom"})),
        ("allowed only with layout Custom", brokers(&json!({"replicasPerGroup": 2}))),
        ("allowed only with layout Custom", brokers(&json!({"replication": "Sync"}))),
        ("minInSync is more than", custom(&json!({"sync": {"minInSync": 3}}))),
        ("minInSync is more than", brokers(&json!({"sync": {"minInSync": 2}}))),
        ("metrics.port is a port of", json!({"metrics": {"port": 10911}})),
        ("storage.size is required", brokers(&json!({"storage": {"size": null}}))),
        ("groupOverrides must name", brokers(&json!({"groupOverrides": [{"name": "other-a"}]}))),
        (
            "advertise External and the field",
            brokers(&json!({"addressing": {"advertise": "External"}})),
        ),
        ("hostNetwork needs advertise", brokers(&json!({"addressing": {"hostNetwork": true}}))),
        (
            "drainSeconds must be less",
            brokers(&json!({"shutdown": {"gracePeriodSeconds": 10, "drainSeconds": 10}})),
        ),
        (letters, brokers(&json!({"config": {"a b": "1"}}))),
        (identity, brokers(&json!({"config": {"brokerId": "1"}}))),
        (identity, brokers(&json!({"config": {"storePathRootDir": "/x"}}))),
        (
            letters,
            brokers(&json!({"groupOverrides": [{"name": "broker-a", "config": {"a b": "1"}}]})),
        ),
        (
            identity,
            brokers(
                &json!({"groupOverrides": [{"name": "broker-a", "config": {"brokerName": "x"}}]}),
            ),
        ),
        (letters, json!({"nameserver": {"config": {"a b": "1"}}})),
        (identity, json!({"nameserver": {"config": {"listenPort": "1"}}})),
        (variables, brokers(&json!({"pod": {"env": forbidden}}))),
        (variables, json!({"nameserver": {"pod": {"env": forbidden}}})),
        (variables, json!({"podDefaults": {"env": forbidden}})),
        ("logging.filters must name", json!({"logging": {"filters": {"a b": "debug"}}})),
        (
            "exclude each other",
            json!({"nameserver": {"replicas": 1, "externalAddresses": ["h:1"]}}),
        ),
        // Not rules but the schema itself.
        ("Unsupported value", json!({"layout": "2m-3s"})),
        ("should be less than or equal to 64", brokers(&json!({"groups": 65}))),
        ("should be greater than or equal to 1", brokers(&json!({"groups": 0}))),
        ("storage.size", brokers(&json!({"storage": {"size": "abc"}}))),
        ("unknown field", brokers(&json!({"storage": {"sise": "1Gi"}}))),
    ]
}

/// Changes of a running cluster: what it was, what is changed, and words of the refusal, or none.
fn changes() -> Vec<(Option<&'static str>, Change, Change)> {
    let two = |change: Value| json!({"storage": {"commitLog": change}});
    vec![
        (None, json!({}), brokers(&json!({"storage": {"size": "2Gi"}}))),
        (None, json!({}), brokers(&json!({"groups": 3}))),
        (None, json!({}), json!({"layout": "single"})),
        (Some("clusterName cannot be changed"), json!({}), json!({"clusterName": "x"})),
        (
            Some("clusterName cannot be changed"),
            json!({"clusterName": "x"}),
            json!({"clusterName": null}),
        ),
        (Some("namePrefix cannot be changed"), json!({}), brokers(&json!({"namePrefix": "x"}))),
        (
            Some("storage.type cannot be changed"),
            json!({}),
            brokers(&json!({"storage": {"type": "Ephemeral"}})),
        ),
        (
            Some("storage.className cannot be changed"),
            json!({}),
            brokers(&json!({"storage": {"className": "x"}})),
        ),
        (
            Some("storage.accessMode cannot be changed"),
            json!({}),
            brokers(&json!({"storage": {"accessMode": "ReadWriteOncePod"}})),
        ),
        (
            Some("storage.size cannot shrink"),
            json!({}),
            brokers(&json!({"storage": {"size": "500Mi"}})),
        ),
        (None, json!({}), brokers(&json!({"storage": {"size": "1024Mi"}}))),
        (
            Some("commitLog cannot be added or removed"),
            json!({}),
            brokers(&two(json!({"size": "1Gi"}))),
        ),
        (
            Some("commitLog.size cannot shrink"),
            brokers(&two(json!({"size": "1Gi"}))),
            brokers(&two(json!({"size": "1Mi"}))),
        ),
        (None, brokers(&two(json!({"size": "1Gi"}))), brokers(&two(json!({"size": "2Gi"})))),
        (
            Some("commitLog.className cannot be changed"),
            brokers(&two(json!({"size": "1Gi"}))),
            brokers(&two(json!({"className": "x"}))),
        ),
        (
            Some("groupOverrides[].storage cannot be added"),
            brokers(&json!({"groupOverrides": [{"name": "broker-a"}]})),
            brokers(
                &json!({"groupOverrides": [{"name": "broker-a", "storage": {"className": "x"}}]}),
            ),
        ),
        (
            Some("groupOverrides[].storage.className cannot be changed"),
            brokers(
                &json!({"groupOverrides": [{"name": "broker-a", "storage": {"className": "x"}}]}),
            ),
            brokers(
                &json!({"groupOverrides": [{"name": "broker-a", "storage": {"className": "y"}}]}),
            ),
        ),
        (
            Some("storage.type cannot be changed"),
            json!({}),
            json!({"nameserver": {"storage": {"type": "PersistentVolumeClaim"}}}),
        ),
        (
            Some("storage.className cannot be changed"),
            json!({}),
            json!({"nameserver": {"storage": {"className": "x"}}}),
        ),
        (
            Some("storage.size cannot shrink"),
            json!({"nameserver": {"storage": {"size": "2Gi"}}}),
            json!({"nameserver": {"storage": {"size": "1Gi"}}}),
        ),
    ]
}

/// Names, which the rules of the whole resource are about.
const NAMES: &[(&str, Option<&str>)] = &[
    ("a", None),
    ("a-name-that-has-as-many-as-40-characters", None),
    ("a-name-that-has-one-more-than-40-letterss", Some("longer than 40 characters")),
    ("0-begins-with-a-digit", Some("beginning with a letter")),
    ("has.a.dot", Some("lower-case letters, digits and `-`")),
];

pub(super) async fn run(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    let mut refusals = BTreeSet::new();
    let mut cases = 0_u32;
    for (what, change) in good() {
        create(&space, "good", &with(&change), true)
            .await
            .with_context(|| format!("{what} is refused"))?;
        cases += 1;
    }
    for (words, change) in bad() {
        let answer = create(&space, "bad", &with(&change), true).await;
        refusals.insert(refusal(answer, words).with_context(|| change.to_string())?);
        cases += 1;
    }
    for (name, words) in NAMES {
        let answer = create(&space, name, &base(), true).await;
        match words {
            None => drop(answer.with_context(|| (*name).to_owned())?),
            Some(words) => drop(refusals.insert(refusal(answer, words)?)),
        }
        cases += 1;
    }
    for (number, (words, before, change)) in changes().into_iter().enumerate() {
        let name = format!("change-{number}");
        create(&space, &name, &with(&before), false).await?;
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        let patch = Patch::Merge(json!({"spec": change}));
        let answer = space.clusters().patch(&name, &params, &patch).await;
        match words {
            None => drop(answer.with_context(|| format!("{before} to {change}"))?),
            Some(words) => {
                let said = refusal(answer, words);
                refusals.insert(said.with_context(|| format!("{before} to {change}"))?);
            }
        }
        cases += 1;
    }
    // A rule that nothing here breaks could as well not be there.
    let rules = rules()?;
    let unseen: Vec<_> =
        rules.iter().filter(|rule| !refusals.iter().any(|said| said.contains(*rule))).collect();
    ensure!(unseen.is_empty(), "no case breaks {unseen:?}");
    report::note(&format!("   {cases} cases, {} rules", rules.len()));
    Ok(())
}

fn with(change: &Change) -> Value {
    let mut spec = base();
    merge(&mut spec, change);
    spec
}

/// A JSON merge patch.
fn merge(target: &mut Value, change: &Value) {
    let Some(fields) = change.as_object() else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(into) = target.as_object_mut() else { return };
    for (name, value) in fields {
        if value.is_null() {
            into.remove(name);
        } else {
            merge(into.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

async fn create(
    space: &Space,
    name: &str,
    spec: &Value,
    dry_run: bool,
) -> Result<DynamicObject, kube::Error> {
    let kind = cluster_type();
    let mut object = DynamicObject::new(name, &kind);
    object.data = json!({"spec": spec});
    let mut params = PostParams { dry_run, ..PostParams::default() };
    params.field_manager = Some("e2e".to_owned());
    // Typed clients refuse what they do not know; the server does it for those who ask for it.
    let body = serde_json::to_vec(&object).map_err(kube::Error::SerdeError)?;
    let path = format!(
        "/apis/{}/namespaces/{}/{}?fieldValidation=Strict{}",
        kind.api_version,
        space.name(),
        kind.plural,
        if dry_run { "&dryRun=All" } else { "" }
    );
    let request = axum::http::Request::post(path)
        .header("content-type", "application/json")
        .body(body)
        .map_err(kube::Error::HttpError)?;
    space.client().request(request).await
}

/// The message of a refusal, which must have these words.
fn refusal<T>(answer: Result<T, kube::Error>, words: &str) -> anyhow::Result<String> {
    match answer {
        Ok(_) => bail!("taken, and should be refused with {words:?}"),
        Err(kube::Error::Api(status)) => {
            let message = status.message.clone();
            ensure!(message.contains(words), "refused, but not with {words:?}: {message}");
            Ok(message)
        }
        Err(error) => Err(error.into()),
    }
}

/// Messages of all rules of the definitions.
fn rules() -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for file in definitions()? {
        let definition: Value = serde_yaml::from_str(&std::fs::read_to_string(file)?)?;
        collect(&definition, &mut found);
    }
    ensure!(!found.is_empty(), "the definitions have no rules");
    Ok(found)
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    let Some(fields) = value.as_object() else {
        value.as_array().into_iter().flatten().for_each(|inner| collect(inner, found));
        return;
    };
    for (name, inner) in fields {
        if name == "x-kubernetes-validations" {
            let rules = inner.as_array().into_iter().flatten();
            found.extend(rules.filter_map(|rule| rule.get("message")?.as_str().map(str::to_owned)));
        } else {
            collect(inner, found);
        }
    }
}
