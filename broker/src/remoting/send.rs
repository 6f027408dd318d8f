//! Sending: 10, 310, 320 and 36.

use super::codes;
use super::front::{Inner, Own, busy, peer_of};
use super::peers::{PeerConn, id_of};
use super::refusal::Refusal;
use crate::replication::{self, Side};
use crate::service::send::{Send, SendError};
use crate::service::send_back::{Back, BackError};
use crate::service::traffic::Arrived;
use bytes::Bytes;
use parking_lot::Mutex;
use rmq_delivery::retry::SendBack;
use rmq_model::name::is_retry_topic;
use rmq_net::{Connection, Reply, Request};
use rmq_record::OffsetId;
use rmq_remoting::code::{request, response};
use rmq_remoting::header::{ConsumerSendMsgBack, HeaderError, SendMessage};
use rmq_remoting::{Command, ExtFields};
use rmq_store::{OneOrMany, Put, PutDone, PutError, PutGroup, PutOk, PutResult, PutStatus};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// A send that waits for the log.
#[derive(Debug)]
struct Pending {
    reply: Reply,
    code: i32,
    queue: u32,
    uniq_key: Bytes,
    arrived: Arrived,
}

/// All sends that arrived together on one connection: they go to the log as one group.
pub(super) struct Collected<'a> {
    inner: &'a Arc<Inner>,
    began: Duration,
    expected: usize,
    puts: Vec<Put>,
    pending: Vec<Option<Pending>>,
}

impl<'a> Collected<'a> {
    pub(super) fn new(inner: &'a Arc<Inner>, began: Duration, expected: usize) -> Self {
        Self { inner, began, expected, puts: Vec::new(), pending: Vec::new() }
    }

    /// Takes a send. One that may make a topic goes another way: the topic must be on disk before
    /// a message in it is acknowledged.
    pub(super) fn add(&mut self, conn: &Arc<Connection>, request: Request) {
        let Request { command, reply } = request;
        match SendMessage::from_code(command.code, &command.ext) {
            Ok(header) if makes_topic(self.inner, &header.topic) => {
                let (inner, conn, began) = (Arc::clone(self.inner), Arc::clone(conn), self.began);
                self.inner.jobs.run(Box::new(move |admitted| {
                    if !admitted {
                        return refuse(&inner, reply, command.code, busy(), began);
                    }
                    let mut alone = Collected::new(&inner, began, 1);
                    alone.accept(&conn, &command, Ok(header), reply);
                    if let Err(error) = inner.broker.topics.save() {
                        tracing::error!(%error, "the topic table cannot be written");
                    }
                    alone.put(&conn);
                }));
            }
            header => self.accept(conn, &command, header, reply),
        }
    }

    /// Checks a send. What is refused is answered at once.
    fn accept(
        &mut self,
        conn: &Connection,
        command: &Command,
        header: Result<SendMessage, HeaderError>,
        reply: Reply,
    ) {
        let code = command.code;
        let now = self.inner.broker.now();
        let accepted = header.map_err(Refusal::from).and_then(|header| {
            let send = send_of(&header, code, &command.body);
            let peer = peer_of(conn, command);
            let accepted = self.inner.broker.accept(now, &peer, &send);
            accepted.map_err(|error| refusal_of(error, send.batch))
        });
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) => {
                self.inner.broker.traffic.put_failed();
                refuse(self.inner, reply, code, refusal, self.began);
                return;
            }
        };
        if self.puts.is_empty() {
            self.puts.reserve(self.expected);
            self.pending.reserve(self.expected);
        }
        if accepted.wait
            && let Some(Side::Master(side)) = self.inner.broker.side()
            && let Err(error) = side.admit()
        {
            self.inner.broker.traffic.put_failed();
            let refusal = Refusal::internal(error.to_string());
            refuse(self.inner, reply, code, refusal, self.began);
            return;
        }
        let token = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        self.puts.push(Put { token, messages: accepted.messages, wait: accepted.wait });
        self.pending.push(Some(Pending {
            reply,
            code,
            queue: accepted.queue,
            uniq_key: accepted.uniq_key,
            arrived: accepted.arrived,
        }));
    }

    /// Hands all of them to the log.
    pub(super) fn put(self, conn: &Connection) {
        if self.puts.is_empty() {
            return;
        }
        // A connection that has requests is open until its task says otherwise.
        let Some(peer) = self.inner.peers.peer(id_of(conn)) else { return };
        let inner = Arc::clone(self.inner);
        let sent = Arc::new(Sent { inner, began: self.began, pending: Mutex::new(self.pending) });
        let mut done: Arc<dyn PutDone> = Arc::new(Handover { sent: Arc::clone(&sent), peer });
        if let Some(Side::Master(side)) = self.inner.broker.side() {
            done = replication::hold(side, &self.puts, done);
        }
        if let Err(refused) = self.inner.broker.store.put(PutGroup { puts: self.puts, done }) {
            sent.refuse(&refused, &busy());
        }
    }
}

