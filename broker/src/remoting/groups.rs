//! Consumer groups: 200, 225, 201, 352, 207 and 353.

use super::body;
use super::front::{Answer, Call};
use super::paging::Page;
use super::refusal::Refusal;
use rmq_model::group::SubscriptionGroupConfig;
use rmq_remoting::Command;
use rmq_remoting::body::{GroupForbiddenState, SubscriptionGroupList, SubscriptionGroupWrapper};
use rmq_remoting::code::response;
use rmq_remoting::header::{
    DeleteGroup, GetAllGroupConfig, GetAllGroupConfigResponse, GroupForbidden, OfGroup,
};
use std::sync::Arc;

fn done() -> Answer {
    Ok(Command::response(response::SUCCESS))
}

pub(super) fn update(call: &Call<'_>) -> Answer {
    call.broker().update_group(body::read(call.command)?)?;
    done()
}

pub(super) fn update_list(call: &Call<'_>) -> Answer {
    let SubscriptionGroupList { group_config_list } = body::read(call.command)?;
    call.broker().update_groups(group_config_list)?;
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
    let named = |group: Arc<SubscriptionGroupConfig>| {
        (Arc::clone(&group.group_name), SubscriptionGroupConfig::clone(&group))
    };
    let forbidden = groups.forbidden().map(|(group, topics)| (Arc::clone(group), topics.clone()));
    let body = SubscriptionGroupWrapper {
        data_version: version,
        forbidden_table: forbidden.collect(),
        subscription_group_table: page.cut(sorted).map(named).collect(),
    };
    let header = GetAllGroupConfigResponse { total_group_num: Some(total) };
    Ok(body::success(&body).with_header(&header))
}

pub(super) fn one(call: &Call<'_>) -> Answer {
    let header: OfGroup = call.command.decode()?;
    match call.broker().groups.get(&header.group) {
        Some(group) => Ok(body::success(&*group)),
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
    Ok(body::success(&GroupForbiddenState {
        group: header.group.to_arc(),
        readable,
        topic: header.topic.to_arc(),
    }))
}
