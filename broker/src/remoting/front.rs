//! Where requests come in.

use super::peers::{Peers, id_of};
use super::refusal::Refusal;
use super::table::{self, Handler};
use super::{Jobs, pull, send};
use crate::registration::Registrar;
use crate::service::{Broker, Job, Outside, Peer};
use rmq_delivery::ConnId;
use rmq_delivery::clients::Notice;
use rmq_host::Tasks;
use rmq_net::{Connection, Reply, Request, Service};
use rmq_remoting::Command;
use rmq_remoting::code::{request, response};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What every handler may use.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) broker: Arc<Broker>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) tasks: Tasks,
    pub(crate) jobs: Jobs,
    pub(crate) registrar: Arc<Registrar>,
    /// The port that refuses pulls, once it is known.
    fast_port: OnceLock<u16>,
}

/// The service behind the broker's ports.
#[derive(Clone, Debug)]
pub(crate) struct Front(Arc<Inner>);

/// The answer of a handler; refusals are answers too.
pub(crate) type Answer = Result<Command, Refusal>;

/// One request and who sent it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) peer: Peer,
    pub(crate) command: &'a Command,
}

impl Call<'_> {
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.inner.broker
    }
}

/// A request that its handler answers by itself.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) inner: Arc<Inner>,
    pub(crate) peer: Peer,
    pub(crate) command: Command,
    pub(crate) back: Back,
}

/// The way back, with what the answer is measured by.
#[derive(Debug)]
pub(crate) struct Back {
    inner: Arc<Inner>,
    reply: Reply,
    code: i32,
    began: Duration,
}

impl Back {
    pub(crate) fn answer(self, answer: Answer) {
        let command = answer.unwrap_or_else(Refusal::into_command);
        self.inner.measure(self.code, command.code, false, self.began);
        self.reply.send(command);
    }
}

pub(crate) fn peer_of(conn: &Connection, command: &Command) -> Peer {
    Peer {
        conn: id_of(conn),
        addr: conn.peer(),
        language: command.language,
        version: command.version,
    }
}

impl Inner {
    pub(crate) fn measure(&self, request: i32, response: i32, waited: bool, began: Duration) {
        self.measure_many(request, response, waited, began, 1);
    }

    pub(crate) fn measure_many(
        &self,
        request: i32,
        response: i32,
        waited: bool,
        began: Duration,
        times: u32,
    ) {
        let elapsed = self.broker.clock.monotonic().saturating_sub(began);
        self.broker.traffic.answered(request, response, waited, elapsed, times);
    }
}

impl Front {
    pub(crate) fn new(
        broker: Arc<Broker>,
        peers: Arc<Peers>,
        tasks: Tasks,
        jobs: Jobs,
        registrar: Arc<Registrar>,
    ) -> Self {
        let fast_port = OnceLock::new();
        Self(Arc::new(Inner { broker, peers, tasks, jobs, registrar, fast_port }))
    }

    /// Requests for pulls are refused on this port.
    pub(crate) fn set_fast_port(&self, port: u16) {
        // Set once by the start.
        self.0.fast_port.set(port).ok();
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    fn one(&self, conn: &Arc<Connection>, request: Request, began: Duration, fast: bool) {
        let inner = &self.0;
        let Request { command, reply } = request;
        let code = command.code;
        let peer = peer_of(conn, &command);
        let handler = table::handler(code).filter(|_| !fast || table::is_on_fast_port(code));
        let back = |reply| Back { inner: Arc::clone(inner), reply, code, began };
        match handler {
            None => back(reply).answer(Ok(Command::not_supported(code))),
            Some(Handler::Pull) => pull::pull(inner, &peer, &command, reply, began),
            Some(Handler::Inline(handle)) => {
                let answer = handle(&Call { inner, peer, command: &command });
                back(reply).answer(answer);
            }
            Some(Handler::Blocking(handle)) => {
                let job_inner = Arc::clone(inner);
                let back = back(reply);
                inner.jobs.run(Box::new(move |admitted| {
                    let answer = if admitted {
                        handle(&Call { inner: &job_inner, peer, command: &command })
                    } else {
                        Err(busy())
                    };
                    back.answer(answer);
                }));
            }
            Some(Handler::Own(handle)) => {
                handle(Own { inner: Arc::clone(inner), peer, command, back: back(reply) });
            }
            // Sends are collected by the caller.
            Some(Handler::Send) => back(reply).answer(Ok(Command::not_supported(code))),
        }
    }
}

/// Too much waits.
pub(crate) fn busy() -> Refusal {
    Refusal::new(response::SYSTEM_BUSY, "[OVERLOAD]system busy, start flow control for a while")
}

impl Service for Front {
    fn requests(&self, conn: &Arc<Connection>, batch: &mut Vec<Request>) {
        let began = self.0.broker.clock.monotonic();
        let fast = self.0.fast_port.get().is_some_and(|port| *port == conn.local().port());
        let mut sends = send::Collected::new(&self.0, began, batch.len());
        for request in batch.drain(..) {
            match request.command.code {
                request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
                    sends.add(conn, request);
                }
                _ => self.one(conn, request, began, fast),
            }
        }
        sends.put(conn);
    }

    fn connected(&self, conn: &Arc<Connection>) {
        self.0.peers.add(conn);
    }

    fn poked(&self, conn: &Arc<Connection>) {
        let Some(peer) = self.0.peers.peer(id_of(conn)) else { return };
        for completed in peer.take_completed() {
            completed.answer();
        }
    }

    fn closed(&self, conn: &Arc<Connection>) {
        self.0.peers.remove(conn);
        self.0.broker.disconnected(id_of(conn));
    }
}

/// What the service asks of the world: clients, name servers, threads.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) peers: Arc<Peers>,
    pub(crate) registrar: Arc<Registrar>,
    pub(crate) jobs: Jobs,
    pub(crate) saver: Arc<tokio::sync::Notify>,
}

impl Outside for World {
    fn topics_changed(&self, topics: &[Arc<str>]) {
        self.saver.notify_one();
        self.registrar.changed(topics);
    }

    fn all_topics_changed(&self) {
        self.registrar.all_changed();
    }

    fn group_changed(&self, notice: &Notice) {
        for conn in &notice.conns {
            if let Some(conn) = self.peers.get(*conn) {
                let notify = Command::oneway(request::NOTIFY_CONSUMER_IDS_CHANGED)
                    .with_ext("consumerGroup", &notice.group);
                conn.oneway(notify);
            }
        }
    }

    fn close(&self, conn: ConnId) {
        if let Some(conn) = self.peers.get(conn) {
            conn.close();
        }
    }

    fn run_blocking(&self, job: Job) {
        self.jobs.run(job);
    }
}
