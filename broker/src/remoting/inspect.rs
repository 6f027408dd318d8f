//! What administrators ask about topics, groups and queues.

use super::clients::with_json;
use super::front::{Answer, Call};
use super::refusal::Refusal;
use super::table::Handler;
use super::topics::shown;
use super::{forward, lookup, status};
use crate::service::Broker;
use crate::service::inspect::TopicProgress;
use rmq_delivery::clients::Member;
use rmq_model::MessageQueue;
use rmq_remoting::Command;
use rmq_remoting::code::{request, response};
use rmq_remoting::header::{
    CloneGroupOffset, ConsumerGroup, GetBrokerConsumeStats, GetConsumeStats, OfGroup, OfTopic,
    OfTopicAndGroup, ProducerGroup, QueryConsumeQueue, QueryCorrectionOffset,
};
use serde_json::{Map, Value, json as value};
use std::sync::Arc;

/// Where a code of this family goes.
pub(super) fn handler(code: i32) -> Option<Handler> {
    use Handler::{Blocking, Inline, Own};
    Some(match code {
        request::QUERY_MESSAGE => Blocking(lookup::query),
        request::VIEW_MESSAGE_BY_ID => Blocking(lookup::view),

        request::GET_TOPIC_STATS_INFO => Blocking(topic_stats),
        request::GET_CONSUME_STATS => Blocking(consume_stats),
        request::GET_BROKER_CONSUME_STATS => Blocking(all_consume_stats),
        request::QUERY_CONSUME_TIME_SPAN => Blocking(time_spans),
        request::QUERY_CONSUME_QUEUE => Blocking(consume_queue),
        request::QUERY_TOPIC_CONSUME_BY_WHO => Inline(groups_of_topic),
        request::QUERY_TOPICS_BY_CONSUMER => Inline(topics_of_group),
        request::QUERY_SUBSCRIPTION_BY_CONSUMER => Inline(subscription),
        request::QUERY_CORRECTION_OFFSET => Inline(correction_offsets),
        request::CLONE_GROUP_OFFSET => Inline(clone_offsets),
        request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => Inline(system_topics),
        request::GET_CONSUMER_CONNECTION_LIST => Inline(consumer_connections),
        request::GET_PRODUCER_CONNECTION_LIST => Inline(producer_connections),
        request::GET_ALL_PRODUCER_INFO => Inline(all_producers),

        request::INVOKE_BROKER_TO_RESET_OFFSET => Blocking(forward::reset_offset),
        request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => Own(forward::consumer_status),
        request::GET_CONSUMER_RUNNING_INFO => Own(forward::running_info),
        request::CONSUME_MESSAGE_DIRECTLY => Own(forward::consume_directly),

        request::GET_BROKER_RUNTIME_INFO => Blocking(status::runtime_info),
        request::VIEW_BROKER_STATS_DATA => Inline(status::item),
        request::CLEAN_EXPIRED_CONSUMEQUEUE => Blocking(status::clean_queues),
        request::CLEAN_UNUSED_TOPIC => Blocking(status::clean_topics),
        request::DELETE_EXPIRED_COMMITLOG => Blocking(status::clean_log),
        request::GET_ALL_CONSUMER_OFFSET => Blocking(status::all_offsets),
        request::GET_ALL_DELAY_OFFSET => Inline(status::all_delays),
        request::GET_BROKER_HA_STATUS => Inline(status::ha_status),
        request::EXCHANGE_BROKER_HA_INFO => Inline(status::ha_info),
        request::GET_BROKER_EPOCH_CACHE => Inline(status::epochs),
        _ => return None,
    })
}

/// The queue of a topic on this broker.
pub(super) fn queue(broker: &Broker, topic: &Arc<str>, queue_id: i32) -> MessageQueue {
    let broker_name = Arc::clone(&broker.config.settings.broker_name);
    MessageQueue { broker_name, queue_id, topic: Arc::clone(topic) }
}

/// A map whose keys are queues: written with the object itself as key, as fastjson does.
pub(super) fn by_queue(entries: impl IntoIterator<Item = (MessageQueue, Value)>) -> Value {
    let entry = |(queue, value): (MessageQueue, Value)| {
        (serde_json::to_string(&queue).unwrap_or_default(), value)
    };
    Value::Object(entries.into_iter().map(entry).collect())
}

