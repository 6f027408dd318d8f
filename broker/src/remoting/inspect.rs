//! What administrators ask about topics, groups and queues.

use super::front::{Answer, Call};
use super::refusal::Refusal;
use super::table::Handler;
use super::{body, forward, lookup, status};
use crate::service::Broker;
use crate::service::inspect::{QueueEntry, TopicProgress};
use rmq_delivery::clients::Member;
use rmq_delivery::runtime::{QueueStats, TimeSpan};
use rmq_model::MessageQueue;
use rmq_remoting::Command;
use rmq_remoting::body::{
    ClientConnection, ConsumeQueueData, ConsumeStats, ConsumeStatsList, ConsumerConnection,
    CorrectionOffsets, GroupList, OffsetWrapper, ProducerConnection, ProducerInfo, ProducerTable,
    QueryConsumeQueueResponse, QuerySubscriptionResponse, QueueTimeSpan, QueueTimeSpans, TopicList,
    TopicOffset, TopicStatsTable,
};
use rmq_remoting::code::{request, response};
use rmq_remoting::header::{
    CloneGroupOffset, ConsumerGroup, GetBrokerConsumeStats, GetConsumeStats, OfGroup, OfTopic,
    OfTopicAndGroup, ProducerGroup, QueryConsumeQueue, QueryCorrectionOffset,
};
use std::collections::BTreeMap;
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

