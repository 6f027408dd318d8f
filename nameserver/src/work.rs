//! Changes that are written to a file before they count: the KV table and the settings.
//!
//! One task owns both files, so that writers take turns.

use crate::config::Config;
use crate::kv;
use crate::mounted::Mounts;
use crate::service::{Answer, Change, NameServer, Refusal, success};
use anyhow::Context as _;
use rmq_host::{Origin, durable, properties};
use rmq_net::Reply;
use rmq_remoting::code::{request, response};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Changes that may wait; more are answered with *busy*.
pub(crate) const WORK_MAX: usize = 64;

/// Time between two looks at the mounted file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A change and who waits for it.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) change: Change,
    pub(crate) reply: Reply,
}

/// The task that makes the changes.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) server: Arc<NameServer>,
    pub(crate) config: Config,
}

impl Worker {
    /// Makes changes until `stop`.
    pub(crate) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Work>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        loop {
            let work = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY), if self.config.mounts.is_some() => {
                    self = self.follow().await?;
                    continue;
                }
                work = queue.recv() => work,
            };
            let Some(Work { change, reply }) = work else { return Ok(()) };
            let code = match change {
                Change::Kv { value: Some(_), .. } => request::PUT_KV_CONFIG,
                Change::Kv { value: None, .. } => request::DELETE_KV_CONFIG,
                Change::Settings(_) => request::UPDATE_NAMESRV_CONFIG,
            };
            // Files are slow and other tasks must run meanwhile.
            let (worker, answer) = tokio::task::spawn_blocking(move || {
                let answer = self.make(change);
                (self, answer)
            })
            .await
            .context("a change panicked")?;
            self = worker;
            let answer = answer.unwrap_or_else(Refusal::command);
            self.server.metrics().count(code, answer.code);
            reply.send(answer);
        }
    }

    /// Takes over the mounted file if it is another one.
    async fn follow(mut self) -> anyhow::Result<Self> {
        let Some(mounts) = self.config.mounts.clone().filter(Mounts::is_other) else {
            return Ok(self);
        };
        let settings = self.config.settings.clone();
        let new = tokio::task::spawn_blocking(move || mounts.reload(&settings)).await?;
        if let Some(config) = new {
            info!("mounted settings changed");
            self.server.set_config(&config);
            self.config = Config { mounts: self.config.mounts.take(), ..config };
        }
        Ok(self)
    }

    fn make(&mut self, change: Change) -> Answer {
        match change {
            Change::Kv { namespace, key, value } => {
                self.change_kv(&namespace, &key, value.as_deref())
            }
            Change::Settings(text) => self.change_settings(&text),
        }
    }

    fn change_kv(&self, namespace: &str, key: &str, value: Option<&str>) -> Answer {
        let table = (*self.server.kv()).clone();
        let table = match value {
            Some(value) => table.with(namespace, key, value).map_err(Refusal::error)?,
            None => table.without(namespace, key),
        };
        let path = &self.config.kv_path;
        kv::store(path, &table).map_err(|error| cannot_write(path, &error))?;
        self.server.set_kv(table);
        info!(namespace, key, deleted = value.is_none(), "KV table changed");
        Ok(success())
    }

    fn change_settings(&mut self, text: &[u8]) -> Answer {
        let sent = properties::parse(text).map_err(Refusal::error)?;
        let mut settings = self.config.settings.clone();
        let mut changes: Vec<(&str, &str)> = Vec::new();
        for entry in sent.entries() {
            if self.config.black_list.contains(&entry.key) {
                let remark = "Can not update config in black list.";
                return Err(Refusal::new(response::NO_PERMISSION, remark));
            }
            if !self.config.in_use.contains_key(&entry.key) {
                warn!(key = entry.key, "unknown key in a change of the settings, ignored");
                continue;
            }
            settings.set(&entry.key, &entry.value, Origin::Admin);
            changes.push((&entry.key, &entry.value));
        }
        if changes.is_empty() {
            return Ok(success());
        }
        let config = Config::from_settings(&settings).map_err(Refusal::error)?;
        let path = &self.config.store_path;
        let old = match std::fs::read(path) {
            Ok(old) => old,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(cannot_write(path, &error)),
        };
        let new = properties::edit(&old, &changes).map_err(Refusal::error)?;
        durable::replace(path, new.as_bytes()).map_err(|error| cannot_write(path, &error))?;
        self.server.set_config(&config);
        for (key, value) in changes {
            info!(key, value, "setting changed");
        }
        self.config = Config { mounts: self.config.mounts.take(), ..config };
        Ok(success())
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Refusal {
    warn!(path = %path.display(), %error, "cannot write");
    let remark = format!("nothing was changed: cannot write {}: {error}", path.display());
    Refusal::new(response::SYSTEM_ERROR, remark)
}
