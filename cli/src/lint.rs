//! `rmq lint`: what is wrong with manifests, without running or asking anything.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rmq_operator_api::cluster::LogFormat;
use rmq_operator_api::manifest::{self, ManifestError};
use rmq_operator_api::validate::validate_update;
use rmq_operator_api::{Cluster, Shape};
use rmq_operator_plan::{Dirs, Endpoint, Environment, PodId, Ports, resolve};

use crate::local::read_text;
use crate::output::Output;

/// Check manifests without running or asking anything.
#[derive(Debug, Args)]
pub struct Lint {
    /// Manifest of clusters, YAML or JSON, several times for several; `-` is the standard input
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The manifest as it was before: what may not change is checked as well
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
}

/// Checks the files.
///
/// # Errors
/// When a file cannot be read; what is wrong in one is printed and makes the status 1.
pub fn run(args: &Lint, output: &mut Output) -> anyhow::Result<ExitCode> {
    let before = match &args.before {
        Some(path) => {
            let text = read_text(path)?;
            manifest::read(&text).map_err(|errors| {
                let errors: Vec<String> = errors
                    .iter()
                    .map(|error| place(&path.display().to_string(), "error", error))
                    .collect();
                anyhow::anyhow!("--before is not valid:\n{}", errors.join("\n"))
            })?
        }
        None => Vec::new(),
    };
    let (mut errors, mut warnings) = (0_usize, 0_usize);
    for path in &args.files {
        let file = path.display().to_string();
        let report = check(&read_text(path)?, &before);
        for error in &report.errors {
            output.line(place(&file, "error", error))?;
        }
        for warning in &report.warnings {
            output.line(place(&file, "warning", warning))?;
        }
        for cluster in &report.clusters {
            output.line(format_args!("{file}: {cluster}"))?;
        }
        if report.errors.is_empty() && report.clusters.is_empty() {
            output.line(format_args!("{file}: describes no cluster"))?;
        }
        errors += report.errors.len();
        warnings += report.warnings.len();
    }
    let failed = 0 < errors || (args.strict && 0 < warnings);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What a file is told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    errors: Vec<ManifestError>,
    warnings: Vec<ManifestError>,
    /// The clusters that are valid, in words.
    clusters: Vec<String>,
}

fn check(text: &str, before: &[Cluster]) -> Report {
    let described = match manifest::read_with_advice(text) {
        Ok(described) => described,
        Err(errors) => return Report { errors, ..Report::default() },
    };
    let mut report = Report::default();
    for one in described {
        let cluster = &one.cluster;
        report.warnings.extend(one.advice);
        let of = |message: String| ManifestError {
            at: None,
            path: String::new(),
            message: format!("cluster {}: {message}", cluster.name()),
        };
        report.warnings.extend(resolve(cluster, &Anywhere).warnings.into_iter().map(of));
        let old = before
            .iter()
            .find(|old| (old.name(), old.namespace()) == (cluster.name(), cluster.namespace()));
        let changes: Vec<_> = old.map_or_else(Vec::new, |old| validate_update(old, cluster));
        if changes.is_empty() {
            report.clusters.push(words(cluster));
        }
        report.errors.extend(changes.iter().map(|change| of(change.to_string())));
    }
    report
}

/// `file:line:column: kind: path: message`, as compilers print it.
fn place(file: &str, kind: &str, error: &ManifestError) -> String {
    let at = error.at.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
    match error.path.as_str() {
        "" => format!("{file}{at}: {kind}: {}", error.message),
        path => format!("{file}{at}: {kind}: {path}: {}", error.message),
    }
}

/// A valid cluster in words.
fn words(cluster: &Cluster) -> String {
    let Shape { groups, replicas_per_group, replication } = cluster.shape();
    let count = |number: u32, thing: &str| {
        format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
    };
    let name_servers = match cluster.name_server_replicas() {
        0 => "existing name servers".to_owned(),
        own => count(own, "name server"),
    };
    let replicas = match replicas_per_group {
        1 => String::new(),
        several => format!(" of {several} replicas, {replication}"),
    };
    let groups = count(groups, "broker group");
    format!("{} is valid: {name_servers}, {groups}{replicas}", cluster.name())
}

