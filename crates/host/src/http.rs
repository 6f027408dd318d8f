//! The HTTP endpoint: `/startupz`, `/livez` (also called `/healthz`), `/readyz` and `/metrics`.

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Where the endpoint listens and how much it takes.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Connections at a time; further ones are closed at once.
    pub connections_max: usize,
    /// A connection is closed after this long, whatever it does: slow peers hold no place.
    pub lifetime: Duration,
}

impl HttpConfig {
    /// 32 connections of at most a minute.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, connections_max: 32, lifetime: Duration::from_secs(60) }
    }
}

/// What the probes answer with. Called per request: it must be quick.
pub trait Health: Send + Sync + 'static {
    /// What the start still does; `None` when it is over. `/startupz` answers 503 until then.
    fn starting(&self) -> Option<String> {
        None
    }
    /// Why the process should be restarted; empty when it is fine. `/livez` then answers 503.
    fn dead(&self) -> Vec<String> {
        Vec::new()
    }
    /// All that readiness depends on, each with the reason why traffic should go elsewhere if
    /// there is one. `/readyz` then answers 503; with `?verbose` it lists the others as well.
    fn conditions(&self) -> Vec<(&'static str, Option<String>)>;

    /// Why traffic should go elsewhere, one line each; empty when ready.
    fn not_ready(&self) -> Vec<String> {
        let line = |(name, reason): (&str, Option<String>)| Some(format!("{name}: {}", reason?));
        self.conditions().into_iter().filter_map(line).collect()
    }
}

/// Readiness by named conditions: not ready while any of them holds. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Readiness {
    /// Not ready for `reason`, until [`Readiness::clear`] is called with the same `condition`.
    pub fn block(&self, condition: &'static str, reason: impl Into<String>) {
        self.0.lock().insert(condition, Some(reason.into()));
    }

    /// The condition no longer holds.
    pub fn clear(&self, condition: &'static str) {
        self.0.lock().insert(condition, None);
    }
}

impl Health for Readiness {
    fn conditions(&self) -> Vec<(&'static str, Option<String>)> {
        self.0.lock().iter().map(|(name, reason)| (*name, reason.clone())).collect()
    }
}

/// Gives the text of `/metrics`. Called on a thread that may block: some figures read files.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The bound endpoint. It answers once [`HttpServer::run`] is polled.
pub struct HttpServer {
    listener: Bounded,
    router: Router,
}

impl std::fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpServer").field("listener", &self.listener.inner).finish_non_exhaustive()
    }
}

impl HttpServer {
    /// Takes the address.
    ///
    /// # Errors
    /// When the address cannot be had; the error names it.
    pub async fn bind(
        config: &HttpConfig,
        health: Arc<dyn Health>,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let address = config.address;
        let inner = TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address} for HTTP: {error}"))
        })?;
        let places = Arc::new(Semaphore::new(config.connections_max));
        let (start, live) = (Arc::clone(&health), Arc::clone(&health));
        let healthy = Arc::clone(&health);
        let router = Router::new()
            .route("/startupz", get(async move || state(start.starting().as_slice())))
            .route("/healthz", get(async move || state(&healthy.dead())))
            .route("/livez", get(async move || state(&live.dead())))
            .route("/readyz", get(async move |uri: Uri| ready(&*health, &uri)))
            .route("/metrics", get(move || rendered(Arc::clone(&metrics))));
        Ok(Self { listener: Bounded { inner, places, lifetime: config.lifetime }, router })
    }

    /// The address in use.
    ///
    /// # Errors
    /// When the socket has none.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.inner.local_addr()
    }

    /// Answers until `stop`; requests under way then have a second to end.
    ///
    /// # Errors
    /// When accepting fails for good.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let late = stop.clone();
        let serve = axum::serve(self.listener, self.router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .into_future();
        let late = async move {
            late.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! {
            result = serve => result,
            () = late => Ok(()),
        }
    }
}

async fn rendered(metrics: Metrics) -> impl IntoResponse {
    match tokio::task::spawn_blocking(move || metrics()).await {
        Ok(body) => Ok(text(body)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("no metrics: {error}\n"))),
    }
}

fn state(reasons: &[String]) -> impl IntoResponse + use<> {
    state_of(reasons)
}

fn state_of(reasons: &[String]) -> (StatusCode, String) {
    if reasons.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}

fn ready(health: &dyn Health, uri: &Uri) -> impl IntoResponse + use<> {
    let asked = uri.query().unwrap_or_default();
    let verbose = asked.split('&').any(|part| part.split('=').next() == Some("verbose"));
    let reasons = health.not_ready();
    let (code, body) = state_of(&reasons);
    if !verbose {
        return (code, body);
    }
    let line = |(name, reason): (&str, Option<String>)| match reason {
        Some(reason) => format!("[-] {name}: {reason}\n"),
        None => format!("[+] {name}\n"),
    };
    let lines: String = health.conditions().into_iter().map(line).collect();
    (code, lines + if reasons.is_empty() { "ready\n" } else { "not ready\n" })
}

