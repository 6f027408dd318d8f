//! What clients ask: routes, the cluster, lists of topics.

use super::{Answer, NameServer, Refusal, success};
use crate::cache::Form;
use crate::routes::UnitTopics;
use crate::{encode, kv};
use bytes::Bytes;
use rmq_model::peer::ProtocolVersion;
use rmq_remoting::Command;
use rmq_remoting::code::{request, response};
use rmq_remoting::header::{GetRoute, TopicsByCluster};
use std::sync::Arc;

impl NameServer {
    /// 105
    pub(super) fn route(&self, command: &Command) -> Answer {
        let header: GetRoute = command.decode()?;
        if self.waits().is_some() {
            return Err(Refusal::new(response::SYSTEM_ERROR, "name server not ready"));
        }
        let standard =
            ProtocolVersion::V4_9_4 <= command.version || header.accept_standard_json_only;
        let form = if standard { Form::Standard } else { Form::Fastjson };
        let zone = header.zone_name.filter(|zone| header.zone_mode && !zone.trim().is_empty());
        let topic = header.topic.as_str();
        if zone.is_none()
            && let Some(body) = self.cache.get(topic, form)
        {
            return Ok(success().with_body(body));
        }
        // Until the route is in the cache no change of the tables may come between.
        let tables = self.tables.read();
        let Some(view) = tables.route(topic) else {
            let remark = format!("No topic route info in name server for the topic: {topic}");
            return Err(Refusal::new(response::TOPIC_NOT_EXIST, remark));
        };
        let kv = if self.switches().order_message { Some(self.kv()) } else { None };
        let order = kv.as_ref().and_then(|kv| kv.get(kv::ORDER_TOPIC_CONFIG, topic));
        if let Some(zone) = &zone {
            drop(tables);
            return Ok(success().with_body(encode::route(view.in_zone(zone), order, form)));
        }
        let body = Bytes::from(encode::route(view, order, form));
        self.cache.put(topic, form, &body);
        Ok(success().with_body(body))
    }

    /// 106
    pub(super) fn cluster_info(&self) -> Answer {
        let tables = self.tables.read();
        let brokers = tables.brokers();
        Ok(success().with_body(encode::cluster_info(brokers, tables.clusters())))
    }

    /// 206
    pub(super) fn all_topics(&self) -> Answer {
        allowed(self.switches().all_topic_list)?;
        let topics = self.tables.read().topics();
        Ok(topic_list(topics))
    }

    /// 224
    pub(super) fn topics_by_cluster(&self, command: &Command) -> Answer {
        allowed(self.switches().topic_list)?;
        let header: TopicsByCluster = command.decode()?;
        let topics = self.tables.read().topics_of_cluster(&header.cluster);
        Ok(topic_list(topics))
    }

    /// 304
    pub(super) fn system_topics(&self) -> Answer {
        let (topics, addr) = self.tables.read().system_topics();
        Ok(success().with_body(encode::topic_list(topics, addr)))
    }

    /// 311, 312, 313
    pub(super) fn unit_topics(&self, code: i32) -> Answer {
        allowed(self.switches().topic_list)?;
        let which = match code {
            request::GET_UNIT_TOPIC_LIST => UnitTopics::Unit,
            request::GET_HAS_UNIT_SUB_TOPIC_LIST => UnitTopics::UnitSub,
            _ => UnitTopics::UnitSubNotUnit,
        };
        let topics = self.tables.read().unit_topics(which);
        Ok(topic_list(topics))
    }
}

fn allowed(switch: bool) -> Result<(), Refusal> {
    if switch { Ok(()) } else { Err(Refusal::new(response::SYSTEM_ERROR, "disable")) }
}

fn topic_list(topics: Vec<Arc<str>>) -> Command {
    success().with_body(encode::topic_list(topics, None))
}
