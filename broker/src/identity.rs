//! `identity.json`: whose store this is. A pod refuses the store of another one.

use rmq_host::files::read_if_there;
use rmq_host::{durable, ids};
use rmq_pod::BrokerPod;
use rmq_pod::identity::{Belongs, FILE, IdentityError, StoreIdentity};
use std::io;
use std::path::Path;

const BYTES_MAX: u64 = 64 * 1024;

/// Why a pod does not take a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotOurs {
    /// The file cannot be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What it says does not fit.
    #[error("{path}")]
    Identity {
        /// The file.
        path: String,
        /// How.
        #[source]
        source: IdentityError,
    },
}

/// Whether the store at `root` is that of `pod`; `None` for one that belongs to nobody yet.
///
/// # Errors
/// [`NotOurs`] when it belongs to another one, or nobody can tell.
pub(crate) fn check(root: &Path, pod: &BrokerPod) -> Result<Option<Belongs>, NotOurs> {
    let path = root.join(FILE);
    let name = || path.display().to_string();
    let bytes = match read_if_there(&path, BYTES_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(source) => return Err(NotOurs::Io { path: name(), source }),
    };
    let checked = StoreIdentity::parse(&bytes).and_then(|identity| {
        let belongs = identity.check(pod)?;
        Ok(belongs)
    });
    match checked {
        Ok(belongs) => Ok(Some(belongs)),
        Err(source) => Err(NotOurs::Identity { path: name(), source }),
    }
}

/// Writes the file where it is missing or says too little; gives the id of the store.
///
/// # Errors
/// [`NotOurs::Io`] when it cannot be written.
pub(crate) fn settle(
    root: &Path,
    pod: &BrokerPod,
    known: Option<Belongs>,
) -> Result<String, NotOurs> {
    let identity = match known {
        Some(Belongs::Same(identity)) => return Ok(identity.store_id),
        Some(Belongs::Recreated(identity)) => {
            let uid = &identity.cluster_uid;
            tracing::warn!(uid, "the cluster resource was made anew: its store is taken over");
            identity
        }
        None => StoreIdentity::new(pod, ids::random_id()),
    };
    let path = root.join(FILE);
    if let Err(source) = durable::replace(&path, identity.to_json().as_bytes()) {
        return Err(NotOurs::Io { path: path.display().to_string(), source });
    }
    Ok(identity.store_id)
}