/// Where pods would live does not matter here: only the names and settings do.
struct Anywhere;

impl Environment for Anywhere {
    fn endpoint(&self, cluster: &Cluster, pod: PodId) -> Endpoint {
        let listen = match pod {
            PodId::Namesrv { .. } => cluster.spec.nameserver.port,
            PodId::Broker { .. } => cluster.spec.brokers.listen_port,
        };
        let ports = Ports { listen, ha: listen.saturating_add(1), http: cluster.spec.metrics.port };
        let any = "0.0.0.0".to_owned();
        Endpoint { host: any.clone(), bind: any, ports }
    }

    fn dirs(&self, _: &str) -> Dirs {
        Dirs { config: String::new(), data: String::new() }
    }

    fn log_format(&self) -> LogFormat {
        LogFormat::Json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(layout: &str, brokers: &str) -> String {
        format!(
            "apiVersion: rocketmq.rs/v1alpha1\nkind: RocketMQCluster\nmetadata: {{name: demo}}\n\
             spec:\n  layout: {layout}\n  brokers:\n    storage: {{size: 20Gi}}\n{brokers}"
        )
    }

    fn lines(text: &str, before: &[Cluster]) -> Vec<String> {
        let report = check(text, before);
        let errors = report.errors.iter().map(|error| place("f", "error", error));
        let warnings = report.warnings.iter().map(|warning| place("f", "warning", warning));
        errors.chain(warnings).chain(report.clusters.iter().cloned()).collect()
    }

    #[test]
    fn valid_manifests_are_put_into_words() {
        for (layout, words) in [
            ("single", "demo is valid: 1 name server, 1 broker group"),
            ("2m-noslave", "demo is valid: 2 name servers, 2 broker groups"),
            ("2m-2s-sync", "demo is valid: 2 name servers, 2 broker groups of 2 replicas, Sync"),
        ] {
            assert_eq!(lines(&manifest(layout, ""), &[]), [words]);
        }
        let existing = manifest("single", "  nameserver: {externalAddresses: ['a:1']}\n");
        assert_eq!(lines(&existing, &[]), ["demo is valid: existing name servers, 1 broker group"]);
    }

    #[test]
    fn faults_have_place_path_value_and_rule() {
        assert_eq!(
            lines(&manifest("single", "    groups: 65\n    replication: Sync\n"), &[]),
            [
                "f:9:18: error: spec.brokers.replication: `Sync` is allowed only with layout Custom, \
                 not with single",
                "f:8:13: error: spec.brokers.groups: `65` must be 1 to 64",
            ]
        );
        let found = lines(&manifest("single", "    pod: {tolerations: [{kee: x}]}\n"), &[]);
        let expected = "f:8:26: error: spec.brokers.pod.tolerations[0].kee: unknown field `kee`, \
                        expected one of `effect`, `key`, `operator`, `tolerationSeconds`, `value`";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn what_is_hardly_meant_is_a_warning() {
        assert_eq!(
            lines(
                &manifest(
                    "single",
                    "    config: {tracOn: 'x', logLevel: debug}\n    groupOverrides: \
                     [{name: broker-z}]\n"
                ),
                &[]
            ),
            [
                "f:8:22: warning: spec.brokers.config.tracOn: `tracOn` is not a known setting: it is \
                 handed on, and changes of it restart pods",
                "f: warning: cluster demo: demo-broker-a-0: logLevel=debug in config is replaced by \
                 info",
                "f: warning: cluster demo: spec.brokers.groupOverrides: there is no group broker-z \
                 among 1 groups",
                "demo is valid: 1 name server, 1 broker group",
            ]
        );
    }

    #[test]
    fn changes_are_compared_with_what_was_before() {
        let old = manifest::read(&manifest("single", "")).expect("valid");
        let less = manifest("single", "").replace("20Gi", "10Gi");
        assert_eq!(
            lines(&less, &old),
            ["f: error: cluster demo: spec.brokers.storage.size: `10Gi` is less than before \
                 (`20Gi`): volumes cannot shrink"]
        );
        let other = less.replace("name: demo", "name: other");
        assert_eq!(lines(&other, &old), ["other is valid: 1 name server, 1 broker group"]);
    }
}