fn no_topic(topic: &str) -> Refusal {
    Refusal::new(response::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist"))
}

fn topic_stats(call: &Call<'_>) -> Answer {
    let header: OfTopic = call.command.decode()?;
    let Some((queues, tps)) = call.broker().topic_stats(&header.topic) else {
        return Err(no_topic(&header.topic));
    };
    let topic: Arc<str> = header.topic.to_arc();
    let entry = |stats: QueueStats| {
        let offset = TopicOffset {
            last_update_timestamp: stats.last_update,
            max_offset: stats.max,
            min_offset: stats.min,
        };
        (queue(call.broker(), &topic, stats.queue), offset)
    };
    let offset_table = queues.into_iter().map(entry).collect();
    Ok(body::success(&TopicStatsTable { offset_table, topic_put_tps: Some(tps) }))
}

fn progress_table(broker: &Broker, progress: &[TopicProgress]) -> ConsumeStats {
    let entries = progress.iter().flat_map(|topic| {
        topic.queues.iter().map(|entry| {
            let offset = OffsetWrapper {
                broker_offset: entry.broker_offset,
                consumer_offset: entry.consumer_offset,
                last_timestamp: entry.last_timestamp,
                pull_offset: entry.pull_offset,
            };
            (queue(broker, &topic.topic, entry.queue), offset)
        })
    });
    ConsumeStats {
        consume_tps: progress.iter().map(|topic| topic.tps).sum(),
        offset_table: entries.collect(),
    }
}

fn consume_stats(call: &Call<'_>) -> Answer {
    let header: GetConsumeStats = call.command.decode()?;
    let list = header.topic_list.as_deref().unwrap_or_default();
    let mut topics: Vec<&str> = list.split(';').filter(|topic| !topic.is_empty()).collect();
    if topics.is_empty() {
        topics.extend(header.topic.as_deref().filter(|topic| !topic.is_empty()));
    }
    let progress = call.broker().consume_stats(&header.consumer_group, &topics);
    Ok(body::success(&progress_table(call.broker(), &progress)))
}

fn all_consume_stats(call: &Call<'_>) -> Answer {
    let header: GetBrokerConsumeStats = call.command.decode()?;
    let all = call.broker().all_consume_stats(header.is_order);
    let entries = || all.values().flatten().flat_map(|topic| &topic.queues);
    let lag: i64 = entries().map(|entry| entry.lag()).sum();
    let in_flight: i64 = entries().map(|entry| entry.in_flight()).sum();
    let stats = |topic| progress_table(call.broker(), std::slice::from_ref(topic));
    let consume_stats_list = all.iter().map(|(group, topics)| {
        BTreeMap::from([(Arc::clone(group), topics.iter().map(stats).collect())])
    });
    Ok(body::success(&ConsumeStatsList {
        broker_addr: address(call.broker()),
        consume_stats_list: consume_stats_list.collect(),
        total_diff: lag,
        total_inflight_diff: in_flight,
    }))
}

fn time_spans(call: &Call<'_>) -> Answer {
    let header: OfTopicAndGroup = call.command.decode()?;
    let Some(spans) = call.broker().time_spans(&header.topic, &header.group) else {
        return Err(no_topic(&header.topic));
    };
    let topic: Arc<str> = header.topic.to_arc();
    let entry = |span: TimeSpan| QueueTimeSpan {
        consume_time_stamp: span.consumed,
        delay_time: span.delay_ms,
        max_time_stamp: span.max,
        message_queue: Some(queue(call.broker(), &topic, span.queue)),
        min_time_stamp: span.min,
    };
    let consume_time_span_set = spans.into_iter().map(entry).collect();
    Ok(body::success(&QueueTimeSpans { consume_time_span_set }))
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
    let entry = |entry: QueueEntry| ConsumeQueueData {
        eval: entry.wanted,
        physic_offset: number(entry.log_offset),
        physic_size: i32::try_from(entry.size).unwrap_or(i32::MAX),
        tags_code: entry.tags_code,
        ..ConsumeQueueData::default()
    };
    Ok(body::success(&QueryConsumeQueueResponse {
        filter_data: None,
        max_queue_index: number(found.max_offset()),
        min_queue_index: number(found.min_offset()),
        queue_data: entries.into_iter().map(entry).collect(),
        subscription_data: group.and_then(|group| broker.subscription(group, topic)),
    }))
}

/// Offsets of the log and of queues stay far below 2^63.
fn number(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

fn address(broker: &Broker) -> Arc<str> {
    broker.store_host().to_string().into()
}

fn groups_of_topic(call: &Call<'_>) -> Answer {
    let header: OfTopic = call.command.decode()?;
    let groups = call.broker().groups_of_topic(&header.topic);
    Ok(body::success(&GroupList { group_list: groups.into_iter().collect() }))
}

fn topics_of_group(call: &Call<'_>) -> Answer {
    let header: OfGroup = call.command.decode()?;
    let topics = call.broker().topics_of_group(&header.group);
    Ok(body::success(&TopicList {
        broker_addr: Some(address(call.broker())),
        topic_list: topics.into_iter().collect(),
    }))
}

fn subscription(call: &Call<'_>) -> Answer {
    let header: OfTopicAndGroup = call.command.decode()?;
    Ok(body::success(&QuerySubscriptionResponse {
        group: header.group.to_arc(),
        subscription_data: call.broker().subscription(&header.group, &header.topic),
        topic: header.topic.to_arc(),
    }))
}

fn correction_offsets(call: &Call<'_>) -> Answer {
    let header: QueryCorrectionOffset = call.command.decode()?;
    let excluded = header.filter_groups.as_deref().unwrap_or_default();
    let excluded: Vec<&str> = excluded.split(',').filter(|group| !group.is_empty()).collect();
    let topic = header.topic.as_deref().unwrap_or_default();
    let correction_offsets =
        call.broker().correction_offsets(topic, &excluded, &header.compare_group);
    Ok(body::success(&CorrectionOffsets { correction_offsets }))
}

fn clone_offsets(call: &Call<'_>) -> Answer {
    let header: CloneGroupOffset = call.command.decode()?;
    call.broker().clone_offsets(&header.src_group, &header.dest_group, header.topic.as_deref());
    Ok(Command::response(response::SUCCESS))
}

fn system_topics(call: &Call<'_>) -> Answer {
    let mut topics = call.broker().topics.system_topics();
    topics.sort_unstable();
    Ok(body::success(&TopicList { broker_addr: None, topic_list: topics }))
}

fn connection(member: &Member) -> ClientConnection {
    let client = &member.client;
    ClientConnection {
        client_addr: client.addr.to_string().into(),
        client_id: Arc::clone(&client.client_id),
        language: client.language.name().into(),
        version: client.version.0,
    }
}

fn consumer_connections(call: &Call<'_>) -> Answer {
    let header: ConsumerGroup = call.command.decode()?;
    let group = &header.consumer_group;
    let Some(view) = call.broker().group_view(group) else {
        let remark = format!("the consumer group[{group}] not online");
        return Err(Refusal::new(response::CONSUMER_NOT_ONLINE, remark));
    };
    let subscriptions = view.subscriptions.into_iter();
    Ok(body::success(&ConsumerConnection {
        connection_set: view.members.iter().map(connection).collect(),
        consume_from_where: view.from_where,
        consume_type: view.consume_type,
        message_model: view.model,
        subscription_table: subscriptions.map(|data| (Arc::clone(&data.topic), data)).collect(),
    }))
}

fn producer_connections(call: &Call<'_>) -> Answer {
    let header: ProducerGroup = call.command.decode()?;
    let group = &header.producer_group;
    let Some(members) = call.broker().producers(group) else {
        return Err(Refusal::internal(format!("the producer group[{group}] not exist")));
    };
    let connection_set = members.iter().map(connection).collect();
    Ok(body::success(&ProducerConnection { connection_set }))
}

fn all_producers(call: &Call<'_>) -> Answer {
    let info = |member: &Member| {
        let client = &member.client;
        ProducerInfo {
            client_id: Arc::clone(&client.client_id),
            language: client.language.name().into(),
            last_update_timestamp: member.last_seen,
            remote_ip: client.addr.to_string().into(),
            version: client.version.0,
        }
    };
    let all = call.broker().all_producers();
    let data =
        all.iter().map(|(group, members)| (Arc::clone(group), members.iter().map(info).collect()));
    Ok(body::success(&ProducerTable { data: data.collect() }))
}
