//! Assignments made by the broker: 400, 401 and 402.

use super::clients::{MESSAGE_MODELS, with_json};
use super::front::{Answer, Call, Own};
use super::json;
use super::refusal::Refusal;
use crate::registration::Route;
use crate::service::clients::{Strategy, share};
use crate::service::tables::RequestMode;
use rmq_model::MessageQueue;
use rmq_model::client::MessageModel;
use rmq_remoting::Command;
use rmq_remoting::code::response;
use serde_json::{Value, json as value};
use std::sync::Arc;

/// Divides the queues of a topic, on all brokers, among the members of a group. The queues come
/// from the route: a broker knows only its own.
pub(super) fn query(own: Own) {
    let Own { inner, command, back, .. } = own;
    let tasks = inner.tasks.clone();
    tasks.spawn("assignment", |_stop| async move {
        let answer = assign(&inner, &command).await;
        back.answer(answer);
        Ok(())
    });
}

async fn assign(inner: &Arc<super::front::Inner>, command: &Command) -> Answer {
    let body = json::object(&command.body)?;
    let topic = json::required(&body, "topic")?;
    let group = json::required(&body, "consumerGroup")?;
    let client = json::required(&body, "clientId")?;
    let model = json::choice(&body, "messageModel", &MESSAGE_MODELS);
    let strategy = match json::text(&body, "strategyName").as_str() {
        "AVG" | "" => Strategy::Average,
        "AVG_BY_CIRCLE" => Strategy::Circle,
        other => {
            return Err(Refusal::internal(format!("strategy {other:?} is not available")));
        }
    };
    let mut queues = match inner.registrar.route(&topic).await {
        Route::Known(route) => queues_of(&topic, &route),
        Route::None => return Ok(with_json(&value!({}))),
        Route::Unknown if inner.broker.config.name_servers.is_empty() => {
            inner.broker.own_queues(&topic)
        }
        Route::Unknown => {
            let remark = format!("the route of topic {topic} is not known here");
            return Err(Refusal::internal(remark));
        }
    };
    queues.sort_unstable_by(|a, b| {
        (&a.topic, &a.broker_name, a.queue_id).cmp(&(&b.topic, &b.broker_name, b.queue_id))
    });
    if model != MessageModel::Broadcasting {
        let mut clients = inner.broker.consumer_ids(&group).unwrap_or_default();
        clients.sort_unstable();
        queues = share(queues, &clients, &client, strategy);
    }
    let entry = |queue: MessageQueue| value!({"messageQueue": queue, "mode": "PULL"});
    let entries: Vec<Value> = queues.into_iter().map(entry).collect();
    Ok(with_json(&value!({"messageQueueAssignments": entries})))
}

/// Readable queues of a route (105).
fn queues_of(topic: &str, route: &Value) -> Vec<MessageQueue> {
    let topic: Arc<str> = topic.into();
    let mut queues = Vec::new();
    for entry in json::list(route, "queueDatas") {
        let readable = json::number(entry, "perm") & 4 != 0;
        let broker_name: Arc<str> = json::text(entry, "brokerName").into();
        let count = json::number(entry, "readQueueNums").clamp(0, 65_536);
        for queue_id in 0..i32::try_from(count).unwrap_or(0) {
            if readable {
                let (broker_name, topic) = (Arc::clone(&broker_name), Arc::clone(&topic));
                queues.push(MessageQueue { broker_name, queue_id, topic });
            }
        }
    }
    queues
}

pub(super) fn set_mode(call: &Call<'_>) -> Answer {
    let body = json::object(&call.command.body)?;
    let mode = RequestMode {
        consumer_group: json::required(&body, "consumerGroup")?,
        mode: json::required(&body, "mode")?,
        pop_share_queue_num: i32::try_from(json::number(&body, "popShareQueueNum")).unwrap_or(0),
        topic: json::required(&body, "topic")?,
    };
    call.broker().set_request_mode(mode)?;
    call.broker().save_modes().map_err(|error| {
        Refusal::internal(format!("the table of request modes cannot be written: {error}"))
    })?;
    Ok(Command::response(response::SUCCESS))
}

pub(super) fn all_modes(call: &Call<'_>) -> Answer {
    let body = serde_json::to_value(call.broker().request_modes())
        .map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(with_json(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_readable_queues_of_a_route_are_divided() {
        let route = value!({"queueDatas": [
            {"brokerName": "a", "perm": 6, "readQueueNums": 2, "writeQueueNums": 8},
            {"brokerName": "b", "perm": 2, "readQueueNums": 4, "writeQueueNums": 4},
            {"brokerName": "c", "perm": 4, "readQueueNums": 1, "writeQueueNums": 0},
        ]});
        let got: Vec<String> = queues_of("T", &route)
            .iter()
            .map(|queue| format!("{}{}", queue.broker_name, queue.queue_id))
            .collect();
        assert_eq!(got, ["a0", "a1", "c0"]);
    }
}
