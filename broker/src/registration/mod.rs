//! Being known to name servers: registered at each of them, again every period, with changes at
//! once, and unregistered at the end. Nothing waits for a name server.

mod body;
mod servers;

pub use body::{Announcement, Identity};
pub use servers::{Due, Resolved, Servers};

use parking_lot::Mutex;
use rmq_host::Tasks;
use rmq_model::{Clock, DataVersion};
use rmq_net::{ClientConfig, ConnectError, Connection, Connector, Request, RequestError, Service};
use rmq_remoting::body::{KvTable, TopicRouteData};
use rmq_remoting::code::{request, response};
use rmq_remoting::header::{
    GetRoute, HeaderError, QueryDataVersionResponse, RegisterBrokerResponse,
};
use rmq_remoting::{Command, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// First wait after a failure; doubles up to [`RETRY_MAX`]. Short: when all of a cluster starts at
/// once, a name server is often only milliseconds late.
const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a name to be resolved.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a name server while stopping.
const UNREGISTER_TIMEOUT: Duration = Duration::from_millis(200);
const ROUTE_TIMEOUT: Duration = Duration::from_secs(3);

/// What is registered, as it stands when it is asked for.
pub trait Tables: Send + Sync + 'static {
    /// The whole table, or only the topics in `only`.
    fn announcement(&self, only: Option<&BTreeSet<Arc<str>>>) -> Announcement;
    /// Name servers say that these topics are ordered.
    fn ordered(&self, topics: Vec<String>);
    /// Where the master of this broker name is, as a name server tells its replicas.
    fn master(&self, address: Option<&str>, ha_address: Option<&str>);
    /// Register every period even when nothing changed.
    fn force(&self) -> bool;
    /// Topics of one request; `None` for no bound.
    fn portion(&self) -> Option<usize>;
}

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two registrations.
    pub period: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// What name servers say about a topic.
#[derive(Clone, Debug)]
pub enum Route {
    /// The answer to 105.
    Known(TopicRouteData),
    /// They do not know the topic.
    None,
    /// None of them answered.
    Unknown,
}

/// Why a name server was not told.
#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("its answer is not understood")]
    Answer(#[from] HeaderError),
    #[error("refused with code {code}: {remark}")]
    Refused { code: i32, remark: String },
}

/// How it stands with one name server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Since the latest success; `None` before the first.
    pub since: Option<Duration>,
    /// Why the latest attempt failed; `None` when it did not.
    pub error: Option<String>,
}

/// Keeps the broker registered.
pub struct Registrar {
    clock: Arc<dyn Clock>,
    names: Mutex<Vec<String>>,
    /// Rung when the names are others.
    renamed: Notify,
    /// By name server, with the time of the latest success.
    told: Mutex<BTreeMap<SocketAddr, Told>>,
    /// Some name server has known the broker since its start.
    known: AtomicBool,
    servers: Mutex<Servers>,
    connector: Connector,
    links: Mutex<HashMap<SocketAddr, Arc<Connection>>>,
    /// Grows when a name server has to be told something or a connection was lost.
    turn: watch::Sender<u64>,
    /// The broker unregisters: nothing is told any more.
    stopped: CancellationToken,
    /// The tables belong to the broker, which owns this.
    who: OnceLock<(Identity, Weak<dyn Tables>)>,
}

impl std::fmt::Debug for Registrar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registrar").field("names", &self.names()).finish_non_exhaustive()
    }
}

/// The other direction of a connection to a name server.
struct FromNameServer {
    registrar: Arc<Registrar>,
}

impl Service for FromNameServer {
    fn requests(&self, _conn: &Arc<Connection>, batch: &mut Vec<Request>) {
        for Request { command, reply } in batch.drain(..) {
            let code = command.code;
            reply.send(if code == request::NOTIFY_MIN_BROKER_ID_CHANGE {
                Command::response(response::SUCCESS)
            } else {
                Command::not_supported(code)
            });
        }
    }

