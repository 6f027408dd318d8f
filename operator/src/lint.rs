//! Checks manifests without a cluster: their form, the rules of the definition, the shape.

use anyhow::Context as _;
use rmq_host::exit;
use rmq_operator_api::manifest::MANIFEST_BYTES_MAX;
use rmq_operator_api::{Cluster, manifest};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Prints what is wrong with each file, or what its clusters would be.
///
/// # Errors
/// When a file cannot be read. Faults in one are not errors: they decide the exit code.
pub(crate) fn run(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut faults = 0;
    for file in files {
        let text = read(file)?;
        match check(&text) {
            Ok(clusters) => {
                for line in clusters {
                    writeln!(out, "{}: {line}", file.display())?;
                }
            }
            Err(errors) => {
                faults += errors.len();
                for error in errors {
                    writeln!(out, "{}: {error}", file.display())?;
                }
            }
        }
    }
    Ok(ExitCode::from(if faults == 0 { exit::OK } else { exit::FAILURE }))
}

fn read(file: &Path) -> anyhow::Result<String> {
    let limit = u64::try_from(MANIFEST_BYTES_MAX)?.saturating_add(1);
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .take(limit)
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
    } else {
        let open = std::fs::File::open(file);
        open.and_then(|open| open.take(limit).read_to_string(&mut text))
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(text)
}

/// One line per cluster, or one per fault.
fn check(text: &str) -> Result<Vec<String>, Vec<String>> {
    let clusters = manifest::read(text)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    if clusters.is_empty() {
        return Err(vec!["there is no RocketMQCluster in it".to_owned()]);
    }
    let mut faults = Vec::new();
    for cluster in &clusters {
        if let Err(errors) = cluster.validate_cel() {
            faults.extend(errors.iter().map(|error| format!("{}: {error}", cluster.name())));
        }
    }
    if faults.is_empty() { Ok(clusters.iter().map(describe).collect()) } else { Err(faults) }
}

fn describe(cluster: &Cluster) -> String {
    let shape = cluster.shape();
    format!(
        "{} is valid: {} name servers, {} broker groups of {}, {:?} replication",
        cluster.name(),
        cluster.name_server_replicas(),
        shape.groups,
        shape.replicas_per_group,
        shape.replication
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(spec: &str) -> String {
        format!(
            "apiVersion: rocketmq.rs/v1alpha1\nkind: RocketMQCluster\nmetadata: {{name: demo}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn a_good_manifest_is_described() {
        let text = manifest("{layout: 2m-noslave, brokers: {storage: {size: 1Gi}}}");
        let want = "demo is valid: 2 name servers, 2 broker groups of 1, Async replication";
        assert_eq!(check(&text), Ok(vec![want.to_owned()]));
    }

    #[test]
    fn faults_are_told() {
        for (spec, word) in [
            ("{layout: 3m, brokers: {storage: {size: 1Gi}}}", "layout"),
            ("{layout: single, brokers: {storage: {size: 1Gi}, groupz: 1}}", "groupz"),
            ("{layout: Custom, brokers: {storage: {size: 1Gi}}}", "Custom"),
            (
                "{layout: single, brokers: {storage: {size: 1Gi}, config: {brokerId: '1'}}}",
                "brokerId",
            ),
        ] {
            let faults = check(&manifest(spec)).expect_err(spec);
            assert!(faults.iter().any(|fault| fault.contains(word)), "{spec}: {faults:?}");
        }
        assert_eq!(check(""), Err(vec!["there is no RocketMQCluster in it".to_owned()]));
    }
}
