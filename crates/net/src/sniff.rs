//! The first bytes of an accepted connection: plain frames, TLS, or a PROXY protocol header.

use crate::proxy::{self, Proxied};
use bytes::{Buf, BytesMut};
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// First byte of a TLS handshake record. A plain frame begins with 0: its length is below 16 MiB.
const TLS_HANDSHAKE: u8 = 0x16;

/// Why an accepted connection is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// To serve it, terminate TLS here and hand the plain stream on.
    #[error("the peer begins TLS, which this server does not speak yet")]
    Tls,
    #[error("the peer begins with a PROXY protocol header, which is not enabled")]
    ProxyDisabled,
    #[error("the peer's PROXY protocol header is broken")]
    ProxyBroken,
    #[error("closed before the first byte")]
    Empty,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads until it is clear what the peer speaks. Returns who the peer is; `buf` then holds what was
/// read of the first frames.
pub(crate) async fn sniff(
    stream: &TcpStream,
    from: SocketAddr,
    allow_proxy: bool,
    buf: &mut BytesMut,
) -> Result<SocketAddr, Refused> {
    loop {
        match proxy::parse(buf) {
            Proxied::No if buf.first() == Some(&TLS_HANDSHAKE) => return Err(Refused::Tls),
            Proxied::No if !buf.is_empty() => return Ok(from),
            Proxied::No | Proxied::Partial => {}
            Proxied::Broken => return Err(Refused::ProxyBroken),
            Proxied::Header { .. } if !allow_proxy => return Err(Refused::ProxyDisabled),
            Proxied::Header { bytes, peer } => {
                buf.advance(bytes);
                return Ok(peer.unwrap_or(from));
            }
        }
        stream.readable().await?;
        buf.reserve(1024);
        match stream.try_read_buf(buf) {
            Ok(0) => return Err(Refused::Empty),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}
