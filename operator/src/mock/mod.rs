//! For tests: an API server that follows a script, request by request. [`store`] has one that
//! keeps objects.

pub(crate) mod store;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::time::Duration;
use tower_test::mock::{Handle, SendResponse};

/// Longest wait for a request that a script expects.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `work` on a runtime of its own.
pub(crate) fn on_runtime<F: Future>(work: F) -> F::Output {
    let config = rmq_host::runtime::RuntimeConfig {
        workers: 0,
        ..rmq_host::runtime::RuntimeConfig::default()
    };
    rmq_host::runtime::build(&config).expect("a runtime can be made").block_on(work)
}

/// Answers what the script says, and fails the test over anything else.
pub(crate) struct Server {
    handle: Handle<Request<Body>, Response<Body>>,
}

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

impl Server {
    /// A client and the server it talks to.
    pub(crate) fn new() -> (Client, Self) {
        let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        (Client::new(service, "default"), Self { handle })
    }

    /// The next request must be this one.
    pub(crate) fn expect<'a>(&'a mut self, method: &str, path: &str) -> Expected<'a> {
        let (method, path) = (method.to_owned(), path.to_owned());
        Expected { server: self, method, path, query: None, content_type: None }
    }

    /// The next request must be a forced server-side apply by this operator.
    pub(crate) fn expect_apply<'a>(&'a mut self, path: &str) -> Expected<'a> {
        self.expect("PATCH", path)
            .query("&force=true&fieldManager=rocketmq.rs-operator")
            .content_type("application/apply-patch+yaml")
    }

    /// No client is left and nothing more was asked.
    pub(crate) async fn nothing_more(mut self) {
        let next = tokio::time::timeout(PATIENCE, self.handle.next_request()).await;
        let next = next.expect("the client is still there");
        if let Some((request, _)) = next {
            panic!("not expected: {} {}", request.method(), request.uri());
        }
    }

    async fn next(&mut self) -> (Seen, SendResponse<Response<Body>>) {
        let next = tokio::time::timeout(PATIENCE, self.handle.next_request()).await;
        let (request, send) = next.expect("no request came").expect("the client has gone");
        (read(request).await, send)
    }
}

/// Takes a request apart.
pub(crate) async fn read(request: Request<Body>) -> Seen {
    let (head, body) = request.into_parts();
    let bytes = body.collect_bytes().await.expect("the body is in memory");
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).expect("requests carry JSON")
    };
    let content_type = head.headers.get(http::header::CONTENT_TYPE);
    Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        content_type: content_type.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
        body,
    }
}

/// A request that must come, and what is checked of it.
#[must_use]
pub(crate) struct Expected<'a> {
    server: &'a mut Server,
    method: String,
    path: String,
    query: Option<String>,
    content_type: Option<String>,
}

impl Expected<'_> {
    pub(crate) fn query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    pub(crate) fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(content_type.to_owned());
        self
    }

    async fn take(self) -> (Seen, SendResponse<Response<Body>>) {
        let (seen, send) = self.server.next().await;
        assert_eq!((seen.method.as_str(), seen.path.as_str()), (&*self.method, &*self.path));
        if let Some(query) = self.query {
            assert_eq!(seen.query, query, "query of {} {}", self.method, self.path);
        }
        if let Some(content_type) = self.content_type {
            assert_eq!(seen.content_type, content_type, "{} {}", self.method, self.path);
        }
        (seen, send)
    }

    /// Answers 200 with `object`; gives the request's body.
    pub(crate) async fn reply(self, object: Value) -> Value {
        let (seen, send) = self.take().await;
        send.send_response(answer(200, &object));
        seen.body
    }

    /// Answers 200 with what was sent; gives the same.
    pub(crate) async fn echo(self) -> Value {
        let (seen, send) = self.take().await;
        send.send_response(answer(200, &seen.body));
        seen.body
    }

    /// Answers with `response`; gives the request's body.
    pub(crate) async fn answer(self, response: Response<Body>) -> Value {
        let (seen, send) = self.take().await;
        send.send_response(response);
        seen.body
    }

    /// Never answers; the connection lasts as long as what this gives.
    pub(crate) async fn hold(self) -> SendResponse<Response<Body>> {
        self.take().await.1
    }

    /// Refuses.
    pub(crate) async fn status(self, code: u16, reason: &str, message: &str) -> Value {
        self.answer(refusal(code, reason, message)).await
    }

    /// There is no such object.
    pub(crate) async fn not_found(self) {
        self.status(404, "NotFound", "not found").await;
    }
}

/// A response with a JSON body.
pub(crate) fn answer(code: u16, body: &Value) -> Response<Body> {
    let bytes = body.to_string().into_bytes();
    Response::builder().status(code).body(Body::from(bytes)).expect("a plain response")
}

/// A `Status` of the API server.
pub(crate) fn refusal(code: u16, reason: &str, message: &str) -> Response<Body> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "metadata": {},
        "code": code, "reason": reason, "message": message,
    });
    answer(code, &status)
}

/// The object was changed or deleted meanwhile.
pub(crate) fn conflict() -> Response<Body> {
    refusal(409, "Conflict", "the object has been modified")
}
