//! From request to answer: decodes, asks the tables, encodes.

mod admin;
mod broker;
mod client;
#[cfg(test)]
mod tests;

use crate::cache::RouteCache;
use crate::config::{Config, Switches};
use crate::kv::KvTable;
use crate::metrics::Metrics;
use crate::routes::{ConnId, Effects, Limits, MinIdNotice, Routes, Sizes};
use crate::work::Work;
use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use rmq_host::http::{Health, Readiness};
use rmq_model::Clock;
use rmq_net::{Connection, Reply, Request, Service};
use rmq_remoting::code::{request, response};
use rmq_remoting::{Command, HeaderError};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

/// Everything the requests share.
pub(crate) struct NameServer {
    tables: RwLock<Routes>,
    cache: RouteCache,
    switches: ArcSwap<Switches>,
    in_use: ArcSwap<BTreeMap<String, String>>,
    kv: ArcSwap<KvTable>,
    clock: Arc<dyn Clock>,
    started: Duration,
    metrics: Metrics,
    /// Connections that registered something: they are closed when it expires.
    registered: Mutex<HashMap<ConnId, Weak<Connection>>>,
    work: mpsc::Sender<Work>,
    notices: mpsc::Sender<MinIdNotice>,
    /// What has to come about before clients should ask here.
    readiness: Readiness,
}

impl std::fmt::Debug for NameServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NameServer").field("sizes", &self.sizes()).finish_non_exhaustive()
    }
}

/// An address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Known {
    pub(crate) cluster: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) id: i64,
    pub(crate) addr: Arc<str>,
}

/// What becomes of a request.
pub(crate) enum Outcome {
    /// Answered at once.
    Answer(Command),
    /// Needs a file to be written first.
    Later(Change),
}

/// A change that is written to a file before it counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A value of the KV table; `None` deletes it.
    Kv { namespace: String, key: String, value: Option<String> },
    /// Properties text with settings.
    Settings(bytes::Bytes),
}

/// Why a request is refused: response code and remark.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: i32,
    pub(crate) remark: String,
}

impl Refusal {
    pub(crate) fn new(code: i32, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }

    /// Code 1, with all of an error's chain.
    pub(crate) fn error(error: impl Into<anyhow::Error>) -> Self {
        Self::new(response::SYSTEM_ERROR, format!("{:#}", error.into()))
    }

    pub(crate) fn command(self) -> Command {
        Command::response(self.code).with_remark(self.remark)
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::error(error)
    }
}

/// An answer or why there is none.
pub(crate) type Answer = Result<Command, Refusal>;

/// Code 0 with nothing else.
pub(crate) fn success() -> Command {
    Command::response(response::SUCCESS)
}

impl NameServer {
    /// With empty tables.
    pub(crate) fn new(
        config: &Config,
        kv: KvTable,
        clock: Arc<dyn Clock>,
        work: mpsc::Sender<Work>,
        notices: mpsc::Sender<MinIdNotice>,
    ) -> Self {
        Self {
            tables: RwLock::new(Routes::new(config.switches.rules, Limits::default())),
            cache: RouteCache::default(),
            switches: ArcSwap::from_pointee(config.switches),
            in_use: ArcSwap::from_pointee(config.in_use.clone()),
            kv: ArcSwap::from_pointee(kv),
            started: clock.monotonic(),
            clock,
            metrics: Metrics::default(),
            registered: Mutex::default(),
            work,
            notices,
            readiness: Readiness::default(),
        }
    }

    /// Metrics of the requests.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Encoded routes.
    pub(crate) fn cache(&self) -> &RouteCache {
        &self.cache
    }

