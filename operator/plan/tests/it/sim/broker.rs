//! What runs in a broker's pod.

use std::collections::BTreeMap;

use rmq_pod::{files, properties};
use serde_json::Value;

/// A broker process.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    pub(crate) incarnation: String,
    pub(crate) store_id: String,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) name_servers: Vec<String>,
    /// Settings it refuses, by key.
    pub(crate) refuses: Option<String>,
    pub(crate) rejected: bool,
    pub(crate) file_hash: String,
    pub(crate) perm: u32,
    pub(crate) reason: String,
    pub(crate) perm_ms: i64,
    /// When clients last sent something.
    pub(crate) last_send_ms: i64,
    /// When it has nothing left to consume, once clients stopped sending.
    pub(crate) empty_at_ms: Option<i64>,
    /// Nobody consumes what it has.
    pub(crate) abandoned: bool,
    pub(crate) in_sync: bool,
    pub(crate) registered_ms: i64,
    pub(crate) advertised: String,
    /// When the files it has read by itself were applied.
    pub(crate) read_ms: i64,
}

impl Broker {
    /// Reads the files as they are in the pod now.
    pub(crate) fn read(&mut self, config_map: &Value, now_ms: i64) {
        let text = |name: &str| {
            let data = config_map.get("data").and_then(|data| data.get(name));
            data.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let parsed = properties::parse(text(files::BROKER_CONF).as_bytes()).expect("well formed");
        let settings = files::settings_of(&parsed);
        self.file_hash = hash(&settings);
        self.rejected = self.refuses.as_ref().is_some_and(|key| settings.contains_key(key));
        if !self.rejected {
            let perm = |settings: &BTreeMap<String, String>| {
                settings.get("brokerPermission").and_then(|text| text.parse().ok()).unwrap_or(6)
            };
            if perm(&settings) != perm(&self.settings) {
                self.permit(perm(&settings), "", now_ms);
            }
            self.settings = settings;
        }
        let list = files::name_servers(&text(files::NAMESRV_ADDRS)).expect("well formed");
        if list != self.name_servers {
            self.name_servers = list;
            self.registered_ms = now_ms;
        }
    }

    pub(crate) fn permit(&mut self, perm: u32, reason: &str, now_ms: i64) {
        self.perm = perm;
        reason.clone_into(&mut self.reason);
        self.perm_ms = now_ms;
        self.registered_ms = now_ms;
    }

    pub(crate) fn writable(&self) -> bool {
        self.perm & 2 != 0
    }
}

pub(crate) fn hash(settings: &BTreeMap<String, String>) -> String {
    files::settings_hash(settings.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}
