//! Clients: 34, 35, 38, 41, 42 and 46.

use super::body;
use super::front::{Answer, Call};
use super::refusal::Refusal;
use crate::service::clients::Heartbeat;
use rmq_delivery::clients::{ConsumerEntry, HeartbeatForm};
use rmq_remoting::Command;
use rmq_remoting::body::{
    CheckClientConfig, ConsumerData, ConsumerIdList, HeartbeatData, LockBatch, LockBatchResponse,
};
use rmq_remoting::code::response;
use rmq_remoting::header::{ConsumerGroup, HeartbeatResponse, UnregisterClient};

fn heartbeat_of(body: HeartbeatData) -> Result<Heartbeat, Refusal> {
    body::required("clientID", &body.client_id)?;
    let consumer = |entry: ConsumerData| {
        let subscriptions = entry.subscription_data_set.into_iter();
        let consumer = ConsumerEntry {
            group: entry.group_name,
            consume_type: entry.consume_type,
            model: entry.message_model,
            from_where: entry.consume_from_where,
            subscriptions: subscriptions.filter(|data| !data.topic.is_empty()).collect(),
        };
        (consumer, entry.unit_mode)
    };
    let producers = body.producer_data_set.into_iter().map(|entry| entry.group_name);
    let consumers = body.consumer_data_set.into_iter();
    Ok(Heartbeat {
        client_id: body.client_id,
        form: HeartbeatForm::of(body.heartbeat_fingerprint, body.without_sub),
        producers: producers.filter(|group| !group.is_empty()).collect(),
        consumers: consumers.filter(|entry| !entry.group_name.is_empty()).map(consumer).collect(),
    })
}

pub(super) fn heartbeat(call: &Call<'_>) -> Answer {
    let heartbeat = heartbeat_of(body::read(call.command)?)?;
    let sub_change = call.broker().heartbeat(&call.peer, &heartbeat)?;
    let header = HeartbeatResponse { support_v2: true, sub_change };
    Ok(Command::response(response::SUCCESS).with_header(&header))
}

pub(super) fn unregister(call: &Call<'_>) -> Answer {
    let header: UnregisterClient = call.command.decode()?;
    let (producer, consumer) = (header.producer_group.as_deref(), header.consumer_group.as_deref());
    call.broker().unregister(&call.peer, producer, consumer);
    Ok(Command::response(response::SUCCESS))
}

pub(super) fn ids(call: &Call<'_>) -> Answer {
    let header: ConsumerGroup = call.command.decode()?;
    let group = &header.consumer_group;
    let Some(ids) = call.broker().consumer_ids(group) else {
        return Err(Refusal::internal(format!("no consumer for this group, {group}")));
    };
    Ok(body::success(&ConsumerIdList { consumer_id_list: ids }))
}

/// The queues a client means.
fn lock_batch(call: &Call<'_>) -> Result<LockBatch, Refusal> {
    let mut body: LockBatch = body::read(call.command)?;
    body::required("consumerGroup", &body.consumer_group)?;
    body::required("clientId", &body.client_id)?;
    body.mq_set.retain(|queue| !queue.topic.is_empty());
    Ok(body)
}

pub(super) fn lock(call: &Call<'_>) -> Answer {
    let LockBatch { client_id, consumer_group, mq_set, .. } = lock_batch(call)?;
    let lock_ok_mq_set = call.broker().lock_queues(&consumer_group, &client_id, mq_set);
    Ok(body::success(&LockBatchResponse { lock_ok_mq_set }))
}

pub(super) fn unlock(call: &Call<'_>) -> Answer {
    let LockBatch { client_id, consumer_group, mq_set, .. } = lock_batch(call)?;
    call.broker().unlock_queues(&consumer_group, &client_id, &mq_set);
    Ok(Command::response(response::SUCCESS))
}

pub(super) fn check(call: &Call<'_>) -> Answer {
    let CheckClientConfig { subscription_data: data, .. } = body::read(call.command)?;
    if !data.is_tag() {
        // Clients take only this code for "your expression is not accepted".
        call.broker().check_subscription(&data).map_err(|error| {
            Refusal::new(response::SUBSCRIPTION_PARSE_FAILED, error.to_string())
        })?;
    }
    call.broker().check_subscription(&data)?;
    Ok(Command::response(response::SUCCESS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_model::client::{ConsumeFromWhere, MessageModel};
    use std::sync::Arc;

    fn heartbeat_of(body: &'static [u8]) -> Result<Heartbeat, Refusal> {
        super::heartbeat_of(body::read(&Command::request(34).with_body(body))?)
    }

    #[test]
    fn heartbeats_of_java_and_cpp_are_read() {
        let java = br#"{"clientID":"10.0.0.5@1","heartbeatFingerprint":7,"withoutSub":true,
            "producerDataSet":[{"groupName":"PG"}],
            "consumerDataSet":[{"groupName":"CG","consumeType":"CONSUME_PASSIVELY",
            "messageModel":"BROADCASTING","consumeFromWhere":"CONSUME_FROM_TIMESTAMP","unitMode":true,
            "subscriptionDataSet":[{"topic":"T","subString":"*"}]}]}"#;
        let read = heartbeat_of(java).expect("well-formed");
        assert_eq!(&*read.client_id, "10.0.0.5@1");
        assert_eq!(read.form, HeartbeatForm::WithoutSubscriptions { fingerprint: 7 });
        assert_eq!(read.producers, [Arc::from("PG")]);
        let (entry, unit) = &read.consumers[0];
        assert!(*unit && entry.model == MessageModel::Broadcasting);
        assert_eq!(entry.from_where, ConsumeFromWhere::ConsumeFromTimestamp);

        let cpp = br#"{"clientID":"c","consumerDataSet":[{"groupName":"CG","consumeType":1,
            "messageModel":1,"consumeFromWhere":4,"subscriptionDataSet":[{"topic":"T","subString":"a",
            "subVersion":"5"}]}],"producerDataSet":[]}"#;
        let read = heartbeat_of(cpp).expect("well-formed");
        let (entry, _) = &read.consumers[0];
        assert_eq!((read.form, entry.model), (HeartbeatForm::V1, MessageModel::Clustering));
        assert_eq!(entry.from_where, ConsumeFromWhere::ConsumeFromFirstOffset);
        assert_eq!(entry.subscriptions[0].sub_version, 5);
    }

    #[test]
    fn a_heartbeat_without_a_client_is_refused() {
        for body in [&b"{}"[..], b"", b"[]", b"{\"clientID\":\"\"}"] {
            assert_eq!(heartbeat_of(body).expect_err("refused").code, 1);
        }
    }
}
