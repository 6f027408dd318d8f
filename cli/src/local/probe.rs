//! Whether a pod serves.

use std::net::SocketAddr;
use std::time::Duration;

use rmq_operator_plan::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(1);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4096;

/// What to ask.
#[derive(Clone, Copy, Debug)]
pub(super) enum Probe {
    /// `GET /readyz`, which answers 200 when ready and else says why not.
    Http(SocketAddr),
    /// Whether connections are accepted: all there is without the HTTP endpoint.
    Tcp(SocketAddr),
}

impl Probe {
    /// The best one for `process`; `None` if it listens nowhere that can be named.
    pub(super) fn of(process: &Process) -> Option<Self> {
        let ip = process.endpoint.bind.parse().ok()?;
        let ports = process.endpoint.ports;
        Some(if process.serves_http() {
            Self::Http(SocketAddr::new(ip, ports.http))
        } else {
            Self::Tcp(SocketAddr::new(ip, ports.listen))
        })
    }

    /// Asks once; the error says why the pod is not ready.
    pub(super) async fn ask(self) -> Result<(), String> {
        let asked = async {
            match self {
                Self::Http(address) => get(address).await,
                Self::Tcp(address) => match TcpStream::connect(address).await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.to_string()),
                },
            }
        };
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(answer) => answer,
            Err(_) => Err("no answer within a second".to_owned()),
        }
    }
}

async fn get(address: SocketAddr) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).await.map_err(text)?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(text)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(text)?;
    verdict(&String::from_utf8_lossy(&answer))
}

/// What an HTTP answer says: the body of one that is not 200 is the reason.
fn verdict(answer: &str) -> Result<(), String> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    if status == "200" {
        return Ok(());
    }
    match body.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(reason) => Err(reason.to_owned()),
        None if status.is_empty() => Err("no answer".to_owned()),
        None => Err(format!("HTTP status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        for (answer, verdict_is) in [
            ("HTTP/1.1 200 OK\r\n\r\nok\n", Ok(())),
            (
                "HTTP/1.1 503 Busy\r\na: b\r\n\r\n\nstore: recovering\nmore",
                Err("store: recovering"),
            ),
            ("HTTP/1.1 404 Not Found\r\n\r\n", Err("HTTP status 404")),
            ("", Err("no answer")),
            ("HTTP/1.1", Err("no answer")),
        ] {
            assert_eq!(verdict(answer), verdict_is.map_err(str::to_owned), "{answer:?}");
        }
    }
}
