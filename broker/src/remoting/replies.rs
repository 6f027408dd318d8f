//! Replies to requests of other clients: 324 and 325.

use super::front::{Answer, Inner, Own};
use crate::service::Peer;
use crate::service::reply::ReplyTarget;
use crate::service::send::{Accepted, Send};
use parking_lot::Mutex;
use rmq_record::OffsetId;
use rmq_remoting::code::{request, response};
use rmq_remoting::header::{PushReplyMessage, SendMessage, SendMessageResponse};
use rmq_remoting::{ByteStr, Command};
use rmq_store::{Put, PutDone, PutGroup, PutOk, PutResult};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the client that asked may take to accept the reply.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn send_reply(own: Own) {
    let Own { inner, peer, command, back } = own;
    let tasks = inner.tasks.clone();
    tasks.spawn("reply", |_stop| async move {
        let answer = reply(&inner, &peer, &command).await;
        back.answer(answer);
        Ok(())
    });
}

async fn reply(inner: &Arc<Inner>, peer: &Peer, command: &Command) -> Answer {
    let header = SendMessage::from_code(command.code, &command.ext)?;
    let now = inner.broker.now();
    let text = header.properties.as_ref().map_or(&[][..], |text| text.as_bytes());
    let accepted = inner.broker.accept(
        now,
        peer,
        &Send {
            topic: &header.topic,
            default_topic: &header.default_topic,
            default_topic_queues: header.default_topic_queue_nums,
            queue: header.queue_id,
            sys_flag: header.sys_flag,
            born_timestamp: header.born_timestamp,
            flag: header.flag,
            properties: text,
            reconsume_times: header.reconsume_times.unwrap_or(0),
            max_reconsume_times: header.max_reconsume_times,
            unit_mode: header.unit_mode,
            batch: false,
            body: command.body.clone(),
        },
    )?;
    let queue = i32::try_from(accepted.queue).unwrap_or(0);
    let pushed = push(inner, peer, &header, command, queue, now).await;
    let stored = if inner.broker.settings().store_reply_message_enable {
        store(inner, accepted).await
    } else {
        None
    };
    let (code, remark) = match pushed {
        Ok(()) => (response::SUCCESS, None),
        Err(remark) => (response::SYSTEM_ERROR, Some(remark)),
    };
    let mut ids = SendMessageResponse {
        msg_id: "0".into(),
        queue_id: queue,
        queue_offset: 0,
        transaction_id: None,
        batch_uniq_id: None,
        recall_handle: None,
    };
    if let Some(ok) = stored {
        let host = inner.broker.store_host();
        ids.msg_id = OffsetId { host, offset: ok.log_offset }.to_string().into();
        ids.queue_offset = i64::try_from(ok.queue_offset).unwrap_or(i64::MAX);
    }
    let answer = Command::response(code).with_header(&ids);
    Ok(match remark {
        Some(remark) => answer.with_remark(remark),
        None => answer,
    })
}

/// Hands the reply to the client that asked; the text says why that failed.
async fn push(
    inner: &Arc<Inner>,
    peer: &Peer,
    header: &SendMessage,
    command: &Command,
    queue: i32,
    now: i64,
) -> Result<(), String> {
    let text = header.properties.as_ref().map_or(&[][..], |text| text.as_bytes());
    let (conn, properties) = match inner.broker.reply_target(text) {
        ReplyTarget::Client { conn, properties } => (conn, properties),
        ReplyTarget::Nowhere(why) => return Err(why),
    };
    let conn = inner
        .peers
        .get(conn)
        .ok_or_else(|| "push reply message fail, the channel is closed".to_owned())?;
    let properties = ByteStr::from_utf8(properties.into())
        .map_err(|_not_text| "the properties are not UTF-8".to_owned())?;
    let push = Command::request(request::PUSH_REPLY_MESSAGE_TO_CLIENT)
        .with_header(&PushReplyMessage {
            producer_group: header.producer_group.clone(),
            topic: header.topic.clone(),
            default_topic: header.default_topic.clone(),
            default_topic_queue_nums: header.default_topic_queue_nums,
            queue_id: queue,
            sys_flag: header.sys_flag,
            born_timestamp: header.born_timestamp,
            flag: header.flag,
            properties: Some(properties),
            reconsume_times: Some(header.reconsume_times.unwrap_or(0)),
            unit_mode: header.unit_mode,
            born_host: Some(peer.addr.to_string().into()),
            store_host: Some(inner.broker.store_host().to_string().into()),
            store_timestamp: now,
        })
        .with_body(command.body.clone());
    match conn.request(push, PUSH_TIMEOUT).await {
        Ok(answer) if answer.code == response::SUCCESS => Ok(()),
        Ok(answer) => {
            let remark = answer.remark.as_deref().unwrap_or("");
            Err(format!("push reply message to client fail, code {}: {remark}", answer.code))
        }
        Err(error) => Err(format!("push reply message to client fail: {error}")),
    }
}

struct Stored(Mutex<Option<oneshot::Sender<Option<PutOk>>>>);

impl PutDone for Stored {
    fn done(&self, results: &mut Vec<PutResult>) {
        for (_, result) in results.drain(..) {
            if let Some(waiting) = self.0.lock().take() {
                // Whoever waited may have gone with the shutdown.
                waiting.send(result.ok()).ok();
            }
        }
    }
}

/// Stores the reply like any message; `None` when that failed, which the answer does not show.
async fn store(inner: &Arc<Inner>, accepted: Accepted) -> Option<PutOk> {
    let (stored, waiting) = oneshot::channel();
    let done = Arc::new(Stored(Mutex::new(Some(stored))));
    let puts = vec![Put { token: 0, messages: accepted.messages, wait: accepted.wait }];
    if inner.broker.store.put(PutGroup { puts, done }).is_err() {
        return None;
    }
    let ok = waiting.await.ok().flatten()?;
    inner.broker.traffic.arrived(inner.broker.now(), std::slice::from_ref(&accepted.arrived));
    Some(ok)
}
