//! Topics: 17, 18, 215, 21 and 351.

use super::body;
use super::front::{Answer, Call};
use super::paging::Page;
use super::refusal::Refusal;
use crate::service::admin::AdminTopicError;
use rmq_delivery::topics::{TopicError, TopicRequest};
use rmq_model::topic::{TopicConfig, TopicFilterType};
use rmq_model::{DataVersion, Permission};
use rmq_remoting::Command;
use rmq_remoting::body::{TopicConfigList, TopicConfigWrapper};
use rmq_remoting::code::response;
use rmq_remoting::header::{
    CreateTopic, GetAllTopicConfig, GetAllTopicConfigResponse, GetTopicConfig, OfTopic,
};
use std::collections::BTreeMap;
use std::sync::Arc;

fn done() -> Answer {
    Ok(Command::response(response::SUCCESS))
}

fn count(name: &'static str, value: i32) -> Result<u32, Refusal> {
    u32::try_from(value).map_err(|_negative| {
        Refusal::new(response::INVALID_PARAMETER, format!("{name} {value} is negative"))
    })
}

pub(super) fn update(call: &Call<'_>) -> Answer {
    let header: CreateTopic = call.command.decode()?;
    let attributes = header.attributes.as_deref().unwrap_or_default();
    let attributes = TopicRequest::attributes_of(attributes)
        .map_err(|error| AdminTopicError::Rule(TopicError::Attribute(error)))?;
    let filter_type = match header.topic_filter_type.as_deref() {
        Some("MULTI_TAG") => TopicFilterType::MultiTag,
        _ => TopicFilterType::SingleTag,
    };
    call.broker().update_topic(&TopicRequest {
        topic: &header.topic,
        read_queues: count("readQueueNums", header.read_queue_nums)?,
        write_queues: count("writeQueueNums", header.write_queue_nums)?,
        perm: Permission(count("perm", header.perm)?),
        filter_type,
        sys_flag: header.topic_sys_flag.unwrap_or(0),
        order: header.order,
        attributes,
    })?;
    done()
}

pub(super) fn update_list(call: &Call<'_>) -> Answer {
    let TopicConfigList { topic_config_list: configs } = body::read(call.command)?;
    let requests: Vec<TopicRequest<'_>> = configs
        .iter()
        .map(|config| TopicRequest {
            topic: &config.topic_name,
            read_queues: config.read_queue_nums,
            write_queues: config.write_queue_nums,
            perm: config.perm,
            filter_type: config.topic_filter_type,
            sys_flag: config.topic_sys_flag,
            order: config.order,
            attributes: config.attributes.clone(),
        })
        .collect();
    call.broker().update_topics(&requests)?;
    done()
}

pub(super) fn delete(call: &Call<'_>) -> Answer {
    let header: OfTopic = call.command.decode()?;
    call.broker().delete_topic(&header.topic)?;
    done()
}

pub(super) fn all(call: &Call<'_>) -> Answer {
    let header: GetAllTopicConfig = call.command.decode()?;
    let topics = call.broker().topics.all();
    let version = topics.version();
    let mut sorted: Vec<Arc<TopicConfig>> = topics.iter().cloned().collect();
    sorted.sort_unstable_by(|a, b| a.topic_name.cmp(&b.topic_name));
    let total = i32::try_from(sorted.len()).unwrap_or(i32::MAX);
    let page = Page::of(
        call,
        header.topic_seq,
        header.max_topic_num,
        header.data_version.as_deref(),
        version,
    );
    let named =
        |topic: Arc<TopicConfig>| (Arc::clone(&topic.topic_name), TopicConfig::clone(&topic));
    let body = TopicConfigWrapper {
        data_version: version,
        mapping_data_version: Some(DataVersion::default()),
        topic_config_table: page.cut(sorted).map(named).collect(),
        topic_queue_mapping_detail_map: Some(BTreeMap::new()),
        topic_queue_mapping_info_map: Some(BTreeMap::new()),
    };
    let header = GetAllTopicConfigResponse { total_topic_num: Some(total) };
    Ok(body::success(&body).with_header(&header))
}

pub(super) fn one(call: &Call<'_>) -> Answer {
    let header: GetTopicConfig = call.command.decode()?;
    match call.broker().topics.get(&header.topic) {
        Some(topic) => Ok(body::success(&*topic)),
        None => {
            let remark = format!("No topic in this broker. topic: {}", header.topic);
            Err(Refusal::new(response::TOPIC_NOT_EXIST, remark))
        }
    }
}
