//! The RocketMQ name server: brokers register here, clients ask here where a topic is.
//!
//! [`routes`] decides, the rest carries: [`registration`] and [`encode`] translate bodies, the
//! service answers requests over `rmq-net`, one task owns the files. Nothing but the KV file
//! survives a restart; brokers register anew within their period.
#![warn(missing_docs)]

pub mod cache;
mod cli;
pub mod config;
mod control;
pub mod encode;
pub mod kv;
mod metrics;
pub mod mounted;
mod notify;
mod peers;
pub mod registration;
pub mod routes;
mod service;
mod work;

pub use cli::{Options, main, run};
pub use config::Config;

use anyhow::Context as _;
use rmq_host::http::{HttpConfig, HttpServer};
use rmq_host::{SystemClock, Tasks};
use rmq_model::Clock;
use rmq_net::{Limits, Server, ServerConfig};
use service::NameServer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::info;
use work::{WORK_MAX, Worker};

const MIB: usize = 1024 * 1024;

/// A name server that runs. Dropping it stops it without waiting; see [`Running::shutdown`].
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    http_addr: Option<SocketAddr>,
    control_addr: Option<SocketAddr>,
    server: Server,
    tasks: Tasks,
    /// Cancelled by a call that asks it to stop.
    asked: CancellationToken,
}

/// Starts a name server on the present runtime.
///
/// # Errors
/// When an address cannot be had or the KV file cannot be read.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    start_with_clock(config, Arc::new(SystemClock::new())).await
}

/// As [`start`], with a clock of the caller's.
///
/// # Errors
/// As [`start`].
pub async fn start_with_clock(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<Running> {
    let kv = kv::load(&config.kv_path)
        .with_context(|| format!("cannot read {}", config.kv_path.display()))?;
    let (work, work_queue) = mpsc::channel(WORK_MAX);
    let (notices, notice_queue) = mpsc::channel(notify::NOTICES_MAX);
    let service = Arc::new(NameServer::new(&config, kv, Arc::clone(&clock), work, notices));
    metrics::collect(&service);

    let limits = Limits {
        in_flight_max: 4_096,
        in_flight_bytes_max: 32 * MIB,
        outbox_bytes_max: 64 * MIB,
        idle: config.idle,
        ..Limits::default()
    };
    let net = ServerConfig {
        connections_max: config.connections_max,
        in_flight_bytes_total_max: 128 * MIB,
        limits,
        ..ServerConfig::new(vec![config.listen])
    };
    let http = match config.http {
        Some(address) => {
            let metrics = Arc::clone(&service);
            let metrics = Arc::new(move || metrics.metrics().render());
            let http = HttpConfig::at(address);
            Some(HttpServer::bind(&http, Arc::clone(&service) as _, metrics).await?)
        }
        None => None,
    };
    let peers = match &config.mounts {
        Some(mounts) => mounts.peers()?,
        None => Vec::new(),
    };
    if !peers.is_empty() {
        service.readiness().block(peers::CONDITION, "the other name servers were not asked yet");
    }
    let server = Server::bind(net, Arc::clone(&service) as _)?;
    let addr = server.local_addrs().first().copied().context("no address was given")?;
    let http_addr = http.as_ref().map(HttpServer::local_addr).transpose()?;

    let tasks = Tasks::new("nameserver");
    let asked = CancellationToken::new();
    let control_addr = match &config.control {
        Some(control) => {
            let mounts = config.mounts.clone();
            Some(control::serve(control, &service, mounts, &asked, &tasks).await?)
        }
        None => None,
    };
    if !peers.is_empty() {
        let (server, readiness) = (Arc::clone(&service), service.readiness().clone());
        tasks.spawn("peers", |stop| async move {
            peers::wait_for_brokers(server, peers, readiness, clock, stop).await;
            Ok(())
        });
    }
    if let Some(http) = http {
        tasks.spawn("http", |stop| async move { Ok(http.run(stop).await?) });
    }
    tasks.spawn("notices", |stop| async move {
        notify::run(notice_queue, stop).await;
        Ok(())
    });
    let worker = Worker { server: Arc::clone(&service), config };
    tasks.spawn("files", |stop| worker.run(work_queue, stop));
    tasks.spawn("liveness", |stop| async move {
        loop {
            let interval = service.switches().scan_interval;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(interval) => service.scan(),
            }
        }
    });
    let health = http_addr.map(tracing::field::display);
    info!(address = %addr, health, "name server accepts requests");
    Ok(Running { addr, http_addr, control_addr, server, tasks, asked })
}

impl Running {
    /// Where it listens, with the port that was taken.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where health and metrics are served, if they are.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// Where the control API is served, if it is.
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control_addr
    }

    /// Waits until the control API asks it to stop.
    pub async fn asked_to_stop(&self) {
        self.asked.cancelled().await;
    }

    /// Waits until one of its tasks failed; what happened.
    pub async fn failed(&self) -> String {
        self.tasks.stopped().await;
        self.tasks.failure().unwrap_or_else(|| "stopped".to_owned())
    }

    /// Accepts nothing more, answers what is there and stops, within `grace`. `true` if nothing
    /// was cut off.
    pub async fn shutdown(self, grace: Duration) -> bool {
        let drained = self.server.shutdown(grace).await;
        let stopped = self.tasks.shutdown(Duration::from_secs(2)).await;
        drained && stopped
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}