    /// What has to come about before clients should ask here.
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Since the start.
    pub(crate) fn uptime(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.started)
    }

    /// Cluster, name, id and address of every broker, in this order.
    pub(crate) fn known_brokers(&self) -> Vec<Known> {
        let brokers = self.tables.read().brokers();
        let mut all = Vec::new();
        for (name, view) in brokers {
            for (id, addr) in view.addrs {
                let (cluster, name) = (Arc::clone(&view.cluster), Arc::clone(&name));
                all.push(Known { cluster, name, id, addr });
            }
        }
        all.sort();
        all
    }

    /// Sizes of the tables.
    pub(crate) fn sizes(&self) -> Sizes {
        self.tables.read().sizes()
    }

    /// What is switched at present.
    pub(crate) fn switches(&self) -> Switches {
        **self.switches.load()
    }

    /// Answers one request of connection `conn`.
    pub(crate) fn handle(&self, conn: ConnId, command: &Command) -> Outcome {
        let answer = match command.code {
            request::GET_ROUTEINFO_BY_TOPIC => self.route(command),
            request::REGISTER_BROKER => self.register_broker(conn, command),
            request::UNREGISTER_BROKER => self.unregister_broker(command),
            request::QUERY_DATA_VERSION => self.query_data_version(command),
            request::BROKER_HEARTBEAT => self.broker_heartbeat(command),
            request::REGISTER_TOPIC_IN_NAMESRV => self.register_topic(command),
            request::GET_BROKER_MEMBER_GROUP => self.member_group(command),
            request::GET_BROKER_CLUSTER_INFO => self.cluster_info(),
            request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => self.all_topics(),
            request::GET_TOPICS_BY_CLUSTER => self.topics_by_cluster(command),
            request::GET_SYSTEM_TOPIC_LIST_FROM_NS => self.system_topics(),
            request::GET_UNIT_TOPIC_LIST
            | request::GET_HAS_UNIT_SUB_TOPIC_LIST
            | request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => self.unit_topics(command.code),
            request::WIPE_WRITE_PERM_OF_BROKER => self.wipe_write_perm(command),
            request::ADD_WRITE_PERM_OF_BROKER => self.add_write_perm(command),
            request::DELETE_TOPIC_IN_NAMESRV => self.delete_topic(command),
            request::GET_KV_CONFIG => self.get_kv(command),
            request::GET_KVLIST_BY_NAMESPACE => self.list_kv(command),
            request::GET_NAMESRV_CONFIG => self.get_config(),
            request::PUT_KV_CONFIG | request::DELETE_KV_CONFIG | request::UPDATE_NAMESRV_CONFIG => {
                match self.change(command) {
                    Ok(Some(change)) => return Outcome::Later(change),
                    Ok(None) => Ok(success()),
                    Err(refusal) => Err(refusal),
                }
            }
            other => Ok(Command::not_supported(other)),
        };
        Outcome::Answer(answer.unwrap_or_else(|refusal| {
            debug!(code = command.code, refused = refusal.code, "{}", refusal.remark);
            refusal.command()
        }))
    }

    /// Changes the tables and lets the encoded routes follow before anybody can read them.
    fn change_tables<T>(&self, change: impl FnOnce(&mut Routes, &mut Effects) -> T) -> T {
        let mut out = Effects::default();
        let result = {
            let mut tables = self.tables.write();
            let result = change(&mut tables, &mut out);
            self.cache.forget(&out);
            result
        };
        for notice in out.notices {
            if self.notices.try_send(notice).is_err() {
                warn!("too many changes of smallest broker ids, one is not told");
            }
        }
        for conn in out.close {
            let open = self.registered.lock().remove(&conn);
            if let Some(open) = open.and_then(|open| open.upgrade()) {
                open.close();
            }
        }
        result
    }

    /// Looks for silent brokers.
    pub(crate) fn scan(&self) {
        let now = self.clock.monotonic();
        for gone in self.change_tables(|tables, out| tables.expire(now, out)) {
            self.metrics.expired.increment();
            warn!(broker = &*gone.broker, address = &*gone.addr, "broker was silent, removed");
        }
    }

    /// A connection is gone, and with it what was registered on it.
    fn connection_closed(&self, conn: ConnId) {
        if self.registered.lock().remove(&conn).is_none() {
            return;
        }
        for gone in self.change_tables(|tables, out| tables.closed(conn, out)) {
            info!(broker = &*gone.broker, address = &*gone.addr, "broker's connection closed");
        }
    }

    /// Puts another KV table in place.
    pub(crate) fn set_kv(&self, table: KvTable) {
        let _no_reader_builds_a_route = self.tables.write();
        self.kv.store(Arc::new(table));
        self.cache.forget_all();
    }

    /// The KV table.
    pub(crate) fn kv(&self) -> Arc<KvTable> {
        self.kv.load_full()
    }

    /// Puts other settings in place.
    pub(crate) fn set_config(&self, config: &Config) {
        self.change_tables(|tables, out| {
            tables.set_rules(config.switches.rules, out);
            self.switches.store(Arc::new(config.switches));
            self.in_use.store(Arc::new(config.in_use.clone()));
            out.all_routes = true;
        });
        if let Err(error) = rmq_host::telemetry::set_filter(&config.log_filter) {
            warn!(%error, "what is logged stays as it was");
        }
    }

    /// Routes are still refused: how long it goes on.
    fn waits(&self) -> Option<Duration> {
        let wait = self.switches().wait_for_service?;
        let over = self.clock.monotonic().saturating_sub(self.started);
        wait.checked_sub(over).filter(|left| !left.is_zero())
    }

    fn answer_later(&self, change: Change, reply: Reply) {
        let Err(error) = self.work.try_send(Work { change, reply }) else { return };
        let work = match error {
            mpsc::error::TrySendError::Full(work) | mpsc::error::TrySendError::Closed(work) => work,
        };
        let busy = "[OVERLOAD]system busy, start flow control for a while";
        work.reply.send(Refusal::new(response::SYSTEM_BUSY, busy).command());
    }
}

impl Service for NameServer {
    fn requests(&self, conn: &Arc<Connection>, batch: &mut Vec<Request>) {
        for Request { command, reply } in batch.drain(..) {
            if command.code == request::REGISTER_BROKER {
                self.registered.lock().insert(conn.id().0, Arc::downgrade(conn));
            }
            match self.handle(conn.id().0, &command) {
                Outcome::Answer(answer) => {
                    self.metrics.count(command.code, answer.code);
                    reply.send(answer);
                }
                Outcome::Later(change) => self.answer_later(change, reply),
            }
        }
    }

    fn closed(&self, conn: &Arc<Connection>) {
        self.connection_closed(conn.id().0);
    }
}

impl Health for NameServer {
    fn conditions(&self) -> Vec<(&'static str, Option<String>)> {
        let left = self.waits().map(|left| format!("waits {left:?} before it gives out routes"));
        let mut all = self.readiness.conditions();
        all.push(("routes", left));
        all
    }
}