/// Whether a send may make a topic: its own, or the dead letters of a consumer that resends.
fn makes_topic(inner: &Inner, topic: &str) -> bool {
    inner.broker.topics.get(topic).is_none() || is_retry_topic(topic)
}

fn send_of<'a>(header: &'a SendMessage, code: i32, body: &Bytes) -> Send<'a> {
    Send {
        topic: &header.topic,
        default_topic: &header.default_topic,
        default_topic_queues: header.default_topic_queue_nums,
        queue: header.queue_id,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        flag: header.flag,
        properties: header.properties.as_ref().map_or(&[], |text| text.as_bytes()),
        reconsume_times: header.reconsume_times.unwrap_or(0),
        max_reconsume_times: header.max_reconsume_times,
        unit_mode: header.unit_mode,
        batch: header.batch || code == request::SEND_BATCH_MESSAGE,
        body: body.clone(),
    }
}

/// Code 1 for a batch that is too large, as the reference has it; the error's own code else.
fn refusal_of(error: SendError, batch: bool) -> Refusal {
    use rmq_delivery::send::SendRefusal;
    let too_large = matches!(error, SendError::Refused(SendRefusal::BodyTooLarge { .. }));
    let mut refusal = Refusal::from(error);
    if too_large && batch {
        refusal.code = response::SYSTEM_ERROR;
    }
    refusal
}

fn region(inner: &Inner, ext: &mut ExtFields) {
    let settings = inner.broker.settings();
    ext.push_str("MSG_REGION", &settings.region_id);
    ext.push_static("TRACE_ON", if settings.trace_on { "true" } else { "false" });
}

fn refuse(inner: &Inner, reply: Reply, code: i32, mut refusal: Refusal, began: Duration) {
    region(inner, &mut refusal.ext);
    inner.measure(code, refusal.code, false, began);
    reply.send(refusal.into_command());
}

/// A group of sends that waits for the log.
#[derive(Debug)]
struct Sent {
    inner: Arc<Inner>,
    began: Duration,
    pending: Mutex<Vec<Option<Pending>>>,
}

impl Sent {
    fn take(&self, token: u64) -> Option<Pending> {
        let at = usize::try_from(token).ok()?;
        self.pending.lock().get_mut(at)?.take()
    }

    fn refuse(&self, refused: &PutGroup, refusal: &Refusal) {
        for put in &refused.puts {
            self.inner.broker.traffic.put_failed();
            if let Some(pending) = self.take(put.token) {
                let Pending { reply, code, .. } = pending;
                refuse(&self.inner, reply, code, refusal.clone(), self.began);
            }
        }
    }
}

/// Hands results to the connection's task, which has the answers to write anyway: whoever holds the
/// log encodes nothing.
struct Handover {
    sent: Arc<Sent>,
    peer: Arc<PeerConn>,
}

impl PutDone for Handover {
    fn done(&self, results: &mut Vec<PutResult>) {
        let results = std::mem::take(results);
        self.peer.complete(Completed { sent: Arc::clone(&self.sent), results });
    }
}

/// Sends that the log is done with.
#[derive(Debug)]
pub(super) struct Completed {
    sent: Arc<Sent>,
    results: Vec<PutResult>,
}

impl Completed {
    /// Answers all of them.
    pub(super) fn answer(self) {
        self.sent.answer(self.results);
    }
}

impl Sent {
    fn answer(&self, results: Vec<PutResult>) {
        let mut stored: Vec<Arrived> = Vec::new();
        let mut answered: Vec<(i32, i32, u32)> = Vec::new();
        let mut text = String::with_capacity(64);
        for (token, result) in results {
            let Some(pending) = self.take(token) else { continue };
            let Pending { reply, code, queue, uniq_key, arrived } = pending;
            let answer = match result {
                Ok(ok) => {
                    count(&mut stored, arrived);
                    success(&self.inner, &ok, queue, &uniq_key, &mut text)
                }
                Err(error) => {
                    self.inner.broker.traffic.put_failed();
                    failure(&self.inner, &error)
                }
            };
            match answered.iter_mut().find(|(c, r, _)| (*c, *r) == (code, answer.code)) {
                Some((_, _, times)) => *times = times.saturating_add(1),
                None => answered.push((code, answer.code, 1)),
            }
            reply.send(answer);
        }
        if !stored.is_empty() {
            self.inner.broker.traffic.arrived(self.inner.broker.now(), &stored);
        }
        for (request, response, times) in answered {
            self.inner.measure_many(request, response, false, self.began, times);
        }
    }
}

