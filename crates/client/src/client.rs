//! Calls to name servers and brokers, and the route cache.

use crate::admin::Admin;
use crate::error::{CallError, request_name};
use crate::incoming::Incoming;
use crate::name_servers::NameServers;
use crate::pool::Pool;
use crate::route::Route;
use parking_lot::Mutex;
use rmq_model::Millis;
use rmq_model::clock::Clock;
use rmq_net::{ClientConfig, Connection};
use rmq_remoting::header::{GetRoute, Header};
use rmq_remoting::{ByteStr, Command, code, json};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A route older than this is fetched again before it is used.
const ROUTE_AGE_MAX: Millis = 30_000;
/// Most topics whose routes are kept.
const ROUTES_MAX: usize = 10_000;

/// What a client needs to know.
#[derive(Clone)]
pub struct Config {
    /// Name servers; calls move on to the next when one does not answer.
    pub name_servers: NameServers,
    /// How long a call waits for its answer.
    pub timeout: Duration,
    /// Tells this client apart from others on the same machine, such as `1234#1700000000000`.
    pub instance: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Of the connections.
    pub net: ClientConfig,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("name_servers", &self.name_servers)
            .field("timeout", &self.timeout)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// How long a call waits unless something else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(3);

    /// The usual settings. The process id and the time make the instance name.
    pub fn new(name_servers: NameServers, clock: Arc<dyn Clock>) -> Self {
        let instance = format!("{}#{}", std::process::id(), clock.now());
        Self { name_servers, timeout: Self::TIMEOUT, instance, clock, net: ClientConfig::default() }
    }
}

/// Connections and routes. Clones share them.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    pool: Pool,
    incoming: Arc<Incoming>,
    /// Index of the name server that answered last.
    name_server: AtomicUsize,
    routes: Mutex<HashMap<Arc<str>, Arc<Route>>>,
    client_id: Mutex<Option<Arc<str>>>,
}

impl Client {
    /// A client without connections yet.
    pub fn new(config: Config) -> Self {
        let incoming = Arc::new(Incoming::default());
        let pool = Pool::new(config.net.clone(), incoming.clone());
        Self {
            inner: Arc::new(Inner {
                config,
                pool,
                incoming,
                name_server: AtomicUsize::new(0),
                routes: Mutex::new(HashMap::new()),
                client_id: Mutex::new(None),
            }),
        }
    }

    /// The calls of administrators.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// Name servers in use.
    pub fn name_servers(&self) -> &NameServers {
        &self.inner.config.name_servers
    }

    /// How long a call waits for its answer.
    pub fn timeout(&self) -> Duration {
        self.inner.config.timeout
    }

