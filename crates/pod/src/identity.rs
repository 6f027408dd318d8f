//! `<root>/identity.json`: whose data a volume holds.

use crate::broker::BrokerPod;
use serde::{Deserialize, Serialize};

/// Name of the file in the root of the store.
pub const FILE: &str = "identity.json";
/// Version of the format that is written.
pub const FORMAT: u32 = 1;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreIdentity {
    /// Version of the format.
    pub format: u32,
    /// UID of the cluster resource.
    pub cluster_uid: String,
    /// `brokerClusterName`.
    pub cluster_name: String,
    /// `brokerName`.
    pub broker_name: String,
    /// Number of the pod in its set.
    pub ordinal: u32,
    /// Made at random with the store.
    pub store_id: String,
}

/// How a store is the pod's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// Nothing differs from this.
    Same(StoreIdentity),
    /// All but the UID of the cluster resource, which was deleted and made anew while its volumes
    /// were kept: what the file should say from now on.
    Recreated(StoreIdentity),
}

/// Why a store is not the pod's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file is damaged.
    #[error("it is no identity file: {0}")]
    Malformed(String),
    /// A later version of this program wrote it.
    #[error("it has format {found}, this program knows formats up to {FORMAT}")]
    Format {
        /// As the file says.
        found: u32,
    },
    /// A volume was attached to the wrong pod.
    #[error(
        "the store belongs to {what} {found:?}, this pod is of {what} {own:?}: its volume holds \
         the data of another broker"
    )]
    Mismatch {
        /// What differs.
        what: &'static str,
        /// As the file says.
        found: String,
        /// As the environment says.
        own: String,
    },
}

impl StoreIdentity {
    /// Of a new store of `pod`; `store_id` must be random.
    pub fn new(pod: &BrokerPod, store_id: String) -> Self {
        let shared = &pod.template.shared;
        Self {
            format: FORMAT,
            cluster_uid: shared.cluster_uid.clone(),
            cluster_name: shared.cluster_name.clone(),
            broker_name: pod.template.broker_name.clone(),
            ordinal: pod.place.ordinal,
            store_id,
        }
    }

    /// Content of the file.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads the content of the file.
    ///
    /// # Errors
    /// [`IdentityError::Malformed`] and [`IdentityError::Format`].
    pub fn parse(bytes: &[u8]) -> Result<Self, IdentityError> {
        let identity: Self = match serde_json::from_slice(bytes) {
            Ok(identity) => identity,
            Err(error) => return Err(IdentityError::Malformed(error.to_string())),
        };
        if FORMAT < identity.format {
            return Err(IdentityError::Format { found: identity.format });
        }
        Ok(identity)
    }

    /// Whether the store is that of `pod`.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] names the first difference.
    pub fn check(&self, pod: &BrokerPod) -> Result<Belongs, IdentityError> {
        let own = Self::new(pod, self.store_id.clone());
        let ordinals = [self.ordinal, own.ordinal].map(|ordinal| ordinal.to_string());
        let [ordinal_found, ordinal_own] = &ordinals;
        for (what, found, own) in [
            ("cluster", &self.cluster_name, &own.cluster_name),
            ("broker", &self.broker_name, &own.broker_name),
            ("ordinal", ordinal_found, ordinal_own),
        ] {
            if found != own {
                let (found, own) = (found.clone(), own.clone());
                return Err(IdentityError::Mismatch { what, found, own });
            }
        }
        if self.cluster_uid != own.cluster_uid {
            return Ok(Belongs::Recreated(own));
        }
        Ok(Belongs::Same(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BrokerTemplate, Place, Shared};

    fn pod(cluster: &str, uid: &str, broker: &str, ordinal: u32) -> BrokerPod {
        BrokerPod {
            place: Place {
                name: format!("{cluster}-{broker}-{ordinal}"),
                ordinal,
                ..Place::default()
            },
            template: BrokerTemplate::new(Shared::new(cluster, uid, 10_911), broker),
        }
    }

    #[test]
    fn only_its_own_pod_may_have_a_store() {
        let identity = StoreIdentity::new(&pod("demo", "u-1", "broker-a", 0), "s-1".into());
        assert_eq!(StoreIdentity::parse(identity.to_json().as_bytes()), Ok(identity.clone()));
        let same = identity.check(&pod("demo", "u-1", "broker-a", 0));
        assert_eq!(same, Ok(Belongs::Same(identity.clone())));
        for (other, what) in [
            (pod("test", "u-1", "broker-a", 0), "cluster"),
            (pod("demo", "u-1", "broker-b", 0), "broker"),
            (pod("demo", "u-1", "broker-a", 1), "ordinal"),
            (pod("test", "u-2", "broker-b", 1), "cluster"),
        ] {
            match identity.check(&other) {
                Err(IdentityError::Mismatch { what: found, .. }) => assert_eq!(found, what),
                wrong => panic!("{wrong:?}"),
            }
        }
    }

    #[test]
    fn a_cluster_that_was_made_anew_takes_its_volumes_back() {
        let identity = StoreIdentity::new(&pod("demo", "u-1", "broker-a", 0), "s-1".into());
        let again = identity.check(&pod("demo", "u-2", "broker-a", 0));
        let Ok(Belongs::Recreated(new)) = again else { panic!("{again:?}") };
        assert_eq!((&*new.cluster_uid, &*new.store_id), ("u-2", "s-1"));
    }

    #[test]
    fn damaged_and_later_files_are_refused() {
        let malformed = StoreIdentity::parse(b"{");
        assert!(matches!(malformed, Err(IdentityError::Malformed(_))), "{malformed:?}");
        let mut later = StoreIdentity::new(&pod("demo", "u-1", "broker-a", 0), "s".into());
        later.format = 9;
        let refused = StoreIdentity::parse(later.to_json().as_bytes());
        assert_eq!(refused, Err(IdentityError::Format { found: 9 }));
    }
}
