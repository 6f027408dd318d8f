//! Tells brokers that the smallest id of their group changed (905).

use crate::routes::MinIdNotice;
use rmq_net::{AskOnly, ClientConfig, Connector, Limits};
use rmq_remoting::Command;
use rmq_remoting::code::request;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

/// Notices that may wait.
pub(crate) const NOTICES_MAX: usize = 256;
/// For the connection to a broker.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// Sends notices until `stop`.
pub(crate) async fn run(mut queue: mpsc::Receiver<MinIdNotice>, stop: CancellationToken) {
    let limits = Limits { idle: Duration::from_secs(5), ..Limits::default() };
    let connector = Connector::new(ClientConfig { connect_timeout: CONNECT_TIMEOUT, limits });
    loop {
        let notice = tokio::select! {
            () = stop.cancelled() => break,
            notice = queue.recv() => notice,
        };
        let Some(notice) = notice else { break };
        info!(min_id = notice.min_id, address = &*notice.min_addr, "smallest broker id changed");
        for addr in &notice.recipients {
            tell(&connector, addr, &notice).await;
        }
    }
    connector.shutdown(CONNECT_TIMEOUT).await;
}

async fn tell(connector: &Connector, addr: &str, notice: &MinIdNotice) {
    match connector.connect(addr, Arc::new(AskOnly)).await {
        // It closes by itself once it is idle.
        Ok(conn) => conn.oneway(command(notice)),
        // The broker polls as well: it will see the change a second later.
        Err(error) => debug!(addr, %error, "broker not told of its smallest id"),
    }
}

fn command(notice: &MinIdNotice) -> Command {
    let mut command = Command::oneway(request::NOTIFY_MIN_BROKER_ID_CHANGE);
    command.ext.push_number("minBrokerId", notice.min_id);
    command.ext.push_str("minBrokerAddr", &notice.min_addr);
    if let Some(addr) = &notice.offline_addr {
        command.ext.push_str("offlineBrokerAddr", addr);
    }
    if let Some(addr) = &notice.ha_addr {
        command.ext.push_str("haBrokerAddr", addr);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_addresses_are_left_out() {
        let notice = MinIdNotice {
            min_id: 1,
            min_addr: "1:1".into(),
            offline_addr: Some("0:1".into()),
            ha_addr: None,
            recipients: vec![],
        };
        let command = command(&notice);
        assert!(command.is_oneway());
        let fields: Vec<_> =
            command.ext.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let want = [("minBrokerId", "1"), ("minBrokerAddr", "1:1"), ("offlineBrokerAddr", "0:1")];
        assert_eq!(fields, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
}
