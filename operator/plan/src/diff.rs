//! What a new plan changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::plan::{Plan, Process};

/// One difference between two plans of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A pod that was not there.
    Added {
        /// Its name.
        pod: String,
    },
    /// A pod that is no longer there. Its data stays.
    Removed {
        /// Its name.
        pod: String,
        /// Directory of its data.
        data: String,
    },
    /// A setting of a pod that stays.
    Setting {
        /// Its name.
        pod: String,
        /// Name of the setting.
        key: String,
        /// Value so far; none if it was not set.
        from: Option<String>,
        /// Value from now on; none if it is no longer set.
        to: Option<String>,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { pod } => write!(f, "+ {pod}"),
            Self::Removed { pod, data } => write!(f, "- {pod} (its data stays in {data})"),
            Self::Setting { pod, key, from: Some(from), to: Some(to) } => {
                write!(f, "~ {pod}: {key} {from} -> {to}")
            }
            Self::Setting { pod, key, from: None, to: Some(to) } => {
                write!(f, "~ {pod}: {key} -> {to}")
            }
            Self::Setting { pod, key, from, to: None } => {
                write!(f, "~ {pod}: {key} {} -> unset", from.as_deref().unwrap_or("unset"))
            }
        }
    }
}

/// The changes from `old` to `new`: removed pods, added ones, then settings by pod.
pub fn diff(old: &Plan, new: &Plan) -> Vec<Change> {
    let (before, after) = (by_name(old), by_name(new));
    let mut changes = Vec::new();
    for process in &old.processes {
        if !after.contains_key(process.name.as_str()) {
            changes.push(Change::Removed {
                pod: process.name.clone(),
                data: process.data().to_owned(),
            });
        }
    }
    for process in &new.processes {
        if !before.contains_key(process.name.as_str()) {
            changes.push(Change::Added { pod: process.name.clone() });
        }
    }
    for process in &new.processes {
        if let Some(was) = before.get(process.name.as_str()) {
            settings(was, process, &mut changes);
        }
    }
    changes
}

fn by_name(plan: &Plan) -> BTreeMap<&str, &Process> {
    plan.processes.iter().map(|process| (process.name.as_str(), process)).collect()
}

fn settings(old: &Process, new: &Process, changes: &mut Vec<Change>) {
    let keys: BTreeSet<&String> = old.settings.keys().chain(new.settings.keys()).collect();
    for key in keys {
        let (from, to) = (old.settings.get(key), new.settings.get(key));
        if from != to {
            changes.push(Change::Setting {
                pod: new.name.clone(),
                key: key.clone(),
                from: from.cloned(),
                to: to.cloned(),
            });
        }
    }
}
