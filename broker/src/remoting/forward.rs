//! What a broker asks of clients for others: 222 with 220, 223 with 221, 307 and 309.

use super::body;
use super::front::{Answer, Call, Inner, Own};
use super::inspect::queue;
use super::refusal::Refusal;
use crate::service::reset::ResetAsk;
use bytes::Bytes;
use futures_util::{StreamExt as _, future, stream};
use rmq_delivery::clients::Member;
use rmq_model::MessageQueue;
use rmq_model::peer::{Language, ProtocolVersion};
use rmq_net::{Connection, RequestError};
use rmq_record::OffsetId;
use rmq_remoting::body::{
    ClientStatus, ConsumerStatus, QueueOffset, ResetOffsetBody, ResetOffsetListBody,
};
use rmq_remoting::code::{request, response};
use rmq_remoting::header::{
    ConsumeMessageDirectly, GetClientStatus, GetConsumerRunningInfo, GetConsumerStatus,
    ResetClientOffset, ResetOffset,
};
use rmq_remoting::{Command, json};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a client may take, and many of them together.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many clients are asked at once for one who wants to know of all.
const ASKED_AT_ONCE: usize = 64;

/// Moves a group: on the broker, or by telling its clients when that is switched off.
pub(super) fn reset_offset(call: &Call<'_>) -> Answer {
    let header: ResetOffset = call.command.decode()?;
    let ask = ResetAsk {
        topic: &header.topic,
        group: &header.group,
        time: header.timestamp,
        queue: header.queue_id,
        offset: header.offset,
        force: header.is_force,
    };
    let broker = call.broker();
    let topic: Arc<str> = header.topic.to_arc();
    let table = |targets: BTreeMap<i32, i64>| {
        let entry = |(id, offset)| (queue(broker, &topic, id), offset);
        ResetOffsetBody { offset_table: targets.into_iter().map(entry).collect() }
    };
    if broker.settings().use_server_side_reset_offset {
        return Ok(body::success(&table(broker.reset_on_broker(&ask)?)));
    }
    let targets = broker.reset_targets(&ask)?;
    let members = broker.consumers(&header.group);
    if members.is_empty() {
        let remark =
            format!("Consumer not online, so can not reset offset, Group: {}", header.group);
        return Err(Refusal::new(response::CONSUMER_NOT_ONLINE, remark));
    }
    let targets = table(targets);
    let entry = |(queue, offset): (&MessageQueue, &i64)| QueueOffset {
        broker_name: Arc::clone(&queue.broker_name),
        offset: *offset,
        queue_id: queue.queue_id,
        topic: Arc::clone(&queue.topic),
    };
    let list =
        ResetOffsetListBody { offset_table: targets.offset_table.iter().map(entry).collect() };
    let (for_java, for_cpp) =
        (Bytes::from(json::to_vec(&targets)), Bytes::from(json::to_vec(&list)));
    let fields = ResetClientOffset {
        topic: header.topic.clone(),
        group: header.group.clone(),
        timestamp: header.timestamp,
        is_force: header.is_force,
        queue_id: None,
        offset: None,
    };
    for member in &members {
        if member.client.version < ProtocolVersion::V3_0_7_SNAPSHOT {
            let remark = format!("the client {} is too old to be reset", member.client.client_id);
            return Err(Refusal::internal(remark));
        }
        let body = if member.client.language == Language::Cpp { &for_cpp } else { &for_java };
        if let Some(conn) = call.inner.peers.get(member.conn) {
            let push = Command::oneway(request::RESET_CONSUMER_CLIENT_OFFSET)
                .with_header(&fields)
                .with_body(body.clone());
            conn.oneway(push);
        }
    }
    Ok(body::success(&targets))
}

/// Collects from clients where they are.
pub(super) fn consumer_status(own: Own) {
    let Own { inner, command, back, .. } = own;
    let tasks = inner.tasks.clone();
    tasks.spawn("consumer status", |_stop| async move {
        let answer = status(&inner, &command).await;
        back.answer(answer);
        Ok(())
    });
}

async fn status(inner: &Arc<Inner>, command: &Command) -> Answer {
    let header: GetConsumerStatus = command.decode()?;
    let only = header.client_addr.as_deref().filter(|client| !client.is_empty());
    let members = inner.broker.consumers(&header.group);
    if members.is_empty() {
        let remark = format!("No Any Consumer online in the consumer group: [{}]", header.group);
        return Err(Refusal::new(response::CONSUMER_NOT_ONLINE, remark));
    }
    let ask =
        Command::request(request::GET_CONSUMER_STATUS_FROM_CLIENT).with_header(&GetClientStatus {
            topic: header.topic.clone(),
            group: header.group.clone(),
            client_addr: None,
        });
    let wanted = |member: &Member| only.is_none_or(|only| only == &*member.client.client_id);
    let asked = members.into_iter().filter(wanted).filter_map(|member| {
        let conn = inner.peers.get(member.conn)?;
        let (id, ask) = (Arc::clone(&member.client.client_id), ask.clone());
        Some(async move { Some((id, offsets_of(&conn, ask).await?)) })
    });
    // Clients that do not answer in time are left out, as the reference does.
    let mut status = ConsumerStatus::default();
    let mut answers = pin!(
        stream::iter(asked)
            .buffer_unordered(ASKED_AT_ONCE)
            .filter_map(future::ready)
            .take_until(patience(inner))
    );
    while let Some((id, offsets)) = answers.next().await {
        status.consumer_table.insert(id, offsets);
    }
    Ok(body::success(&status))
}