    /// The client's clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.config.clock
    }

    pub(crate) fn incoming(&self) -> &Arc<Incoming> {
        &self.inner.incoming
    }

    /// Milliseconds that never go back.
    pub(crate) fn monotonic_ms(&self) -> Millis {
        Millis::try_from(self.clock().monotonic().as_millis()).unwrap_or(Millis::MAX)
    }

    /// `ip@instance`, with the address this machine shows to `connection`'s peer. Stays the same
    /// once it was asked for.
    pub(crate) fn client_id(&self, connection: &Connection) -> Arc<str> {
        let mut id = self.inner.client_id.lock();
        let made = || {
            let ip = connection.local().ip().to_canonical();
            format!("{ip}@{}", self.inner.config.instance).into()
        };
        id.get_or_insert_with(made).clone()
    }

    /// The connection to `addr`.
    ///
    /// # Errors
    /// [`CallError::Connect`].
    pub async fn connection(&self, addr: &str) -> Result<Arc<Connection>, CallError> {
        self.inner.pool.connection(addr).await
    }

    /// Asks `addr` and returns whatever it answers, refusals too.
    ///
    /// # Errors
    /// [`CallError::Connect`], [`CallError::NoAnswer`].
    pub async fn call(
        &self,
        addr: &str,
        command: Command,
        timeout: Duration,
    ) -> Result<Command, CallError> {
        let first = self.call_once(addr, command.clone(), timeout).await?;
        if first.code != code::response::GO_AWAY {
            return Ok(first);
        }
        // The peer is shutting down, or hands its connections over: one more try on a new one.
        self.inner.pool.close(addr).await;
        self.call_once(addr, command, timeout).await
    }

    async fn call_once(
        &self,
        addr: &str,
        command: Command,
        timeout: Duration,
    ) -> Result<Command, CallError> {
        let request = command.code;
        let connection = self.connection(addr).await?;
        connection.request(command, timeout).await.map_err(|source| CallError::NoAnswer {
            peer: addr.to_owned(),
            request: request_name(request),
            source,
        })
    }

    /// Asks `addr`; any code but 0 is an error.
    ///
    /// # Errors
    /// As [`Client::call`], and [`CallError::Refused`].
    pub async fn ask(&self, addr: &str, command: Command) -> Result<Command, CallError> {
        let request = command.code;
        let answer = self.call(addr, command, self.timeout()).await?;
        if answer.code == code::response::SUCCESS {
            return Ok(answer);
        }
        Err(refused(addr, request, &answer))
    }

    /// Like [`Client::ask`], and reads the answer's body.
    ///
    /// # Errors
    /// As [`Client::ask`], and [`CallError::Answer`].
    pub(crate) async fn ask_body<T: DeserializeOwned>(
        &self,
        addr: &str,
        command: Command,
    ) -> Result<T, CallError> {
        let request = command.code;
        let answer = self.ask(addr, command).await?;
        body_of(addr, request, &answer)
    }

    /// Asks a name server: the one that answered last, then the others. Returns its address too.
    ///
    /// # Errors
    /// [`CallError::NoNameServer`] if none answers, [`CallError::Refused`] if one says no.
    pub async fn ask_name_server(&self, command: Command) -> Result<(String, Command), CallError> {
        let servers = self.name_servers().addresses();
        let first = self.inner.name_server.load(Ordering::Relaxed);
        let mut tried = Vec::new();
        for n in 0..servers.len() {
            let index = (first + n) % servers.len();
            let Some(addr) = servers.get(index) else { continue };
            match self.ask(addr, command.clone()).await {
                Err(error) if error.is_unreachable() => tried.push(chain(&error)),
                result => {
                    self.inner.name_server.store(index, Ordering::Relaxed);
                    return result.map(|answer| (addr.clone(), answer));
                }
            }
        }
        Err(CallError::NoNameServer { tried: tried.join("; ") })
    }

    /// Like [`Client::ask_name_server`], and reads the answer's body.
    ///
    /// # Errors
    /// As there, and [`CallError::Answer`].
    pub(crate) async fn ask_name_server_body<T: DeserializeOwned>(
        &self,
        command: Command,
    ) -> Result<T, CallError> {
        let request = command.code;
        let (addr, answer) = self.ask_name_server(command).await?;
        body_of(&addr, request, &answer)
    }

    /// The route of `topic`, at most 30 s old. An older one is used if no name server answers.
    ///
    /// # Errors
    /// [`CallError::NoRoute`] if no broker has the topic, else as [`Client::ask_name_server`].
    pub async fn route(&self, topic: &str) -> Result<Arc<Route>, CallError> {
        let known = self.inner.routes.lock().get(topic).cloned();
        if let Some(fresh) = &known
            && self.monotonic_ms() - fresh.fetched_at < ROUTE_AGE_MAX
        {
            return Ok(fresh.clone());
        }
        match self.fetch_route(topic).await {
            Err(CallError::NoNameServer { tried }) => match known {
                Some(old) => {
                    tracing::warn!(topic, tried, "no name server answers, using the old route");
                    Ok(old)
                }
                None => Err(CallError::NoNameServer { tried }),
            },
            result => result,
        }
    }

    /// The route of `topic` as the name server has it now.
    ///
    /// # Errors
    /// As [`Client::route`].
    pub async fn fetch_route(&self, topic: &str) -> Result<Arc<Route>, CallError> {
        let command =
            Command::request(code::request::GET_ROUTEINFO_BY_TOPIC).with_header(&GetRoute {
                topic: ByteStr::copy(topic),
                accept_standard_json_only: true,
                zone_name: None,
                zone_mode: false,
            });
        let data = match self.ask_name_server_body(command).await {
            Err(error) if error.code() == Some(code::response::TOPIC_NOT_EXIST) => {
                self.forget_route(topic);
                return Err(CallError::NoRoute { topic: topic.to_owned() });
            }
            result => result?,
        };
        let route = Arc::new(Route::new(topic, data, self.monotonic_ms()));
        let mut routes = self.inner.routes.lock();
        if ROUTES_MAX <= routes.len() {
            routes.clear();
        }
        routes.insert(route.topic.clone(), route.clone());
        Ok(route)
    }

    /// The next use of `topic` asks the name server again: what the route said turned out wrong.
    pub fn forget_route(&self, topic: &str) {
        self.inner.routes.lock().remove(topic);
    }
}

/// A refusal as an error.
pub(crate) fn refused(addr: &str, request: i32, answer: &Command) -> CallError {
    CallError::Refused {
        peer: addr.to_owned(),
        request: request_name(request),
        code: answer.code,
        remark: answer.remark.as_ref().map(|r| r.trim().to_owned()).unwrap_or_default(),
    }
}

pub(crate) fn not_understood(addr: &str, request: i32, reason: impl Into<String>) -> CallError {
    CallError::Answer {
        peer: addr.to_owned(),
        request: request_name(request),
        reason: reason.into(),
    }
}

fn body_of<T: DeserializeOwned>(
    addr: &str,
    request: i32,
    answer: &Command,
) -> Result<T, CallError> {
    json::from_slice(&answer.body).map_err(|error| not_understood(addr, request, error.to_string()))
}

/// Header fields of an answer.
pub(crate) fn answer_header<H: Header>(
    addr: &str,
    request: i32,
    answer: &Command,
) -> Result<H, CallError> {
    answer.decode().map_err(|error| not_understood(addr, request, error.to_string()))
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