/// Sends of a batch mostly go to few queues: one entry each.
fn count(stored: &mut Vec<Arrived>, arrived: Arrived) {
    let same = |known: &&mut Arrived| {
        known.queue == arrived.queue
            && known.kind == arrived.kind
            && (Arc::ptr_eq(&known.topic, &arrived.topic) || known.topic == arrived.topic)
    };
    match stored.iter_mut().rev().take(16).find(same) {
        Some(known) => {
            known.messages = known.messages.saturating_add(arrived.messages);
            known.bytes = known.bytes.saturating_add(arrived.bytes);
        }
        None => stored.push(arrived),
    }
}

fn success(inner: &Inner, ok: &PutOk, queue: u32, uniq_key: &[u8], text: &mut String) -> Command {
    let code = match ok.status {
        PutStatus::Stored => response::SUCCESS,
        PutStatus::FlushDiskTimeout => response::FLUSH_DISK_TIMEOUT,
        PutStatus::ReplicaTimeout => response::FLUSH_SLAVE_TIMEOUT,
        PutStatus::NoReplica => response::SLAVE_NOT_AVAILABLE,
    };
    let mut answer = Command::response(code);
    let ext = &mut answer.ext;
    let host = inner.broker.store_host();
    text.clear();
    let one = std::slice::from_ref(&ok.log_offset);
    for offset in if ok.log_offsets.is_empty() { one } else { &ok.log_offsets } {
        if !text.is_empty() {
            text.push(',');
        }
        // A String takes everything.
        write!(text, "{}", OffsetId { host, offset: *offset }).ok();
    }
    ext.push_str("msgId", text);
    ext.push_number("queueId", i64::from(queue));
    ext.push_number("queueOffset", i64::try_from(ok.queue_offset).unwrap_or(i64::MAX));
    if let Some(key) = std::str::from_utf8(uniq_key).ok().filter(|key| !key.is_empty()) {
        ext.push_str("transactionId", key);
    }
    region(inner, ext);
    answer
}

fn failure(inner: &Inner, error: &PutError) -> Command {
    let mut refusal = Refusal::new(codes::put(error), error.to_string());
    region(inner, &mut refusal.ext);
    refusal.into_command()
}

/// Takes a message back (36): the original is read, so it goes through a thread that may block.
pub(super) fn send_back(own: Own) {
    let Own { inner, peer, command, back } = own;
    let jobs = inner.jobs.clone();
    jobs.run(Box::new(move |admitted| {
        if !admitted {
            return back.answer(Err(busy()));
        }
        let header = match command.decode::<ConsumerSendMsgBack>() {
            Ok(header) => header,
            Err(error) => return back.answer(Err(error.into())),
        };
        let ask = Back {
            group: &header.group,
            offset: header.offset,
            unit_mode: header.unit_mode,
            ask: SendBack {
                delay_level: header.delay_level,
                max_reconsume_times: header.max_reconsume_times,
                version: peer.version,
            },
        };
        let prepared = match inner.broker.take_back(&ask) {
            Ok(Some(prepared)) => prepared,
            Ok(None) => return back.answer(Ok(Command::response(response::SUCCESS))),
            Err(error) => return back.answer(Err(error.into())),
        };
        let done = Arc::new(TakenBack { back: Mutex::new(Some(back)) });
        let puts = vec![Put { token: 0, messages: OneOrMany::One(prepared), wait: false }];
        let group = PutGroup { puts, done: Arc::clone(&done) as Arc<dyn PutDone> };
        if inner.broker.store.put(group).is_err()
            && let Some(back) = done.back.lock().take()
        {
            back.answer(Err(BackError::Busy.into()));
        }
    }));
}

struct TakenBack {
    back: Mutex<Option<super::front::Back>>,
}

impl PutDone for TakenBack {
    fn done(&self, results: &mut Vec<PutResult>) {
        for (_, result) in results.drain(..) {
            let Some(back) = self.back.lock().take() else { continue };
            back.answer(match result {
                Ok(_) => Ok(Command::response(response::SUCCESS)),
                Err(error) => Err(error.into()),
            });
        }
    }
}
