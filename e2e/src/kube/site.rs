//! The Kubernetes under test: one that is started here, or one that is given by `KUBECONFIG`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::program;

/// Where the scripts are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster");

/// A running Kubernetes.
#[derive(Clone)]
pub struct Site {
    kubeconfig: PathBuf,
    /// Whether it is ours, and so its nodes may be lost.
    owned: bool,
    client: Client,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Site");
        shown.field("kubeconfig", &self.kubeconfig).field("owned", &self.owned);
        shown.finish_non_exhaustive()
    }
}

impl Site {
    /// Uses the cluster of `KUBECONFIG`, else starts one with `nodes` nodes (or what is missing of
    /// it).
    ///
    /// # Errors
    /// When it does not come up or does not answer.
    pub async fn up(nodes: u8) -> anyhow::Result<Self> {
        let given = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty());
        let owned = given.is_none();
        let kubeconfig = match given {
            Some(path) => PathBuf::from(path),
            None => {
                let mut up = script("up.sh");
                up.arg("--nodes").arg(nodes.to_string()).stderr(Stdio::inherit());
                PathBuf::from(program::run(up).await?.trim())
            }
        };
        let client = client_of(&kubeconfig).await?;
        let version = client.apiserver_version().await.context("the API server does not answer")?;
        crate::report::note(&format!("Kubernetes {}", version.git_version));
        Ok(Self { kubeconfig, owned, client })
    }

    /// A client with every right.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How to reach it.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Whether it was started by [`Site::up`].
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// Makes the images of these archives known to every node. A given cluster must have them.
    ///
    /// # Errors
    /// When an archive cannot be loaded.
    pub async fn load(&self, archives: &[PathBuf]) -> anyhow::Result<()> {
        if self.owned {
            let mut load = script("load.sh");
            load.args(archives);
            program::run(load).await?;
        }
        Ok(())
    }

    /// Takes a node away as a power cut does; `number` counts from 1.
    ///
    /// # Errors
    /// When the cluster is not ours.
    pub async fn lose(&self, number: u8) -> anyhow::Result<()> {
        self.of_node("lose.sh", number).await
    }

    /// Brings a lost node back.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn restore(&self, number: u8) -> anyhow::Result<()> {
        self.of_node("node.sh", number).await
    }

    async fn of_node(&self, name: &str, number: u8) -> anyhow::Result<()> {
        ensure!(self.owned, "the nodes of a given cluster are left alone");
        let mut command = script(name);
        command.arg(number.to_string());
        program::run(command).await.map(drop)
    }

    /// `kubectl` with these arguments.
    pub fn kubectl(&self, args: &[&str]) -> Command {
        let mut command = match self.root() {
            Some(root) => Command::new(root.join("bin/kubectl")),
            None => Command::new("kubectl"),
        };
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        command
    }

    /// Ends the cluster if it is ours.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn down(self) -> anyhow::Result<()> {
        if self.owned {
            program::run(script("down.sh")).await?;
        }
        Ok(())
    }

    /// Where the cluster is, if it is ours: its `logs`, and programs in `bin`.
    pub fn root(&self) -> Option<&Path> {
        // <root>/pki/admin.kubeconfig
        let root = self.kubeconfig.parent()?.parent()?;
        self.owned.then_some(root)
    }
}

/// A client for the person of a kubeconfig.
///
/// # Errors
/// When the file cannot be read or used.
pub async fn client_of(kubeconfig: &Path) -> anyhow::Result<Client> {
    let shown = kubeconfig.display().to_string();
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| shown.clone())?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(read, &options).await.with_context(|| shown)?;
    Ok(Client::try_from(config)?)
}

fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(Path::new(SCRIPTS).join(name));
    command
}
