//! When a fresh name server may be used: once it knows as many brokers as the others.
//!
//! Brokers register every half minute at the latest; until then clients that ask here would be
//! told that topics do not exist.

use crate::service::NameServer;
use rmq_host::http::Readiness;
use rmq_model::Clock;
use rmq_net::{AskOnly, ClientConfig, Connector};
use rmq_remoting::body::ClusterInfo;
use rmq_remoting::code::{request, response};
use rmq_remoting::{Command, json};
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
    let conn = connector.connect(peer, Arc::new(AskOnly)).await.ok()?;
    let ask = Command::request(request::GET_BROKER_CLUSTER_INFO);
    let answer = conn.request(ask, TIMEOUT).await.ok()?;
    conn.close();
    if answer.code != response::SUCCESS {
        return None;
    }
    let info: ClusterInfo = json::from_slice(&answer.body).ok()?;
    Some(info.broker_addr_table.values().map(|broker| broker.broker_addrs.len()).sum())
}
