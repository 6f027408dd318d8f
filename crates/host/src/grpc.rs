//! The port of the control API: bounded connections, each request with the cluster's token.

use crate::Tasks;
use crate::files::{self, Stamp};
use futures_util::Stream;
use parking_lot::Mutex;
use rmq_control::tonic::body::Body;
use rmq_control::tonic::codegen::{InterceptedService, Service, http};
use rmq_control::tonic::server::NamedService;
use rmq_control::tonic::service::Interceptor;
use rmq_control::tonic::transport::Server;
use rmq_control::tonic::transport::server::Connected;
use rmq_control::tonic::{Request, Status};
use rmq_control::{bearer_token, same_token};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// Connections at a time: operators, replicas and people with a tool.
const CONNECTIONS_MAX: usize = 64;
/// Calls of one connection at a time.
const CALLS_MAX: u32 = 16;
/// A peer that does not answer for twice this long holds no place.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long calls under way may take when the server stops.
const LAST_CALLS: Duration = Duration::from_secs(1);
/// Longest token.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Where control is served and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlConfig {
    /// Address; port 0 takes a free one.
    pub address: SocketAddr,
    /// File with the token; none only at loopback addresses.
    pub token_file: Option<PathBuf>,
}

/// The control API is not served; whoever started the program should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the control API is off: it needs controlTokenFile, or a loopback bindAddress")]
pub struct ControlOff;

impl ControlConfig {
    /// At `port` of `bind`, but never in reach of others without a token; 0 is no port.
    ///
    /// # Errors
    /// [`ControlOff`] if it would be.
    pub fn at(
        bind: IpAddr,
        port: u16,
        token_file: Option<PathBuf>,
    ) -> Result<Option<Self>, ControlOff> {
        if port == 0 {
            return Ok(None);
        }
        if token_file.is_none() && !bind.is_loopback() {
            return Err(ControlOff);
        }
        Ok(Some(Self { address: SocketAddr::new(bind, port), token_file }))
    }
}

/// Takes the address of `config` and serves `api` there as one of `tasks`, to callers with the token.
/// Calls under way when the tasks are told to stop have a second to end.
///
/// # Errors
/// When the address cannot be had; the error names it.
pub async fn serve<S>(config: &ControlConfig, api: S, tasks: &Tasks) -> io::Result<SocketAddr>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    let listener = bind(config.address).await?;
    let address = listener.local_addr()?;
    let guard = TokenGuard::new(config.token_file.as_deref());
    let service = InterceptedService::new(api, guard);
    tasks.spawn("control", |stop| async move {
        let stopped = stop.clone().cancelled_owned();
        let serving = server().serve_with_incoming_shutdown(service, accepted(listener), stopped);
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_CALLS).await;
        };
        tokio::select! {
            served = serving => Ok(served?),
            () = late => Ok(()),
        }
    });
    Ok(address)
}

/// A server with the bounds of the control port.
fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(CALLS_MAX)
        .concurrency_limit_per_connection(CALLS_MAX.try_into().unwrap_or(usize::MAX))
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .http2_max_header_list_size(16 * 1024)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(128 * 1024)
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address} for control: {error}"))
    })
}

/// The connections that `listener` accepts; those beyond the bound are closed at once.
fn accepted(listener: TcpListener) -> impl Stream<Item = io::Result<Accepted>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    futures_util::stream::unfold((listener, places), async |(listener, places)| {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, or the peer has gone already.
                    warn!(%error, "cannot accept a control connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                stream.set_nodelay(true).ok();
                return Some((Ok(Accepted { stream, _place: place }), (listener, places)));
            }
        }
    })
}

/// A connection that holds a place.
#[derive(Debug)]
struct Accepted {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Connected for Accepted {
    type ConnectInfo = ();
    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Lets only calls through that carry the token of a file, as the file is at that moment.
#[derive(Clone, Debug)]
struct TokenGuard(Option<Arc<TokenFile>>);

#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
    known: Mutex<Option<(Stamp, Box<str>)>>,
}

impl TokenGuard {
    /// Of this file; without one every call is let through.
    fn new(file: Option<&Path>) -> Self {
        let guard = |path: &Path| TokenFile { path: path.to_owned(), known: Mutex::default() };
        Self(file.map(|path| Arc::new(guard(path))))
    }
}

impl TokenFile {
    /// Whether `token` is the one in the file. A file that cannot be read lets nobody in.
    fn is(&self, token: &str) -> bool {
        let mut known = self.known.lock();
        let stamp = Stamp::of(&self.path);
        if stamp.is_none() || known.as_ref().map(|(stamp, _)| *stamp) != stamp {
            let read = files::read_if_there(&self.path, TOKEN_BYTES_MAX);
            let text = match read {
                Ok(bytes) => bytes.and_then(|bytes| String::from_utf8(bytes).ok()),
                Err(error) => {
                    warn!(path = %self.path.display(), %error, "cannot read the control token");
                    None
                }
            };
            *known = stamp.zip(text.map(|text| text.trim().into()));
        }
        known.as_ref().is_some_and(|(_, own)| !own.is_empty() && same_token(own, token))
    }
}

impl Interceptor for TokenGuard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(file) = &self.0 else { return Ok(request) };
        match bearer_token(request.metadata()) {
            Some(token) if file.is(token) => Ok(request),
            Some(_) => Err(Status::unauthenticated("the token is not that of this cluster")),
            None => Err(Status::unauthenticated("the call carries no token")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_control::Bearer;
    use rmq_control::tonic::Code;

    #[test]
    fn control_is_never_open_to_others_without_a_token() {
        let (here, all) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0]));
        let token = || Some(PathBuf::from("/t"));
        for (bind, port, token_file, want) in [
            (all, 0, None, Ok(None)),
            (all, 9_878, None, Err(ControlOff)),
            (here, 9_878, None, Ok(Some(9_878))),
            (all, 9_878, token(), Ok(Some(9_878))),
        ] {
            let config = ControlConfig::at(bind, port, token_file);
            assert_eq!(config.map(|config| config.map(|one| one.address.port())), want);
        }
    }

    fn ask(guard: &mut TokenGuard, token: Option<&str>) -> Option<Code> {
        let mut bearer = token.map_or_else(Bearer::none, |t| Bearer::new(t).expect("plain"));
        let request = bearer.call(Request::new(())).expect("it only adds");
        guard.call(request).map_err(|status| status.code()).err()
    }

    #[test]
    fn the_token_is_that_of_the_file_as_it_is_now() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("token");
        let mut guard = TokenGuard::new(Some(&path));
        let refused = Some(Code::Unauthenticated);
        assert_eq!(ask(&mut guard, Some("one")), refused, "there is no file");
        for token in ["one", "another"] {
            crate::durable::replace(&path, format!("{token}\n").as_bytes()).expect("writable");
            assert_eq!(ask(&mut guard, Some(token)), None);
            assert_eq!(ask(&mut guard, Some("wrong")), refused);
            assert_eq!(ask(&mut guard, None), refused);
        }
        assert_eq!(ask(&mut guard, Some("one")), refused, "it was replaced");
        crate::durable::replace(&path, b" \n").expect("writable");
        assert_eq!(ask(&mut guard, Some("another")), refused, "an empty file is no token");
        assert_eq!(ask(&mut TokenGuard::new(None), None), None);
    }
}
