//! A name server in a pod.

use crate::broker::Derived;
use crate::env;
use crate::place::{Place, Shared};
use crate::read::{PodError, Variables};
use std::collections::BTreeMap;

/// What all name servers of a cluster are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServerTemplate {
    /// What brokers are told as well.
    pub shared: Shared,
}

impl NameServerTemplate {
    /// The variables that say this: those of a pod template that Kubernetes does not fill in.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        self.shared.variables()
    }
}

/// A name server that was started as a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServerPod {
    /// Which one it is.
    pub place: Place,
    /// What it has in common with the others.
    pub template: NameServerTemplate,
}

impl NameServerPod {
    /// Reads the variables that `lookup` gives; `None` if the process was not started as a pod.
    ///
    /// # Errors
    /// The first variable that is missing or breaks its rule.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, PodError> {
        let given = Variables::new(lookup);
        let Some(cluster_name) = given.optional(env::CLUSTER_NAME) else { return Ok(None) };
        let shared = Shared::read(&given, cluster_name, env::NAME_SERVER_PORT_DEFAULT)?;
        let template = NameServerTemplate { shared };
        Ok(Some(Self { place: Place::read(&given)?, template }))
    }

    /// The variables that [`NameServerPod::read`] reads back.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut all = self.place.variables();
        all.extend(self.template.variables());
        all
    }

    /// The settings that the pod itself decides. They win over the user's.
    pub fn derive(&self) -> BTreeMap<String, String> {
        let mut derived = Derived::default();
        let data = &self.template.shared.data_dir;
        self.template.shared.derive(&mut derived);
        derived.set("kvConfigPath", format_args!("{data}/kvConfig.json"));
        derived.set("configStorePath", format_args!("{data}/namesrv.properties"));
        derived.into_map()
    }
}
