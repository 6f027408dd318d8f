//! `kubectl rmq drift`: three views of a broker's settings.
//!
//! What the manifest asks for, what the operator has put into the mounted files, and which version
//! of those each broker says it uses (`status.groups[].replicas[].configHash`).

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use rmq_operator_api::config::{self, Class, Component};
use rmq_operator_api::{Cluster, meta};
use rmq_pod::files;
use rmq_pod::properties;

use super::Session;

#[derive(Debug, Args)]
pub(super) struct Drift {
    /// The cluster
    name: String,
}

/// Status 1 means that there is drift, as with `diff`.
pub(super) async fn run(
    session: &Session,
    args: &Drift,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let cluster = session.cluster(&args.name).await?;
    let api: Api<ConfigMap> = Api::namespaced(session.client.clone(), &session.namespace);
    let maps = api
        .list(&ListParams::default().labels(&Session::selector(&args.name)))
        .await
        .with_context(|| format!("cannot list the settings of {}", args.name))?;
    let mut mounted = BTreeMap::new();
    for map in &maps {
        let text = map.data.as_ref().and_then(|data| data.get(files::BROKER_CONF));
        if let (Some(group), Some(text)) = (map.labels().get(meta::BROKER_NAME), text) {
            let properties = properties::parse(text.as_bytes())
                .with_context(|| format!("ConfigMap {}", map.name_any()))?;
            mounted.insert(group.clone(), files::settings_of(&properties));
        }
    }
    let found = compare(&cluster, &mounted);
    for line in &found {
        writeln!(out, "{line}")?;
    }
    if found.is_empty() {
        writeln!(out, "every broker of cluster {} uses what its manifest says", args.name)?;
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What differs, as sentences. `mounted` has the settings of each group's file.
fn compare(cluster: &Cluster, mounted: &BTreeMap<String, BTreeMap<String, String>>) -> Vec<String> {
    let mut found = Vec::new();
    let groups = cluster.status.as_ref().map_or(&[][..], |status| &status.groups);
    for group in groups {
        let Some(settings) = mounted.get(&group.name) else {
            found.push(format!("{}: its ConfigMap is missing", group.name));
            continue;
        };
        for (key, wanted) in wishes(cluster, &group.name) {
            match settings.get(&key) {
                Some(value) if *value == wanted => {}
                Some(value) => found.push(format!(
                    "{}: {key} is {value} in the mounted file, {wanted} in the manifest",
                    group.name
                )),
                None => found.push(format!(
                    "{}: {key} is {wanted} in the manifest and not in the mounted file yet",
                    group.name
                )),
            }
        }
        let pairs = settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let hash = files::settings_hash(pairs);
        for replica in &group.replicas {
            match replica.config_hash.as_deref() {
                Some(used) if used == hash => {}
                Some(used) => found.push(format!(
                    "{}: uses settings {used}, the mounted file has {hash}: it has not taken them \
                     yet, or refuses them (see condition {})",
                    replica.pod,
                    meta::condition::CONFIG_APPLIED
                )),
                None => found.push(format!("{}: has not said what it uses", replica.pod)),
            }
        }
    }
    if groups.is_empty() {
        found.push("no broker has reported yet".to_owned());
    }
    found
}

/// The settings that the manifest has for a group, without those that are derived.
fn wishes(cluster: &Cluster, group: &str) -> BTreeMap<String, String> {
    let brokers = &cluster.spec.brokers;
    let mut wanted = brokers.config.clone();
    for one in brokers.group_overrides.iter().filter(|one| one.name == group) {
        wanted.extend(one.config.clone());
    }
    wanted.retain(|key, _| config::class(Component::Broker, key) != Class::Identity);
    wanted
}