/// As long as many clients are waited for.
async fn patience(inner: &Inner) {
    tokio::select! {
        () = tokio::time::sleep(CLIENT_TIMEOUT) => {}
        () = inner.broker.stopping() => {}
    }
}

/// Where a client says it is; `None` without a good answer.
async fn offsets_of(conn: &Connection, ask: Command) -> Option<BTreeMap<MessageQueue, i64>> {
    let answer = conn.request(ask, CLIENT_TIMEOUT).await.ok()?;
    if answer.code != response::SUCCESS {
        return None;
    }
    let ClientStatus { message_queue_table } = body::read(&answer).ok()?;
    Some(message_queue_table)
}

/// Asks a consumer how it is.
pub(super) fn running_info(own: Own) {
    let Own { inner, command, back, .. } = own;
    let tasks = inner.tasks.clone();
    tasks.spawn("running info", |_stop| async move {
        let answer = async {
            let header: GetConsumerRunningInfo = command.decode()?;
            let member = member(&inner, &header.consumer_group, Some(&header.client_id))?;
            forward(&inner, &member, command).await
        };
        back.answer(answer.await);
        Ok(())
    });
}

/// Has a consumer consume a message now.
pub(super) fn consume_directly(own: Own) {
    let Own { inner, command, back, .. } = own;
    let tasks = inner.tasks.clone();
    tasks.spawn("direct consumption", |_stop| async move {
        let answer = directly(&inner, &command).await;
        back.answer(answer);
        Ok(())
    });
}

async fn directly(inner: &Arc<Inner>, command: &Command) -> Answer {
    let mut header: ConsumeMessageDirectly = command.decode()?;
    let client = header.client_id.as_deref().filter(|client| !client.is_empty());
    let member = member(inner, &header.consumer_group, client)?;
    let id = header.msg_id.as_deref().unwrap_or_default();
    let id: OffsetId = id
        .parse()
        .map_err(|_error| Refusal::internal(format!("{id:?} is not the offset id of a message")))?;
    let broker = Arc::clone(&inner.broker);
    let record: Option<Bytes> =
        tokio::task::spawn_blocking(move || broker.record_at(id.offset.to_wire()))
            .await
            .map_err(|error| Refusal::internal(error.to_string()))?;
    let Some(record) = record else {
        return Err(Refusal::internal(format!("no message at {}", id.offset)));
    };
    let topic = header.topic.as_deref().unwrap_or_default();
    header.broker_name = Some((&inner.broker.config.settings.broker_name).into());
    header.topic_sys_flag = inner.broker.topics.get(topic).map(|topic| topic.topic_sys_flag);
    header.group_sys_flag =
        inner.broker.groups.get(&header.consumer_group).map(|group| group.group_sys_flag);
    let ask =
        Command::request(request::CONSUME_MESSAGE_DIRECTLY).with_header(&header).with_body(record);
    forward(inner, &member, ask).await
}

/// The consumer `client` of a group, or any of it.
fn member(inner: &Inner, group: &str, client: Option<&str>) -> Result<Member, Refusal> {
    let found = match client {
        Some(client) => inner.broker.consumer(group, client),
        None => inner.broker.consumers(group).into_iter().next(),
    };
    let client = client.unwrap_or_default();
    let member = found.ok_or_else(|| {
        Refusal::internal(format!("The Consumer <{group}> <{client}> not online"))
    })?;
    if member.client.version < ProtocolVersion::V3_1_8_SNAPSHOT {
        let remark = format!("The Consumer <{group}> <{client}> is too old for this");
        return Err(Refusal::internal(remark));
    }
    Ok(member)
}

/// Sends a request on to a client and its answer back.
async fn forward(inner: &Arc<Inner>, member: &Member, mut ask: Command) -> Answer {
    let client = &member.client.client_id;
    let Some(conn) = inner.peers.get(member.conn) else {
        return Err(Refusal::internal(format!("the connection of {client} is closed")));
    };
    ask.flag = 0;
    // In this order: a stop also closes the connection, and is the better reason to give.
    let answer = tokio::select! {
        biased;
        () = inner.broker.stopping() => {
            let remark = format!("the broker stops and does not wait for {client}");
            return Err(Refusal::internal(remark));
        }
        answer = conn.request(ask, CLIENT_TIMEOUT) => answer,
    };
    match answer {
        Ok(answer) => {
            let mut relayed = Command::response(answer.code).with_body(answer.body);
            relayed.remark = answer.remark;
            Ok(relayed)
        }
        Err(RequestError::Timeout { .. }) => {
            let remark = format!("consumer {client} did not answer within 10 s");
            Err(Refusal::new(response::CONSUME_MSG_TIMEOUT, remark))
        }
        Err(error) => Err(Refusal::internal(error.to_string())),
    }
}