    fn closed(&self, _conn: &Arc<Connection>) {
        self.registrar.next_turn();
    }
}

impl Registrar {
    /// For the name servers `names`, each `host:port`.
    pub fn new(names: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            names: Mutex::new(names),
            renamed: Notify::new(),
            told: Mutex::default(),
            known: AtomicBool::new(false),
            servers: Mutex::default(),
            connector: Connector::new(ClientConfig::default()),
            links: Mutex::default(),
            turn: watch::Sender::new(0),
            stopped: CancellationToken::new(),
            who: OnceLock::new(),
        }
    }

    fn who(&self) -> Option<(&Identity, Arc<dyn Tables>)> {
        let (identity, tables) = self.who.get()?;
        Some((identity, tables.upgrade()?))
    }

    fn next_turn(&self) {
        self.turn.send_modify(|turn| *turn = turn.wrapping_add(1));
    }

    /// Topics were made or changed.
    pub fn changed(&self, topics: &[Arc<str>]) {
        if !topics.is_empty() {
            self.servers.lock().changed(topics);
            self.next_turn();
        }
    }

    /// All topics look different.
    pub fn all_changed(&self) {
        self.servers.lock().all_due();
        self.next_turn();
    }

    /// Name servers that the broker has a connection to.
    pub fn connected(&self) -> usize {
        self.links.lock().values().filter(|conn| !conn.is_closed()).count()
    }

    /// The name servers to be known to, `host:port`.
    pub fn names(&self) -> Vec<String> {
        self.names.lock().clone()
    }

    /// From now on these are the name servers: new ones are told at once, others are forgotten.
    pub fn set_names(&self, names: Vec<String>) {
        let mut known = self.names.lock();
        if *known != names {
            tracing::info!(?names, "name servers are others");
            *known = names;
            self.renamed.notify_one();
        }
    }

    /// Whether some name server has known the broker since its start. Always, if there is none to
    /// be known to.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed) || self.names.lock().is_empty()
    }

    /// How it stands with each name server.
    pub fn told(&self) -> Vec<(SocketAddr, Told)> {
        let now = self.clock.monotonic();
        let ago = |told: &Told| {
            let since = told.since.map(|at| now.saturating_sub(at));
            Told { since, error: told.error.clone() }
        };
        self.told.lock().iter().map(|(address, told)| (*address, ago(told))).collect()
    }

    fn note(&self, address: SocketAddr, result: Result<(), String>) {
        let mut all = self.told.lock();
        let told = all.entry(address).or_default();
        match result {
            Ok(()) => {
                *told = Told { since: Some(self.clock.monotonic()), error: None };
                self.known.store(true, Ordering::Relaxed);
            }
            Err(error) => told.error = Some(error),
        }
    }

    /// Begins to register.
    pub fn start(
        self: &Arc<Self>,
        tasks: &Tasks,
        identity: Identity,
        tables: Weak<dyn Tables>,
        timing: Timing,
    ) {
        // Set once by the start of the broker.
        self.who.set((identity, tables)).ok();
        if self.names.lock().is_empty() {
            tracing::warn!("no name servers are configured: clients cannot find this broker");
        }
        let registrar = Arc::clone(self);
        let links = tasks.clone();
        tasks.spawn("name servers", move |stop| async move {
            registrar.follow_names(&links, timing, stop).await;
            Ok(())
        });
    }

    /// Resolves the names again and again and keeps one task per address.
    async fn follow_names(self: Arc<Self>, tasks: &Tasks, timing: Timing, stop: CancellationToken) {
        let mut wait = RETRY_MIN;
        let mut complained = BTreeSet::new();
        loop {
            let mut addresses = BTreeSet::new();
            let mut unresolved = false;
            for name in &self.names() {
                match resolve(name).await {
                    Ok(found) => {
                        complained.remove(name);
                        addresses.extend(found);
                    }
                    Err(error) => {
                        unresolved = true;
                        if complained.insert(name.clone()) {
                            tracing::warn!(name, error, "cannot resolve a name server");
                        }
                    }
                }
            }
            let Resolved { fresh, gone } = self.servers.lock().resolved(&addresses);
            if gone {
                // Who tells a name server that is none any more finds out.
                self.next_turn();
            }
            for address in fresh {
                let registrar = Arc::clone(&self);
                tasks.spawn("name server", move |stop| async move {
                    registrar.keep_told(address, timing, stop).await;
                    Ok(())
                });
            }
            wait = if unresolved { (wait * 2).min(RETRY_MAX) } else { timing.period };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.stopped.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = self.renamed.notified() => {}
            }
            if !unresolved {
                wait = RETRY_MIN;
            }
        }
    }

    /// Tells one name server what is due to it, until it is none any more.
    async fn keep_told(
        self: Arc<Self>,
        address: SocketAddr,
        timing: Timing,
        stop: CancellationToken,
    ) {
        let mut turn = self.turn.subscribe();
        let mut retry = RETRY_MIN;
        let mut well = false;
        // Changes in between do not put this off.
        let mut renew_at = Duration::ZERO;
        loop {
            turn.mark_unchanged();
            if self.link(address).is_none() {
                self.servers.lock().lost(address);
            }
            let Some(due) = self.servers.lock().take(address) else { break };
            let told = tokio::select! {
                () = stop.cancelled() => return,
                () = self.stopped.cancelled() => return,
                told = self.tell(address, &due, timing.timeout) => told,
            };
            let wait = match told {
                Ok(()) => {
                    if due != Due::Nothing {
                        self.note(address, Ok(()));
                    }
                    if due == Due::All {
                        renew_at = self.clock.monotonic().saturating_add(timing.period);
                    }
                    if !well {
                        tracing::info!(%address, "registered at name server");
                    }
                    well = true;
                    retry = RETRY_MIN;
                    renew_at.saturating_sub(self.clock.monotonic())
                }
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    if well || retry == RETRY_MIN {
                        tracing::warn!(%address, error, "not registered");
                    }
                    self.note(address, Err(error));
                    well = false;
                    self.servers.lock().lost(address);
                    retry = (retry * 2).min(RETRY_MAX);
                    retry
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.stopped.cancelled() => return,
                () = tokio::time::sleep(wait) => {
                    self.period_over(address, timing).await;
                    renew_at = self.clock.monotonic().saturating_add(timing.period);
                }
                // Failures are retried in their own time, whatever changes meanwhile.
                _ = turn.changed(), if well => {}
            }
        }
        self.told.lock().remove(&address);
        if let Some(link) = self.links.lock().remove(&address) {
            link.close();
        }
    }

    fn link(&self, address: SocketAddr) -> Option<Arc<Connection>> {
        self.links.lock().get(&address).filter(|conn| !conn.is_closed()).cloned()
    }

    async fn linked(self: &Arc<Self>, address: SocketAddr) -> Result<Arc<Connection>, TellError> {
        if let Some(link) = self.link(address) {
            return Ok(link);
        }
        let service = Arc::new(FromNameServer { registrar: Arc::clone(self) });
        let conn = self.connector.connect(&address.to_string(), service).await?;
        self.links.lock().insert(address, Arc::clone(&conn));
        Ok(conn)
    }

    async fn tell(
        self: &Arc<Self>,
        address: SocketAddr,
        due: &Due,
        timeout: Duration,
    ) -> Result<(), TellError> {
        let Some((identity, tables)) = self.who() else { return Ok(()) };
        let announcement = match due {
            Due::Nothing => return Ok(()),
            Due::Topics(topics) => tables.announcement(Some(topics)),
            Due::All => tables.announcement(None),
        };
        let conn = self.linked(address).await?;
        for part in announcement.portions(tables.portion()) {
            let answer = conn.request(identity.register(&part), timeout).await?;
            if answer.code != response::SUCCESS {
                conn.close();
                let remark = answer.remark.map(|text| text.to_string()).unwrap_or_default();
                return Err(TellError::Refused { code: answer.code, remark });
            }
            let known: RegisterBrokerResponse = answer.decode()?;
            tables.master(known.master_addr.as_deref(), known.ha_server_addr.as_deref());
            let ordered = ordered_topics(&answer.body);
            if !ordered.is_empty() {
                tables.ordered(ordered);
            }
        }
        Ok(())
    }

    /// After a period everything is due again, unless the server is known to have it.
    async fn period_over(self: &Arc<Self>, address: SocketAddr, timing: Timing) {
        let Some((identity, tables)) = self.who() else { return };
        if !tables.force()
            && let Some(conn) = self.link(address)
        {
            let version: DataVersion = tables.announcement(Some(&BTreeSet::new())).version;
            let query = identity.query_version(version);
            let answer = conn.request(query, timing.timeout).await;
            let known = answer.ok().and_then(|answer| answer.decode().ok());
            if known.is_some_and(|known: QueryDataVersionResponse| !known.changed) {
                self.note(address, Ok(()));
                return;
            }
        }
        self.servers.lock().lost(address);
    }

    /// The route of a topic, from any name server that answers.
    pub async fn route(&self, topic: &str) -> Route {
        let links: Vec<_> = self.links.lock().values().cloned().collect();
        for conn in links.into_iter().filter(|conn| !conn.is_closed()) {
            let ask = Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_header(&GetRoute {
                topic: topic.to_owned().into(),
                accept_standard_json_only: true,
                zone_name: None,
                zone_mode: false,
            });
            let Ok(answer) = conn.request(ask, ROUTE_TIMEOUT).await else { continue };
            match answer.code {
                response::SUCCESS => {
                    if let Ok(route) = json::from_slice(&answer.body) {
                        return Route::Known(route);
                    }
                }
                response::TOPIC_NOT_EXIST => return Route::None,
                _ => {}
            }
        }
        Route::Unknown
    }

    /// Takes the broker out of all name servers; each has a moment to answer.
    pub async fn unregister(&self) {
        let Some((identity, _)) = self.who.get() else { return };
        // First: a lost connection would have the broker registered again.
        self.stopped.cancel();
        let links: Vec<_> = self.links.lock().drain().collect();
        let open = links.into_iter().filter(|(_, conn)| !conn.is_closed());
        let told = open.map(async |(address, conn)| {
            if let Err(error) = conn.request(identity.unregister(), UNREGISTER_TIMEOUT).await {
                tracing::warn!(%address, %error, "not unregistered");
            }
        });
        // At once: the time is theirs together, whoever of them does not answer.
        futures_util::future::join_all(told).await;
        self.connector.shutdown(UNREGISTER_TIMEOUT).await;
    }
}

async fn resolve(name: &str) -> Result<Vec<SocketAddr>, String> {
    match tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host(name)).await {
        Ok(Ok(found)) => {
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() { Err("the name has no address".into()) } else { Ok(found) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err("no answer in time".into()),
    }
}

/// Topics of the table ORDER_TOPIC_CONFIG that comes with an answer.
fn ordered_topics(body: &[u8]) -> Vec<String> {
    if body.is_empty() {
        return Vec::new();
    }
    let table = json::from_slice(body).unwrap_or_else(|_malformed| KvTable::default()).table;
    table.into_keys().map(|topic| topic.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_topics_come_with_the_answer() {
        assert_eq!(ordered_topics(br#"{"table":{"T":"b-a:8","U":"b-a:4"}}"#), ["T", "U"]);
        for body in [&b""[..], b"{}", b"nonsense", br#"{"table":[]}"#] {
            assert!(ordered_topics(body).is_empty());
        }
    }
}
