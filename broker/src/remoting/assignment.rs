//! Assignments made by the broker: 400, 401 and 402.

use super::body;
use super::front::{Answer, Call, Own};
use super::refusal::Refusal;
use crate::registration::Route;
use crate::service::clients::{Strategy, share};
use crate::service::tables::RequestMode;
use rmq_model::MessageQueue;
use rmq_model::client::MessageModel;
use rmq_remoting::Command;
use rmq_remoting::body::{Assignment, QueryAssignment, QueryAssignmentResponse, TopicRouteData};
use rmq_remoting::code::response;
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
    let body: QueryAssignment = body::read(command)?;
    let topic = body::required("topic", &body.topic)?;
    let group = body::required("consumerGroup", &body.consumer_group)?;
    let client = body::required("clientId", &body.client_id)?;
    let strategy = match &*body.strategy_name {
        "AVG" | "" => Strategy::Average,
        "AVG_BY_CIRCLE" => Strategy::Circle,
        other => {
            return Err(Refusal::internal(format!("strategy {other:?} is not available")));
        }
    };
    let mut queues = match inner.registrar.route(topic).await {
        Route::Known(route) => queues_of(&body.topic, &route),
        Route::None => return Ok(body::success(&QueryAssignmentResponse::default())),
        Route::Unknown if inner.broker.config.name_servers.is_empty() => {
            inner.broker.own_queues(topic)
        }
        Route::Unknown => {
            let remark = format!("the route of topic {topic} is not known here");
            return Err(Refusal::internal(remark));
        }
    };
    queues.sort_unstable_by(|a, b| {
        (&a.topic, &a.broker_name, a.queue_id).cmp(&(&b.topic, &b.broker_name, b.queue_id))
    });
    if body.message_model != MessageModel::Broadcasting {
        let mut clients = inner.broker.consumer_ids(group).unwrap_or_default();
        clients.sort_unstable();
        queues = share(queues, &clients, client, strategy);
    }
    let entry = |queue| Assignment { message_queue: Some(queue), mode: "PULL".into() };
    let entries = queues.into_iter().map(entry).collect();
    Ok(body::success(&QueryAssignmentResponse { message_queue_assignments: Some(entries) }))
}

/// Readable queues of a route (105).
fn queues_of(topic: &Arc<str>, route: &TopicRouteData) -> Vec<MessageQueue> {
    let mut queues = Vec::new();
    for entry in route.queue_datas.iter().filter(|entry| entry.perm & 4 != 0) {
        for queue_id in 0..entry.read_queue_nums.min(65_536) {
            let (broker_name, topic) = (Arc::clone(&entry.broker_name), Arc::clone(topic));
            queues.push(MessageQueue { broker_name, queue_id, topic });
        }
    }
    queues
}

pub(super) fn set_mode(call: &Call<'_>) -> Answer {
    let mode: RequestMode = body::read(call.command)?;
    body::required("consumerGroup", &mode.consumer_group)?;
    body::required("mode", &mode.mode)?;
    body::required("topic", &mode.topic)?;
    call.broker().set_request_mode(mode)?;
    call.broker().save_modes().map_err(|error| {
        Refusal::internal(format!("the table of request modes cannot be written: {error}"))
    })?;
    Ok(Command::response(response::SUCCESS))
}

pub(super) fn all_modes(call: &Call<'_>) -> Answer {
    Ok(body::success(&call.broker().request_modes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_remoting::body::QueueData;

    #[test]
    fn only_readable_queues_of_a_route_are_divided() {
        let on = |broker: &str, perm, read_queue_nums| QueueData {
            broker_name: broker.into(),
            perm,
            read_queue_nums,
            ..QueueData::default()
        };
        let queue_datas = vec![on("a", 6, 2), on("b", 2, 4), on("c", 4, 1)];
        let route = TopicRouteData { queue_datas, ..TopicRouteData::default() };
        let got: Vec<String> = queues_of(&"T".into(), &route)
            .iter()
            .map(|queue| format!("{}{}", queue.broker_name, queue.queue_id))
            .collect();
        assert_eq!(got, ["a0", "a1", "c0"]);
    }
}