fn no_topic(topic: &str) -> Refusal {
    Refusal::new(response::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist"))
}

fn topic_stats(call: &Call<'_>) -> Answer {
    let header: OfTopic = call.command.decode()?;
    let Some((queues, tps)) = call.broker().topic_stats(&header.topic) else {
        return Err(no_topic(&header.topic));
    };
    let topic: Arc<str> = header.topic.to_arc();
    let table = by_queue(queues.iter().map(|stats| {
        let entry = value!({
            "lastUpdateTimestamp": stats.last_update,
            "maxOffset": stats.max,
            "minOffset": stats.min,
        });
        (queue(call.broker(), &topic, stats.queue), entry)
    }));
    Ok(with_json(&value!({"offsetTable": table, "topicPutTps": tps})))
}

fn progress_table(broker: &Broker, progress: &[TopicProgress]) -> Value {
    let entries = progress.iter().flat_map(|topic| {
        topic.queues.iter().map(|entry| {
            let shown = value!({
                "brokerOffset": entry.broker_offset,
                "consumerOffset": entry.consumer_offset,
                "lastTimestamp": entry.last_timestamp,
                "pullOffset": entry.pull_offset,
            });
            (queue(broker, &topic.topic, entry.queue), shown)
        })
    });
    let tps: f64 = progress.iter().map(|topic| topic.tps).sum();
    value!({"consumeTps": tps, "offsetTable": by_queue(entries)})
}

fn consume_stats(call: &Call<'_>) -> Answer {
    let header: GetConsumeStats = call.command.decode()?;
    let list = header.topic_list.as_deref().unwrap_or_default();
    let mut topics: Vec<&str> = list.split(';').filter(|topic| !topic.is_empty()).collect();
    if topics.is_empty() {
        topics.extend(header.topic.as_deref().filter(|topic| !topic.is_empty()));
    }
    let progress = call.broker().consume_stats(&header.consumer_group, &topics);
    Ok(with_json(&progress_table(call.broker(), &progress)))
}

fn all_consume_stats(call: &Call<'_>) -> Answer {
    let header: GetBrokerConsumeStats = call.command.decode()?;
    let all = call.broker().all_consume_stats(header.is_order);
    let entries = || all.values().flatten().flat_map(|topic| &topic.queues);
    let lag: i64 = entries().map(|entry| entry.lag()).sum();
    let in_flight: i64 = entries().map(|entry| entry.in_flight()).sum();
    let list: Vec<Value> = all
        .iter()
        .map(|(group, topics)| {
            let stats: Vec<Value> = topics
                .iter()
                .map(|topic| progress_table(call.broker(), std::slice::from_ref(topic)))
                .collect();
            let mut entry = Map::new();
            entry.insert(group.to_string(), Value::Array(stats));
            Value::Object(entry)
        })
        .collect();
    Ok(with_json(&value!({
        "brokerAddr": call.broker().store_host().to_string(),
        "consumeStatsList": list,
        "totalDiff": lag,
        "totalInflightDiff": in_flight,
    })))
}

fn time_spans(call: &Call<'_>) -> Answer {
    let header: OfTopicAndGroup = call.command.decode()?;
    let Some(spans) = call.broker().time_spans(&header.topic, &header.group) else {
        return Err(no_topic(&header.topic));
    };
    let topic: Arc<str> = header.topic.to_arc();
    let spans: Vec<Value> = spans
        .iter()
        .map(|span| {
            value!({
                "consumeTimeStamp": span.consumed,
                "delayTime": span.delay_ms,
                "maxTimeStamp": span.max,
                "messageQueue": shown(&queue(call.broker(), &topic, span.queue)),
                "minTimeStamp": span.min,
            })
        })
        .collect();
    Ok(with_json(&value!({"consumeTimeSpanSet": spans})))
}

fn consume_queue(call: &Call<'_>) -> Answer {
    let header: QueryConsumeQueue = call.command.decode()?;
    let broker = call.broker();
    let (topic, group) = (&header.topic, header.consumer_group.as_deref());
    let exists = u32::try_from(header.queue_id).ok().and_then(|id| broker.store.queue(topic, id));
    let Some(found) = exists else {
        let remark = format!("{}#{topic} is not exist!", header.queue_id);
        return Err(Refusal::internal(remark));
    };
    let count = u32::try_from(header.count).unwrap_or(0).clamp(1, 10_000);
    let entries = broker.queue_entries(topic, found.id(), header.index, count, group);
    let entries: Vec<Value> = entries
        .iter()
        .map(|entry| {
            value!({
                "eval": entry.wanted,
                "physicOffset": entry.log_offset,
                "physicSize": entry.size,
                "tagsCode": entry.tags_code,
            })
        })
        .collect();
    let mut body = value!({
        "maxQueueIndex": found.max_offset(),
        "minQueueIndex": found.min_offset(),
        "queueData": entries,
    });
    let subscription = group.and_then(|group| broker.subscription(group, topic));
    if let (Some(data), Value::Object(body)) = (subscription, &mut body) {
        body.insert("subscriptionData".into(), shown(&data));
    }
    Ok(with_json(&body))
}

fn groups_of_topic(call: &Call<'_>) -> Answer {
    let header: OfTopic = call.command.decode()?;
    let groups = call.broker().groups_of_topic(&header.topic);
    Ok(with_json(&value!({"groupList": groups})))
}

fn topics_of_group(call: &Call<'_>) -> Answer {
    let header: OfGroup = call.command.decode()?;
    let topics = call.broker().topics_of_group(&header.group);
    let address = call.broker().store_host().to_string();
    Ok(with_json(&value!({"brokerAddr": address, "topicList": topics})))
}

fn subscription(call: &Call<'_>) -> Answer {
    let header: OfTopicAndGroup = call.command.decode()?;
    let mut body = value!({"group": &*header.group, "topic": &*header.topic});
    let found = call.broker().subscription(&header.group, &header.topic);
    if let (Some(data), Value::Object(body)) = (found, &mut body) {
        body.insert("subscriptionData".into(), shown(&data));
    }
    Ok(with_json(&body))
}

fn correction_offsets(call: &Call<'_>) -> Answer {
    let header: QueryCorrectionOffset = call.command.decode()?;
    let excluded = header.filter_groups.as_deref().unwrap_or_default();
    let excluded: Vec<&str> = excluded.split(',').filter(|group| !group.is_empty()).collect();
    let topic = header.topic.as_deref().unwrap_or_default();
    let offsets = call.broker().correction_offsets(topic, &excluded, &header.compare_group);
    Ok(with_json(&value!({"correctionOffsets": offsets})))
}

fn clone_offsets(call: &Call<'_>) -> Answer {
    let header: CloneGroupOffset = call.command.decode()?;
    call.broker().clone_offsets(&header.src_group, &header.dest_group, header.topic.as_deref());
    Ok(Command::response(response::SUCCESS))
}

fn system_topics(call: &Call<'_>) -> Answer {
    let mut topics = call.broker().topics.system_topics();
    topics.sort_unstable();
    Ok(with_json(&value!({"topicList": topics})))
}

fn connection(member: &Member) -> Value {
    let client = &member.client;
    value!({
        "clientAddr": client.addr.to_string(),
        "clientId": client.client_id,
        "language": client.language.name(),
        "version": client.version.0,
    })
}

fn consumer_connections(call: &Call<'_>) -> Answer {
    let header: ConsumerGroup = call.command.decode()?;
    let group = &header.consumer_group;
    let Some(view) = call.broker().group_view(group) else {
        let remark = format!("the consumer group[{group}] not online");
        return Err(Refusal::new(response::CONSUMER_NOT_ONLINE, remark));
    };
    let table: Map<String, Value> =
        view.subscriptions.iter().map(|data| (data.topic.to_string(), shown(data))).collect();
    Ok(with_json(&value!({
        "connectionSet": view.members.iter().map(connection).collect::<Vec<_>>(),
        "consumeFromWhere": shown(&view.from_where),
        "consumeType": view.consume_type.name(),
        "messageModel": view.model.name(),
        "subscriptionTable": table,
    })))
}

fn producer_connections(call: &Call<'_>) -> Answer {
    let header: ProducerGroup = call.command.decode()?;
    let group = &header.producer_group;
    let Some(members) = call.broker().producers(group) else {
        return Err(Refusal::internal(format!("the producer group[{group}] not exist")));
    };
    let connections: Vec<Value> = members.iter().map(connection).collect();
    Ok(with_json(&value!({"connectionSet": connections})))
}

fn all_producers(call: &Call<'_>) -> Answer {
    let all = call.broker().all_producers();
    let info = |member: &Member| {
        let client = &member.client;
        value!({
            "clientId": client.client_id,
            "language": client.language.name(),
            "lastUpdateTimestamp": member.last_seen,
            "remoteIP": client.addr.to_string(),
            "version": client.version.0,
        })
    };
    let data: Map<String, Value> = all
        .iter()
        .map(|(group, members)| (group.to_string(), members.iter().map(info).collect()))
        .collect();
    Ok(with_json(&value!({"data": data})))
}
