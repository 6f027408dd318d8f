//! `rmq store`: the files of a broker that does not run.
//!
//! The status says what was found, so that scripts need not read: see `Found`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use rmq_broker::config::{Config, Surroundings};
use rmq_host::exit::Exit;
use rmq_store::offline::{Access, Offline, sizes_from_files};
use rmq_store::{OpenError, OsDisk, StoreConfig};

use crate::output::Output;

mod check;
mod dump;
mod repair;

/// Check, show and repair the files of a broker that does not run.
#[derive(Debug, Args)]
pub struct Store {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read everything and say what is wrong; changes nothing
    ///
    /// Status: 0 nothing is wrong, or nothing that the broker's next start does not put right; 3
    /// queues or index must be made again (`rmq store repair`, nothing is lost); 4 messages are
    /// damaged or missing; 5 a broker uses the store; 1 it could not be checked.
    Check(check::Check),
    /// Print the records of the log; changes nothing
    ///
    /// Status: 0, or 4 if damaged places were met; 5 a broker uses the store; 1 otherwise.
    Dump(dump::Dump),
    /// Make queues and index again from the log, and leave the store as after a clean stop
    ///
    /// Status: 0 done; 4 refused because the log is damaged, nothing was changed; 5 a broker uses
    /// the store, nothing was changed; 1 otherwise.
    Repair(repair::Repair),
}

/// What the status of a command says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Found {
    /// Queues or index do not say what the log says.
    Rebuild = 3,
    /// Messages are damaged or missing.
    LogDamaged = 4,
    /// A broker uses the store.
    InUse = 5,
}

impl Found {
    fn status(self) -> u8 {
        match self {
            Self::Rebuild => 3,
            Self::LogDamaged => 4,
            Self::InUse => 5,
        }
    }

    fn exit(self) -> ExitCode {
        ExitCode::from(self.status())
    }

    fn error(self, message: String) -> anyhow::Error {
        Exit { code: self.status(), message }.into()
    }
}

/// Which store.
#[derive(Debug, Args)]
struct Place {
    /// Root directory of the store (storePathRootDir)
    #[arg(value_name = "DIR", required_unless_present = "config")]
    dir: Option<PathBuf>,
    /// The broker's configuration file: its paths and sizes. Needed when the log is elsewhere or
    /// the index has sizes of its own; else the files tell
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// Takes the store's lock.
    fn open(&self, access: Access) -> anyhow::Result<Offline> {
        let config = self.settings()?;
        let root = config.root.clone();
        match Offline::open(config, OsDisk, access) {
            Ok(store) => Ok(store),
            Err(error @ OpenError::Locked { .. }) => {
                let message = format!(
                    "{error}: stop it first, or look again when nobody looks at {}",
                    root.display()
                );
                Err(Found::InUse.error(message))
            }
            Err(error) => {
                Err(error).with_context(|| format!("no store can be read at {}", root.display()))
            }
        }
    }

    fn settings(&self) -> anyhow::Result<StoreConfig> {
        let Some(file) = &self.config else {
            let Some(dir) = &self.dir else { bail!("say which store") };
            let mut config = StoreConfig::new(dir);
            sizes_from_files(&mut config, &OsDisk)
                .with_context(|| format!("cannot read {}", dir.display()))?;
            return Ok(config);
        };
        let mut layers = rmq_host::Settings::new();
        layers.add_file(file)?;
        let checked = Config::check(&layers, Some(file), &Surroundings::of_this_machine());
        let config = checked.map_err(|errors| {
            let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}: {}", file.display(), all.join("; "))
        })?;
        let config = rmq_broker::store_config(&config);
        if let Some(dir) = &self.dir {
            ensure!(
                *dir == config.root,
                "{} says that the store is at {}, not {}",
                file.display(),
                config.root.display(),
                dir.display()
            );
        }
        Ok(config)
    }
}

/// Topics of `config/topics.json`; `None` if there is no such table, which then tells nothing.
fn known_topics(root: &Path) -> Option<BTreeSet<String>> {
    let path = root.join("config/topics.json");
    let decode = |bytes: &[u8]| {
        let table: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let topics = table.get("topicConfigTable")?.as_object()?;
        Some(topics.keys().cloned().collect())
    };
    rmq_store::durable::load_or_backup(&path, decode).ok().flatten()
}

/// Runs the command.
///
/// # Errors
/// When the store cannot be read, or is in use.
pub fn run(command: &Store, output: &mut Output) -> anyhow::Result<ExitCode> {
    match &command.action {
        Action::Check(check) => check::run(check, output),
        Action::Dump(dump) => dump::run(dump, output),
        Action::Repair(repair) => repair::run(repair, output),
    }
}
