//! Between an operator and the API server: it works as somebody else, counts what is changed, and
//! lets single calls fail.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use kube::Client;
use parking_lot::Mutex;
use rmq_host::Tasks;
use tokio::net::TcpListener;

/// What is done to one call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server is not asked; the answer has this code.
    Refused(StatusCode),
    /// The server is not asked; the connection ends.
    Cut,
    /// The server does it, but the connection ends before the answer.
    Lost,
}

/// A call as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Method.
    pub method: Method,
    /// Path without query.
    pub path: String,
    /// Code of the answer; `None` if there was none.
    pub status: Option<StatusCode>,
}

impl Call {
    /// Whether it changes something.
    pub fn is_change(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }
}

#[derive(Debug, Default)]
struct Record {
    calls: Vec<Call>,
    changes: usize,
    /// Changes that are let through before everything is cut off.
    allowed: Option<usize>,
    /// What is done to the change of that number, counted from 0 at [`Proxy::plan`].
    planned: Vec<(usize, Fault)>,
}

#[derive(Clone)]
struct Shared {
    client: Client,
    person: Arc<str>,
    record: Arc<Mutex<Record>>,
}

/// A running proxy.
pub struct Proxy {
    addr: SocketAddr,
    record: Arc<Mutex<Record>>,
    tasks: Tasks,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts one. Whoever connects acts as the service account `account` of `namespace`; `client`
    /// must be allowed to impersonate it.
    ///
    /// # Errors
    /// When no port can be listened on.
    pub async fn start(client: &Client, namespace: &str, account: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let record: Arc<Mutex<Record>> = Arc::default();
        let person = format!("system:serviceaccount:{namespace}:{account}").into();
        let shared = Shared { client: client.clone(), person, record: Arc::clone(&record) };
        let app = axum::Router::new().fallback(pass).with_state(shared);
        let tasks = Tasks::new("proxy");
        tasks.spawn("serve", |stop| async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
            Ok(served.await?)
        });
        Ok(Self { addr, record, tasks })
    }

    /// Writes a kubeconfig that leads here.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig(&self, path: &Path) -> anyhow::Result<()> {
        use std::io::Write as _;
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", self.addr)}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        });
        let mut file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
        Ok(file.write_all(text.to_string().as_bytes())?)
    }

    /// What was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.record.lock().calls.clone()
    }

    /// How many changes were asked for since the last [`Proxy::plan`].
    pub fn changes(&self) -> usize {
        self.record.lock().changes
    }

    /// Counts changes from here; `faults` says what is done to which of them, and after `allowed`
    /// changes everything is cut off.
    pub fn plan(&self, faults: Vec<(usize, Fault)>, allowed: Option<usize>) {
        let mut record = self.record.lock();
        record.changes = 0;
        record.planned = faults;
        record.allowed = allowed;
    }

    /// Whether the allowed changes were made and more was asked for.
    pub fn is_used_up(&self) -> bool {
        let record = self.record.lock();
        record.allowed.is_some_and(|allowed| allowed < record.changes)
    }

    /// Stops it.
    pub fn stop(&self) {
        self.tasks.stop();
    }
}

/// A body that ends with an error takes its connection with it.
fn cut() -> Response {
    let broken = futures_util::stream::once(async {
        Err::<axum::body::Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    Body::from_stream(broken).into_response()
}

async fn pass(State(shared): State<Shared>, mut request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut call = Call { method, path, status: None };
    let change = call.is_change();
    let fault = {
        let mut record = shared.record.lock();
        let turn = record.changes;
        if change {
            record.changes += 1;
        }
        let used_up = record.allowed.is_some_and(|allowed| allowed < record.changes);
        let planned = record.planned.iter().find(|(at, _)| change && *at == turn);
        if used_up { Some(Fault::Cut) } else { planned.map(|(_, fault)| *fault) }
    };
    let refusal = match fault {
        Some(Fault::Refused(code)) => Some(refused(code)),
        Some(Fault::Cut) => Some(cut()),
        Some(Fault::Lost) | None => None,
    };
    let response = match refusal {
        Some(response) => response,
        None => {
            let headers = request.headers_mut();
            headers.remove("host");
            headers.remove("authorization");
            if let Ok(person) = HeaderValue::from_str(&shared.person) {
                headers.insert("impersonate-user", person);
            }
            forward(&shared.client, request).await
        }
    };
    let lost = fault == Some(Fault::Lost);
    if !lost && fault != Some(Fault::Cut) {
        call.status = Some(response.status());
    }
    shared.record.lock().calls.push(call);
    if lost { cut() } else { response }
}

/// Sends the request on; bodies of watches flow for as long as they last.
async fn forward(client: &Client, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let mut forwarded = axum::http::Request::new(kube::client::Body::from(bytes.to_vec()));
    *forwarded.method_mut() = parts.method;
    *forwarded.headers_mut() = parts.headers;
    let target = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = target.parse() else { return refused(StatusCode::BAD_REQUEST) };
    *forwarded.uri_mut() = uri;
    match client.send(forwarded).await {
        Ok(answer) => answer.map(Body::new),
        Err(_unreachable) => refused(StatusCode::BAD_GATEWAY),
    }
}

/// More than any object.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

fn refused(code: StatusCode) -> Response {
    let status = serde_json::json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(),
        "reason": reason(code), "message": "refused by the test",
    });
    (code, [("content-type", "application/json")], status.to_string()).into_response()
}

/// As the API server names it.
fn reason(code: StatusCode) -> &'static str {
    match code {
        StatusCode::CONFLICT => "Conflict",
        StatusCode::UNPROCESSABLE_ENTITY => "Invalid",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::FORBIDDEN => "Forbidden",
        _ => "InternalError",
    }
}