fn text(metrics: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics)
}

/// Accepts as many connections as there are places.
struct Bounded {
    inner: TcpListener,
    places: Arc<Semaphore>,
    lifetime: Duration,
}

impl Listener for Bounded {
    type Io = Timed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed, SocketAddr) {
        loop {
            let (stream, peer) = match self.inner.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the peer has gone already.
                    warn!(%error, "cannot accept an HTTP connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                let end = Box::pin(tokio::time::sleep(self.lifetime));
                return (Timed { stream, end, _place: place }, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that holds a place and ends in time.
struct Timed {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Timed {
    fn over<T>(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<T>>> {
        let over = self.end.as_mut().poll(cx).is_ready();
        over.then(|| Poll::Ready(Err(io::ErrorKind::TimedOut.into())))
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(over) = self.over(cx) {
            return over;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(over) = self.over(cx) {
            return over;
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tasks;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn endpoint(config: HttpConfig, ready: &Readiness) -> (SocketAddr, Tasks) {
        let metrics: Metrics = Arc::new(|| "up 1\n".to_owned());
        let server = HttpServer::bind(&config, Arc::new(ready.clone()), metrics)
            .await
            .expect("port 0 is free");
        let address = server.local_addr().expect("it is bound");
        let tasks = Tasks::new("http");
        tasks.spawn("serve", |stop| async move { Ok(server.run(stop).await?) });
        (address, tasks)
    }

    async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (code.expect("a status code"), body.to_owned())
    }

    fn local() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn on_runtime<F: Future>(work: F) -> F::Output {
        crate::runtime::build(&crate::runtime::RuntimeConfig::default())
            .expect("a runtime can be made")
            .block_on(work)
    }

    #[test]
    fn answers_with_state_reasons_and_metrics() {
        on_runtime(async {
            let ready = Readiness::default();
            ready.block("store", "recovering");
            ready.block("role", "undecided");
            let (address, tasks) = endpoint(HttpConfig::at(local()), &ready).await;
            assert_eq!(ask(address, "/livez").await, (200, "ok\n".to_owned()));
            assert_eq!(ask(address, "/healthz").await, (200, "ok\n".to_owned()));
            let reasons = "role: undecided\nstore: recovering\n".to_owned();
            assert_eq!(ask(address, "/readyz").await, (503, reasons));
            ready.clear("store");
            let all = "[-] role: undecided\n[+] store\nnot ready\n".to_owned();
            assert_eq!(ask(address, "/readyz?verbose").await, (503, all));
            ready.clear("role");
            let all = "[+] role\n[+] store\nready\n".to_owned();
            assert_eq!(ask(address, "/readyz?verbose=1").await, (200, all));
            assert_eq!(ask(address, "/startupz").await, (200, "ok\n".to_owned()));
            assert_eq!(ask(address, "/readyz").await, (200, "ok\n".to_owned()));
            assert_eq!(ask(address, "/metrics").await, (200, "up 1\n".to_owned()));
            assert_eq!(ask(address, "/other").await.0, 404);
            assert!(tasks.shutdown(Duration::from_secs(20)).await);
        });
    }

    #[test]
    fn connections_are_bounded_in_number_and_time() {
        on_runtime(async {
            let config = HttpConfig {
                connections_max: 1,
                lifetime: Duration::from_millis(300),
                ..HttpConfig::at(local())
            };
            let (address, tasks) = endpoint(config, &Readiness::default()).await;
            let mut silent = TcpStream::connect(address).await.expect("it listens");
            let mut second = TcpStream::connect(address).await.expect("the kernel accepts");
            let mut nothing = Vec::new();
            let cut = second.read_to_end(&mut nothing).await;
            assert!(matches!(cut, Ok(0) | Err(_)), "the second one is closed at once");
            let ended = silent.read_to_end(&mut nothing).await;
            assert!(matches!(ended, Ok(0) | Err(_)), "the first one is closed in time");
            tasks.shutdown(Duration::from_secs(20)).await;
        });
    }

    #[test]
    fn a_taken_address_is_named() {
        on_runtime(async {
            let (address, tasks) = endpoint(HttpConfig::at(local()), &Readiness::default()).await;
            let again = HttpServer::bind(
                &HttpConfig::at(address),
                Arc::new(Readiness::default()),
                Arc::new(String::new),
            )
            .await
            .expect_err("it is in use");
            assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
            assert!(again.to_string().contains(&address.to_string()), "{again}");
            tasks.shutdown(Duration::from_secs(20)).await;
        });
    }
}
