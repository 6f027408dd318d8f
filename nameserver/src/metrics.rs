//! What is counted. Every name has a line in docs/operate/nameserver.md.

use crate::service::NameServer;
use parking_lot::RwLock;
use rmq_host::metrics::{Counter, Describe, Family, Kind, Registry};
use rmq_remoting::code::{request_name, response_name};
use std::collections::HashMap;
use std::sync::Arc;

/// Counters of the requests.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Counter>,
    /// By request and response code: what the family would look up by text.
    by_code: RwLock<HashMap<(i32, i32), Counter>>,
    /// Addresses removed because they were silent.
    pub(crate) expired: Counter,
    /// Registrations equal to the last one of their address.
    pub(crate) repeated: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new(vec![("node_type".to_owned(), "nameserver".to_owned())]);
        Self {
            requests: registry.counters(Describe {
                name: "rmq_nameserver_requests_total",
                help: "Requests by code and answer.",
                labels: &["request_code", "response_code"],
            }),
            by_code: RwLock::default(),
            expired: registry.counter(
                "rmq_nameserver_expired_addresses_total",
                "Broker addresses removed because they were silent.",
            ),
            repeated: registry.counter(
                "rmq_nameserver_repeated_registrations_total",
                "Registrations that said what the last one had said.",
            ),
            registry,
        }
    }
}

impl Metrics {
    /// Counts one answered request.
    pub(crate) fn count(&self, request: i32, response: i32) {
        let known = self.by_code.read().get(&(request, response)).cloned();
        let counter = known.unwrap_or_else(|| self.counter(request, response));
        counter.increment();
    }

    fn counter(&self, request: i32, response: i32) -> Counter {
        let Some(name) = request_name(request) else {
            // Codes off the wire are not bounded: all that are unknown count together.
            return self.requests.with(&["unknown", "request_code_not_supported"]);
        };
        let answer = response_name(response).unwrap_or("other").to_ascii_lowercase();
        let counter = self.requests.with(&[name, &answer]);
        self.by_code.write().insert((request, response), counter.clone());
        counter
    }

    /// Everything as Prometheus text.
    pub(crate) fn render(&self) -> String {
        self.registry.render()
    }
}

/// Adds what is looked up when it is asked for.
pub(crate) fn collect(server: &Arc<NameServer>) {
    let weak = Arc::downgrade(server);
    server.metrics().registry.collect(move |out| {
        let Some(server) = weak.upgrade() else { return };
        let sizes = server.sizes();
        let cache = server.cache();
        for (name, help, value) in [
            ("rmq_nameserver_topics", "Topics with a route.", sizes.topics),
            ("rmq_nameserver_brokers", "Broker names.", sizes.brokers),
            ("rmq_nameserver_clusters", "Clusters.", sizes.clusters),
            ("rmq_nameserver_addresses", "Broker addresses that are alive.", sizes.addresses),
            ("rmq_nameserver_route_cache_bytes", "Encoded routes that are kept.", cache.bytes()),
        ] {
            out.begin(name, help, Kind::Gauge);
            out.sample(&[], value);
        }
        let name = "rmq_nameserver_route_cache_lookups_total";
        out.begin(name, "Routes asked for, by whether they were kept.", Kind::Counter);
        out.sample(&[("result", "hit")], cache.hits.value());
        out.sample(&[("result", "miss")], cache.misses.value());
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_metric_has_a_row_on_the_page() {
        let page = include_str!("../../docs/operate/nameserver.md");
        let names = include_str!("metrics.rs").split('"').filter(|part| {
            part.starts_with("rmq_") && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        });
        let mut seen = 0;
        for name in names.filter(|name| *name != "rmq_") {
            seen += 1;
            assert!(page.contains(&format!("| `{name}` |")), "{name} is not on the page");
        }
        assert!(0 < seen);
    }
}
