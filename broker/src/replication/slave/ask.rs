//! Reaching a master, and asking it what it is.

use super::TICK;
use crate::replication::OURS;
use rmq_model::LogOffset;
use rmq_net::{AskOnly, ClientConfig, Connector};
use rmq_remoting::Command;
use rmq_remoting::code::{request, response};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn open(address: &str) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TICK))?;
                stream.set_write_timeout(Some(CONNECT_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// What a master says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Info {
    pub(super) ours: bool,
    /// End of its log when it started.
    pub(super) start_end: Option<LogOffset>,
}

/// Asks a master for its part in replication (906); one that does not answer tells nothing.
pub(super) async fn ask(address: &str) -> Option<Info> {
    let connector = Connector::new(ClientConfig::default());
    let conn = connector.connect(address, Arc::new(AskOnly)).await.ok()?;
    let question = Command::request(request::EXCHANGE_BROKER_HA_INFO).with_ext(OURS, "1");
    let answer = conn.request(question, CONNECT_TIMEOUT).await.ok()?;
    conn.close();
    if answer.code != response::SUCCESS {
        return None;
    }
    let start_end = answer.ext.get("masterFlushOffset").and_then(|text| text.parse().ok());
    Some(Info {
        ours: answer.ext.get(OURS) == Some("1"),
        start_end: start_end.and_then(LogOffset::from_wire),
    })
}
