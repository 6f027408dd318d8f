//! The operator, installed by its chart.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::program;
use super::site::Site;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/rocketmq-operator");
const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/build.sh");

/// A release of the chart.
#[derive(Clone, Debug)]
pub struct Release {
    site: Site,
    helm: std::path::PathBuf,
    /// Of the release and of what it makes.
    pub name: String,
    /// Where the operator runs.
    pub namespace: String,
}

impl Release {
    /// Installs or upgrades the chart with `settings` (`name=value`) and waits until the operator
    /// is ready.
    ///
    /// # Errors
    /// Helm's.
    pub async fn install(
        site: &Site,
        name: &str,
        namespace: &str,
        settings: &[&str],
    ) -> anyhow::Result<Self> {
        let release = Self::at(site, name, namespace).await?;
        release.upgrade(settings).await?;
        Ok(release)
    }

    /// A release that may not be installed yet.
    ///
    /// # Errors
    /// When there is no helm.
    pub async fn at(site: &Site, name: &str, namespace: &str) -> anyhow::Result<Self> {
        Ok(Self {
            site: site.clone(),
            helm: helm().await?,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        })
    }

    /// Changes the release to these settings.
    ///
    /// # Errors
    /// Helm's.
    pub async fn upgrade(&self, settings: &[&str]) -> anyhow::Result<()> {
        let mut command =
            self.helm(&["upgrade", "--install", &self.name, CHART, "--create-namespace"]);
        command.args(["--wait", "--timeout", "90s"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        program::run(command).await.map(drop)
    }

    /// Runs the release's own tests.
    ///
    /// # Errors
    /// When one fails.
    pub async fn test(&self) -> anyhow::Result<()> {
        program::run(self.helm(&["test", &self.name, "--timeout", "60s"])).await.map(drop)
    }

    /// Removes the release. Definitions and clusters stay.
    ///
    /// # Errors
    /// Helm's.
    pub async fn uninstall(&self) -> anyhow::Result<()> {
        program::run(self.helm(&["uninstall", &self.name, "--wait"])).await.map(drop)
    }

    /// What the chart renders for this release with `settings`.
    ///
    /// # Errors
    /// Helm's.
    pub async fn rendered(&self, settings: &[&str]) -> anyhow::Result<String> {
        let mut command = self.helm(&["template", &self.name, CHART, "--no-hooks"]);
        // One that was built from its module believes in a very old Kubernetes.
        command.args(["--kube-version", "1.33.0"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        program::run(command).await
    }

    fn helm(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.helm);
        command.args(args).args(["--namespace", &self.namespace]);
        command.arg("--kubeconfig").arg(self.site.kubeconfig());
        command
    }
}

/// Helm of the search path, else the one that is built for the tests.
///
/// # Errors
/// When there is neither.
pub async fn helm() -> anyhow::Result<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path).map(|d| d.join("helm")).find(|p| p.is_file())
    {
        return Ok(found);
    }
    let mut build = Command::new("bash");
    build.arg(BUILD).arg("helm");
    let folder = program::run(build).await.context("helm is not installed")?;
    Ok(Path::new(folder.trim()).join("helm"))
}
