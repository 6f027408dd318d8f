//! Consumer groups: 200, 225, 201, 352, 207 and 353.

use super::clients::with_json;
use super::front::{Answer, Call};
use super::json;
use super::refusal::Refusal;
use super::topics::{Page, shown};
use rmq_model::group::SubscriptionGroupConfig;
use rmq_remoting::code::response;
use rmq_remoting::header::{
    DeleteGroup, GetAllGroupConfig, GetAllGroupConfigResponse, GroupForbidden, OfGroup,
};
use rmq_remoting::{Command, json as body_json};
use serde_json::{Map, Value, json as value};
use std::sync::Arc;

fn done() -> Answer {
    Ok(Command::response(response::SUCCESS))
}

pub(super) fn update(call: &Call<'_>) -> Answer {
    let config: SubscriptionGroupConfig = body_json::from_slice(&call.command.body)?;
    call.broker().update_group(config)?;
    done()
}

pub(super) fn update_list(call: &Call<'_>) -> Answer {
    let body = json::object(&call.command.body)?;
    let configs = json::list(&body, "groupConfigList")
        .iter()
        .map(|config| body_json::from_value(config.clone()))
        .collect::<Result<Vec<SubscriptionGroupConfig>, _>>()?;
    call.broker().update_groups(configs)?;
    done()
}

pub(super) fn all(call: &Call<'_>) -> Answer {
    let header: GetAllGroupConfig = call.command.decode()?;
    let groups = call.broker().groups.all();
    let version = groups.version();
    let mut sorted: Vec<Arc<SubscriptionGroupConfig>> = groups.iter().cloned().collect();
    sorted.sort_unstable_by(|a, b| a.group_name.cmp(&b.group_name));
    let total = i32::try_from(sorted.len()).unwrap_or(i32::MAX);
    let page = Page::of(
        call,
        header.group_seq,
        header.max_group_num,
        header.data_version.as_deref(),
        version,
    );
    let table: Map<String, Value> =
        page.cut(sorted).map(|group| (group.group_name.to_string(), shown(&*group))).collect();
    let forbidden: Map<String, Value> =
        groups.forbidden().map(|(group, topics)| (group.to_string(), shown(topics))).collect();
    let body = value!({
        "dataVersion": shown(&version),
        "forbiddenTable": forbidden,
        "subscriptionGroupTable": table,
    });
    let header = GetAllGroupConfigResponse { total_group_num: Some(total) };
    Ok(with_json(&body).with_header(&header))
}

pub(super) fn one(call: &Call<'_>) -> Answer {
    let header: OfGroup = call.command.decode()?;
    match call.broker().groups.get(&header.group) {
        Some(group) => Ok(with_json(&shown(&*group))),
        None => {
            let remark = format!("No group in this broker. group: {}", header.group);
            Err(Refusal::new(response::SUBSCRIPTION_GROUP_NOT_EXIST, remark))
        }
    }
}

pub(super) fn delete(call: &Call<'_>) -> Answer {
    let header: DeleteGroup = call.command.decode()?;
    call.broker().delete_group(&header.group_name, header.clean_offset)?;
    done()
}

pub(super) fn forbidden(call: &Call<'_>) -> Answer {
    let header: GroupForbidden = call.command.decode()?;
    let readable = call.broker().group_readable(&header.group, &header.topic, header.readable)?;
    Ok(with_json(&value!({
        "group": &*header.group,
        "readable": readable,
        "topic": &*header.topic,
    })))
}
