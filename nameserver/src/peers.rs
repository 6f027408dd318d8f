//! When a fresh name server may be used: once it knows as many brokers as the others.
//!
//! Brokers register every half minute at the latest; until then clients that ask here would be
//! told that topics do not exist.

use crate::service::NameServer;
use rmq_host::http::Readiness;
use rmq_model::Clock;
use rmq_net::{ClientConfig, Connection, Connector, Request, Service};
use rmq_remoting::code::{request, response};
use rmq_remoting::{Command, json};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A broker registers within this time.
pub(crate) const PERIOD: Duration = Duration::from_secs(30);
/// Longest wait for one of the others.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Condition of readiness.
pub(crate) const CONDITION: &str = "brokers";

/// A name server that asks others serves nobody on those connections.
struct Asking;

impl Service for Asking {
    fn requests(&self, _conn: &Arc<Connection>, batch: &mut Vec<Request>) {
        for Request { command, reply } in batch.drain(..) {
            let code = command.code;
            let remark = format!(" request type {code} not supported");
            reply.send(Command::response(response::REQUEST_CODE_NOT_SUPPORTED).with_remark(remark));
        }
    }

    fn closed(&self, _conn: &Arc<Connection>) {}
}

/// Keeps `readiness` blocked until the server knows as many brokers as each of `peers`, or brokers
/// have had the time to register. Peers that do not answer do not count.
pub(crate) async fn wait_for_brokers(
    server: Arc<NameServer>,
    peers: Vec<String>,
    readiness: Readiness,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let begun = clock.monotonic();
    let connector =
        Connector::new(ClientConfig { connect_timeout: TIMEOUT, ..ClientConfig::default() });
    loop {
        let asked =
            futures_util::future::join_all(peers.iter().map(|peer| count(&connector, peer)));
        let most = tokio::select! {
            counts = asked => counts.into_iter().flatten().max().unwrap_or(0),
            () = stop.cancelled() => break,
        };
        let own = server.known_brokers().len();
        if most <= own || PERIOD <= clock.monotonic().saturating_sub(begun) {
            break;
        }
        readiness.block(CONDITION, format!("{own} are known, {most} to another name server"));
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => break,
        }
    }
    readiness.clear(CONDITION);
    connector.shutdown(TIMEOUT).await;
}

/// How many addresses of brokers a name server knows; `None` if it does not say.
async fn count(connector: &Connector, peer: &str) -> Option<usize> {
    let conn = connector.connect(peer, Arc::new(Asking)).await.ok()?;
    let ask = Command::request(request::GET_BROKER_CLUSTER_INFO);
    let answer = conn.request(ask, TIMEOUT).await.ok()?;
    conn.close();
    if answer.code != response::SUCCESS {
        return None;
    }
    addresses(&json::to_value(&answer.body).ok()?)
}

fn addresses(info: &Value) -> Option<usize> {
    let brokers = info.get("brokerAddrTable")?.as_object()?;
    let of_one = |broker: &Value| broker.get("brokerAddrs")?.as_object().map(serde_json::Map::len);
    Some(brokers.values().filter_map(of_one).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_over_all_brokers() {
        let text = br#"{"brokerAddrTable":{"a":{"brokerAddrs":{0:"x:1",1:"y:1"},"brokerName":"a"},
            "b":{"brokerAddrs":{0:"z:1"}}},"clusterAddrTable":{"C":["a","b"]}}"#;
        assert_eq!(addresses(&json::to_value(text).expect("lenient JSON")), Some(3));
        assert_eq!(addresses(&serde_json::json!({})), None);
        assert_eq!(addresses(&serde_json::json!({"brokerAddrTable": {}})), Some(0));
    }
}
