//! An operator that runs beside the cluster, with the chart's role and nothing more.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::chart::Release;
use super::proxy::Proxy;
use super::site::Site;
use super::{program, until};
use crate::peers::our_program;
use crate::process::Process;

const RELEASE: &str = "outside";
const RECONCILES: &str = "rocketmq_operator_reconcile_total{";
/// An operator that only watches has nothing to do for this long.
const START: Duration = Duration::from_secs(30);

/// What an operator needs to run outside.
#[derive(Debug)]
pub struct Outside {
    /// Between it and the API server.
    pub proxy: Proxy,
    namespace: String,
    directory: PathBuf,
    /// Where the operator that was started last shows its metrics.
    metrics: Mutex<Option<SocketAddr>>,
}

impl Outside {
    /// Makes the chart's roles for `namespace` and a proxy that acts by them.
    ///
    /// # Errors
    /// When they cannot be made.
    pub async fn prepare(site: &Site, namespace: &str, directory: &Path) -> anyhow::Result<Self> {
        let release = Release::at(site, RELEASE, namespace).await?;
        let watch = format!("watchNamespaces={{{namespace}}}");
        let rendered = release.rendered(&[&watch, "rbac.aggregate=false"]).await?;
        let parts = rendered.split("\n---").filter(|part| {
            let kind = part.lines().find_map(|line| line.strip_prefix("kind: "));
            kind.is_some_and(|kind| kind.contains("Role") || kind == "ServiceAccount")
        });
        let roles = parts.collect::<Vec<_>>().join("\n---\n");
        let directory = directory.join(namespace);
        std::fs::create_dir_all(&directory)?;
        let file = directory.join("roles.yaml");
        put(&file, &roles)?;
        let mut apply = site.kubectl(&["apply", "--server-side", "--force-conflicts", "-f"]);
        apply.arg(&file);
        program::run(apply).await?;
        let account = format!("{RELEASE}-rocketmq-operator");
        let proxy = Proxy::start(site.client(), namespace, &account).await?;
        proxy.kubeconfig(&directory.join("kubeconfig"))?;
        let namespace = namespace.to_owned();
        Ok(Self { proxy, namespace, directory, metrics: Mutex::default() })
    }

    /// Starts the operator and waits until it serves.
    ///
    /// # Errors
    /// When it ends or does not come up.
    pub async fn start(&self) -> anyhow::Result<Process> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        drop(listener);
        *self.metrics.lock() = Some(address);
        let mut command = Command::new(our_program("rmq-operator")?);
        command
            .arg("run")
            .arg(format!("--watch-namespace={}", self.namespace))
            .arg(format!("--metrics-address={address}"))
            .env("KUBECONFIG", self.directory.join("kubeconfig"))
            .env("POD_NAMESPACE", &self.namespace)
            .env("RMQ_LOG", "info");
        let log = self.directory.join("operator.log");
        let mut process = Process::start("operator", &mut command, &log)?;
        let begun = self.proxy.calls().len();
        until(START, "the operator asks the API server", || async {
            Ok((begun < self.proxy.calls().len()).then_some(()))
        })
        .await
        .with_context(|| process.tail(10))?;
        ensure!(process.ended().is_none(), "the operator ended: {}", process.tail(10));
        Ok(process)
    }

    /// How many reconciles have ended since the operator was started.
    ///
    /// # Errors
    /// When its metrics cannot be read.
    pub async fn reconciles(&self) -> anyhow::Result<usize> {
        let address = (*self.metrics.lock()).context("no operator was started")?;
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let counts = text.lines().filter(|line| line.starts_with(RECONCILES));
        counts.map(|line| Ok(line.rsplit(' ').next().context("no number")?.parse::<usize>()?)).sum()
    }

    /// Waits until the operator has asked for no change for `still`.
    ///
    /// # Errors
    /// When it does not come to rest within `limit`.
    pub async fn rests(&self, still: Duration, limit: Duration) -> anyhow::Result<()> {
        let rest = async {
            loop {
                let before = self.proxy.changes();
                tokio::time::sleep(still).await;
                if before == self.proxy.changes() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, rest).await.context("the operator does not come to rest")
    }
}

fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::fs::File::create(file).with_context(|| file.display().to_string())?;
    Ok(out.write_all(text.as_bytes())?)
}
