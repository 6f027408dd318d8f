//! Servers that answer as the test says.

use parking_lot::Mutex;
use rmq_client::{Client, Config, NameServers};
use rmq_net::{Connection, Request, Server, ServerConfig, Service};
use rmq_remoting::Command;
use rmq_testkit::clock::FakeClock;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What a server does with a request; `None` leaves it without an answer.
pub(crate) type Script = Box<dyn Fn(&Command) -> Option<Command> + Send + Sync>;

/// A server with a script. Remembers what it was asked.
pub(crate) struct Fake {
    server: Server,
    inner: Arc<Inner>,
}

struct Inner {
    script: Script,
    seen: Mutex<Vec<Command>>,
    unanswered: Mutex<Vec<Request>>,
    connections: Mutex<Vec<Arc<Connection>>>,
}

impl Service for Inner {
    fn requests(&self, _conn: &Arc<Connection>, batch: &mut Vec<Request>) {
        for request in batch.drain(..) {
            self.seen.lock().push(request.command.clone());
            match (self.script)(&request.command) {
                Some(answer) => request.reply.send(answer),
                None => self.unanswered.lock().push(request),
            }
        }
    }

    fn connected(&self, conn: &Arc<Connection>) {
        self.connections.lock().push(conn.clone());
    }
}

impl Fake {
    pub(crate) fn new(
        script: impl Fn(&Command) -> Option<Command> + Send + Sync + 'static,
    ) -> Self {
        let inner = Arc::new(Inner {
            script: Box::new(script),
            seen: Mutex::default(),
            unanswered: Mutex::default(),
            connections: Mutex::default(),
        });
        let config = ServerConfig::new(vec![([127, 0, 0, 1], 0).into()]);
        let server = Server::bind(config, inner.clone()).unwrap();
        Self { server, inner }
    }

    pub(crate) fn addr(&self) -> String {
        self.server.local_addrs()[0].to_string()
    }

    /// Requests so far with this code.
    pub(crate) fn seen(&self, code: i32) -> Vec<Command> {
        self.inner.seen.lock().iter().filter(|c| c.code == code).cloned().collect()
    }

    /// Answers everything that waits.
    pub(crate) fn release(&self, answer: impl Fn(&Command) -> Command) {
        for request in self.inner.unanswered.lock().drain(..) {
            request.reply.send(answer(&request.command));
        }
    }

    /// The connection of the client.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        self.inner.connections.lock().last().cloned().unwrap()
    }
}

pub(crate) fn ok() -> Command {
    Command::response(0)
}

pub(crate) fn refusal(code: i32, remark: &str) -> Command {
    Command::response(code).with_remark(remark.to_owned())
}

pub(crate) fn with_json(value: &Value) -> Command {
    ok().with_body(value.to_string().into_bytes())
}

/// A route with `queues` queues on each of `brokers` (name and address).
pub(crate) fn route(brokers: &[(&str, String)], queues: i32) -> Value {
    let datas: Vec<_> = brokers
        .iter()
        .map(|(name, addr)| json!({"brokerName": name, "cluster": "C", "brokerAddrs": {"0": addr}}))
        .collect();
    let queues: Vec<_> = brokers
        .iter()
        .map(|(name, _)| {
            json!({"brokerName": name, "perm": 6, "readQueueNums": queues, "writeQueueNums": queues})
        })
        .collect();
    json!({"brokerDatas": datas, "queueDatas": queues})
}

/// A name server that knows one route for every topic but those of retries.
pub(crate) fn name_server(route: Value) -> Fake {
    Fake::new(move |command| {
        let topic = command.ext.get("topic").unwrap_or_default();
        Some(if topic.starts_with("%RETRY%") { refusal(17, "no route") } else { with_json(&route) })
    })
}

/// A client with a clock that stands still and a short timeout.
pub(crate) fn client(name_servers: &[String], timeout: Duration) -> (Client, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default());
    let servers: NameServers = name_servers.join(";").parse().unwrap();
    let config = Config { timeout, ..Config::new(servers, clock.clone()) };
    (Client::new(config), clock)
}

/// Waits until `done`, at most ten seconds.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
    assert!(waited.is_ok(), "waited in vain: {what}");
}
