//! Clients: 34, 35, 38, 41, 42 and 46.

use super::front::{Answer, Call};
use super::json;
use super::refusal::Refusal;
use crate::service::clients::Heartbeat;
use rmq_delivery::clients::{ConsumerEntry, HeartbeatForm};
use rmq_model::client::{ConsumeFromWhere, ConsumeType, MessageModel};
use rmq_remoting::Command;
use rmq_remoting::code::response;
use rmq_remoting::header::{ConsumerGroup, HeartbeatResponse, UnregisterClient};
use serde_json::{Value, json as value};
use std::sync::Arc;

pub(super) const CONSUME_TYPES: [(&str, ConsumeType); 3] = [
    ("CONSUME_ACTIVELY", ConsumeType::Actively),
    ("CONSUME_PASSIVELY", ConsumeType::Passively),
    ("CONSUME_POP", ConsumeType::Pop),
];

pub(super) const MESSAGE_MODELS: [(&str, MessageModel); 2] =
    [("BROADCASTING", MessageModel::Broadcasting), ("CLUSTERING", MessageModel::Clustering)];

const FROM_WHERE: [(&str, ConsumeFromWhere); 6] = [
    ("CONSUME_FROM_LAST_OFFSET", ConsumeFromWhere::ConsumeFromLastOffset),
    (
        "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        ConsumeFromWhere::ConsumeFromLastOffsetAndFromMinWhenBootFirst,
    ),
    ("CONSUME_FROM_MIN_OFFSET", ConsumeFromWhere::ConsumeFromMinOffset),
    ("CONSUME_FROM_MAX_OFFSET", ConsumeFromWhere::ConsumeFromMaxOffset),
    ("CONSUME_FROM_FIRST_OFFSET", ConsumeFromWhere::ConsumeFromFirstOffset),
    ("CONSUME_FROM_TIMESTAMP", ConsumeFromWhere::ConsumeFromTimestamp),
];

fn heartbeat_of(body: &[u8]) -> Result<Heartbeat, Refusal> {
    let body = json::object(body)?;
    let client_id = json::required(&body, "clientID")?;
    let fingerprint = i32::try_from(json::number(&body, "heartbeatFingerprint")).unwrap_or(0);
    let group = |entry: &Value| -> Option<Arc<str>> {
        let name = json::text(entry, "groupName");
        (!name.is_empty()).then(|| name.into())
    };
    let consumer = |entry: &Value| {
        let subscriptions = json::list(entry, "subscriptionDataSet").iter().map(json::subscription);
        let consumer = ConsumerEntry {
            group: group(entry)?,
            consume_type: json::choice(entry, "consumeType", &CONSUME_TYPES),
            model: json::choice(entry, "messageModel", &MESSAGE_MODELS),
            from_where: json::choice(entry, "consumeFromWhere", &FROM_WHERE),
            subscriptions: subscriptions.filter(|data| !data.topic.is_empty()).collect(),
        };
        Some((consumer, json::flag(entry, "unitMode")))
    };
    Ok(Heartbeat {
        client_id: client_id.into(),
        form: HeartbeatForm::of(fingerprint, json::flag(&body, "withoutSub")),
        producers: json::list(&body, "producerDataSet").iter().filter_map(group).collect(),
        consumers: json::list(&body, "consumerDataSet").iter().filter_map(consumer).collect(),
    })
}

pub(super) fn heartbeat(call: &Call<'_>) -> Answer {
    let heartbeat = heartbeat_of(&call.command.body)?;
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
    Ok(with_json(&value!({"consumerIdList": ids})))
}

/// Success with a JSON body.
pub(super) fn with_json(body: &Value) -> Command {
    Command::response(response::SUCCESS).with_body(json::to_vec(body))
}

pub(super) fn lock(call: &Call<'_>) -> Answer {
    let body = json::object(&call.command.body)?;
    let group = json::required(&body, "consumerGroup")?;
    let client = json::required(&body, "clientId")?;
    let granted = call.broker().lock_queues(&group, &client, json::queues(&body, "mqSet"));
    Ok(with_json(&value!({"lockOKMQSet": granted})))
}

pub(super) fn unlock(call: &Call<'_>) -> Answer {
    let body = json::object(&call.command.body)?;
    let group = json::required(&body, "consumerGroup")?;
    let client = json::required(&body, "clientId")?;
    call.broker().unlock_queues(&group, &client, &json::queues(&body, "mqSet"));
    Ok(Command::response(response::SUCCESS))
}

pub(super) fn check(call: &Call<'_>) -> Answer {
    let body = json::object(&call.command.body)?;
    if let Some(data) = body.get("subscriptionData").filter(|data| data.is_object()) {
        let data = json::subscription(data);
        if !data.is_tag() {
            // Clients take only this code for "your expression is not accepted".
            call.broker().check_subscription(&data).map_err(|error| {
                Refusal::new(response::SUBSCRIPTION_PARSE_FAILED, error.to_string())
            })?;
        }
        call.broker().check_subscription(&data)?;
    }
    Ok(Command::response(response::SUCCESS))
}

#[cfg(test)]
mod tests {
    use super::*;

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
