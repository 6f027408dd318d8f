//! What all pods are told.

use crate::env;
use crate::read::{PodError, Variables, broken};
use std::net::{IpAddr, Ipv4Addr};

const IP: &str = "an IP address";
const PORT: &str = "a port from 1 to 65535";

/// Who a pod is among the others of its set. In Kubernetes the downward API says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Such as `demo-broker-a-0`.
    pub name: String,
    /// Of the pod; empty outside of Kubernetes.
    pub namespace: String,
    /// Of the pod; empty outside of Kubernetes.
    pub uid: String,
    /// First address of the pod.
    pub ip: Option<IpAddr>,
    /// All addresses of the pod, the first one included.
    pub ips: Vec<IpAddr>,
    /// Name of the node it runs on.
    pub node: String,
    /// Address of that node.
    pub host_ip: Option<IpAddr>,
    /// Its number in its set, from zero.
    pub ordinal: u32,
}

impl Place {
    pub(crate) fn read<F>(given: &Variables<F>) -> Result<Self, PodError>
    where
        F: Fn(&str) -> Option<String>,
    {
        let name = given.required(env::POD_NAME, "the name of the pod")?;
        let mut ips = Vec::new();
        let all = given.optional(env::POD_IPS).unwrap_or_default();
        for text in all.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match text.parse::<IpAddr>() {
                Ok(ip) => ips.push(ip),
                Err(_) => return Err(broken(env::POD_IPS, &all, "IP addresses separated by `,`")),
            }
        }
        let ip = given.parsed::<IpAddr>(env::POD_IP, IP)?.or(ips.first().copied());
        if ips.is_empty() {
            ips.extend(ip);
        }
        let ordinal = match given.parsed(env::ORDINAL, "the number of the pod in its set")? {
            Some(ordinal) => ordinal,
            None => match ordinal_of(&name) {
                Some(ordinal) => ordinal,
                None => {
                    let rule = "a name that ends in `-` and a number, as RMQ_ORDINAL is not set";
                    return Err(broken(env::POD_NAME, &name, rule));
                }
            },
        };
        Ok(Self {
            name,
            namespace: given.optional(env::POD_NAMESPACE).unwrap_or_default(),
            uid: given.optional(env::POD_UID).unwrap_or_default(),
            ip,
            ips,
            node: given.optional(env::NODE_NAME).unwrap_or_default(),
            host_ip: given.parsed(env::HOST_IP, IP)?,
            ordinal,
        })
    }

    /// The variables that say this, without those that are empty.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let ips: Vec<String> = self.ips.iter().map(ToString::to_string).collect();
        let ip = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
        present(vec![
            (env::POD_NAME, self.name.clone()),
            (env::POD_NAMESPACE, self.namespace.clone()),
            (env::POD_UID, self.uid.clone()),
            (env::POD_IP, ip(self.ip)),
            (env::POD_IPS, ips.join(",")),
            (env::NODE_NAME, self.node.clone()),
            (env::HOST_IP, ip(self.host_ip)),
            (env::ORDINAL, self.ordinal.to_string()),
        ])
    }
}

/// What name servers and brokers of a cluster are told alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// `brokerClusterName`.
    pub cluster_name: String,
    /// UID of the cluster resource.
    pub cluster_uid: String,
    /// Port of all requests.
    pub listen_port: u16,
    /// Port of probes and metrics, if there is one.
    pub http_port: Option<u16>,
    /// Directory of the mounted files.
    pub config_dir: String,
    /// Directory of the data.
    pub data_dir: String,
    /// File with the token of the control API.
    pub control_token_file: Option<String>,
    /// Address to listen on; all when `None`.
    pub bind: Option<IpAddr>,
}

impl Shared {
    /// For the cluster of this name and UID, with the defaults for everything else.
    pub fn new(cluster_name: &str, cluster_uid: &str, listen_port: u16) -> Self {
        Self {
            cluster_name: cluster_name.to_owned(),
            cluster_uid: cluster_uid.to_owned(),
            listen_port,
            http_port: Some(env::HTTP_PORT_DEFAULT),
            config_dir: env::CONFIG_DIR_DEFAULT.to_owned(),
            data_dir: env::DATA_DIR_DEFAULT.to_owned(),
            control_token_file: None,
            bind: None,
        }
    }

    pub(crate) fn read<F>(
        given: &Variables<F>,
        cluster_name: String,
        port: u16,
    ) -> Result<Self, PodError>
    where
        F: Fn(&str) -> Option<String>,
    {
        let text = |name, default: &str| given.optional(name).unwrap_or_else(|| default.to_owned());
        let listen_port = given.parsed::<u16>(env::LISTEN_PORT, PORT)?.unwrap_or(port);
        // The fast port is two below, the control port two above.
        if !(3..=65_533).contains(&listen_port) {
            let rule = "a port from 3 to 65533: ports two below and above it are used too";
            return Err(broken(env::LISTEN_PORT, &listen_port.to_string(), rule));
        }
        let http = given.parsed::<u16>(env::HTTP_PORT, "a port from 0 to 65535")?;
        Ok(Self {
            cluster_name,
            cluster_uid: given.optional(env::CLUSTER_UID).unwrap_or_default(),
            listen_port,
            http_port: Some(http.unwrap_or(env::HTTP_PORT_DEFAULT)).filter(|port| 0 < *port),
            config_dir: text(env::CONFIG_DIR, env::CONFIG_DIR_DEFAULT),
            data_dir: text(env::DATA_DIR, env::DATA_DIR_DEFAULT),
            control_token_file: given.optional(env::CONTROL_TOKEN_FILE),
            bind: given.parsed(env::BIND, IP)?,
        })
    }

    /// The variables that say this, without those that are empty.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let bind = self.bind.map(|ip| ip.to_string()).unwrap_or_default();
        present(vec![
            (env::CLUSTER_NAME, self.cluster_name.clone()),
            (env::CLUSTER_UID, self.cluster_uid.clone()),
            (env::LISTEN_PORT, self.listen_port.to_string()),
            (env::HTTP_PORT, self.http_port.unwrap_or(0).to_string()),
            (env::CONFIG_DIR, self.config_dir.clone()),
            (env::DATA_DIR, self.data_dir.clone()),
            (env::CONTROL_TOKEN_FILE, self.control_token_file.clone().unwrap_or_default()),
            (env::BIND, bind),
        ])
    }

    /// Settings that both kinds have.
    pub(crate) fn derive(&self, settings: &mut crate::broker::Derived) {
        let bind = self.bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        settings.set("bindAddress", bind);
        settings.set("listenPort", self.listen_port);
        settings.set("controlListenPort", self.listen_port.saturating_add(2));
        settings.set("controlTokenFile", self.control_token_file.as_deref().unwrap_or_default());
        if let Some(port) = self.http_port {
            settings.set("metricsPromExporterHost", bind);
            settings.set("metricsPromExporterPort", port);
        }
    }
}

/// Only the variables that are set to something.
pub(crate) fn present(mut all: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    all.retain(|(_, value)| !value.is_empty());
    all
}

/// The digits after the last `-` of a pod's name.
fn ordinal_of(name: &str) -> Option<u32> {
    let (_, digits) = name.rsplit_once('-')?;
    // `parse` would take a sign as well.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ordinal_ends_the_name() {
        for (name, ordinal) in
            [("demo-broker-a-0", Some(0)), ("x-12", Some(12)), ("x-", None), ("x", None)]
        {
            assert_eq!(ordinal_of(name), ordinal, "{name}");
        }
        assert_eq!(ordinal_of("x-+1"), None);
        assert_eq!(ordinal_of("x-99999999999"), None);
    }
}
