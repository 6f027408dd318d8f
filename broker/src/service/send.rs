//! Sending: check, choose topic and queue, encode. What comes out is ready for the log.

use crate::service::traffic::{Arrived, MessageKind};
use crate::service::{Broker, Peer, Phase};
use bytes::Bytes;
use rmq_delivery::delay;
use rmq_delivery::retry::DLQ_QUEUES;
use rmq_delivery::send::{
    self, BrokerProperties, Kind, NewProperties, PropertyFacts, Resend, SendFacts, SendParts,
    SendRefusal,
};
use rmq_delivery::topics::{AutoCreateError, TopicError};
use rmq_model::name::SCHEDULE_TOPIC;
use rmq_model::topic::TopicConfig;
use rmq_model::{Millis, Permission, TopicName};
use rmq_record::{Message, batch};
use rmq_store::{OneOrMany, Prepared, PutError};
use std::sync::Arc;

/// A send as it arrives.
#[derive(Clone, Debug)]
pub struct Send<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Template for a topic that has to be made.
    pub default_topic: &'a str,
    /// Queues of a topic that has to be made.
    pub default_topic_queues: i32,
    /// Queue; negative is any.
    pub queue: i32,
    /// Bits of [`rmq_model::sysflag`].
    pub sys_flag: i32,
    /// Clock of the client.
    pub born_timestamp: Millis,
    /// The application's own number.
    pub flag: i32,
    /// Properties text.
    pub properties: &'a [u8],
    /// Retries so far.
    pub reconsume_times: i32,
    /// Most retries.
    pub max_reconsume_times: Option<i32>,
    /// Unit mode.
    pub unit_mode: bool,
    /// The body holds several messages.
    pub batch: bool,
    /// Body as sent.
    pub body: Bytes,
}

/// A send that may be stored.
#[derive(Debug)]
pub struct Accepted {
    /// For the log.
    pub messages: OneOrMany,
    /// The sender waits for the disk.
    pub wait: bool,
    /// Queue it was meant for.
    pub queue: u32,
    /// Unique id.
    pub uniq_key: Bytes,
    /// To be counted when it is stored.
    pub arrived: Arrived,
}

/// Why a send is not stored.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A rule is broken.
    #[error(transparent)]
    Refused(#[from] SendRefusal),
    /// The topic does not exist and is not made.
    #[error("topic[{topic}] {source}")]
    Topic {
        /// As asked.
        topic: String,
        /// Why.
        source: AutoCreateError,
    },
    /// The dead-letter topic cannot be made.
    #[error(transparent)]
    DeadLetterTopic(#[from] TopicError),
    /// The delay level is no number. Storing the message as if it had none would deliver it early.
    #[error("the property DELAY is not a number: {text:?}")]
    DelayLevel {
        /// As given, at most 40 characters.
        text: String,
    },
    /// The body of a batch cannot be read.
    #[error("the batch cannot be read: {0}")]
    Batch(#[from] batch::BatchError),
    /// The store refuses it.
    #[error(transparent)]
    Store(#[from] PutError),
    /// Too much waits for the log.
    #[error("[OVERLOAD]system busy, start flow control for a while")]
    Busy,
    /// The broker was asked to stop. Try another one at once.
    #[error("the broker is about to stop")]
    Stopping,
}

impl Broker {
    /// Checks a send and encodes what is to be stored.
    ///
    /// # Errors
    /// [`SendError`] of the first rule that is broken.
    pub fn accept(&self, now: Millis, peer: &Peer, send: &Send<'_>) -> Result<Accepted, SendError> {
        if self.phase() != Phase::Serving {
            return Err(SendError::Stopping);
        }
        let settings = self.settings();
        let facts = SendFacts {
            slave: self.is_slave(),
            accept_from: settings.start_accept_send_request_time_stamp,
            broker: Permission(settings.broker_permission),
            body_bytes_max: usize::try_from(settings.max_message_size).unwrap_or(usize::MAX),
        };
        let known = self.topics.get(send.topic);
        send::check_arrival(now, &facts, send.topic, known.as_deref())?;
        let topic = match known {
            Some(topic) => topic,
            None => self.topic_for(now, send)?,
        };
        let properties = PropertyFacts::of(send.properties);
        let parts = SendParts {
            queue: send.queue,
            body_bytes: send.body.len(),
            properties: send.properties,
            has_keys: properties.has_keys,
            batch: send.batch,
        };
        let queue = send::check_topic(&facts, &topic, &parts, self.next_turn())?;
        if send.batch {
            return self.accept_batch(peer, send, &topic, queue, &properties);
        }
        if let Some(level) = properties.delay.filter(|level| level.trim().parse::<i32>().is_err()) {
            return Err(SendError::DelayLevel { text: level.chars().take(40).collect() });
        }
        let kind = send::classify(&properties, send.reconsume_times, false)?;
        let resend = self.resend(now, peer, send)?;
        let place = Place { topic: &topic, queue };
        match resend {
            Resend::Retry => self.accept_one(peer, send, place, &properties, kind),
            Resend::DeadLetter { topic: dead } => {
                let dead = self.dead_letter_topic(now, &dead)?;
                let group = send::retry_group(send.topic).unwrap_or_default();
                self.traffic.dead(send.topic, group);
                let place = Place { topic: &dead, queue: 0 };
                self.accept_one(peer, send, place, &properties, Kind::Normal)
            }
        }
    }

    fn topic_for(&self, now: Millis, send: &Send<'_>) -> Result<Arc<TopicConfig>, SendError> {
        let name = TopicName::parse(send.topic).map_err(SendRefusal::from)?;
        let template = send.default_topic;
        let queues = send.default_topic_queues;
        self.topics
            .change_one(self.outside(), |topics| {
                topics.for_send(now, &name, template, queues, send.unit_mode)
            })
            .map_err(|source| SendError::Topic { topic: send.topic.to_owned(), source })
    }

    /// Where a message goes that a consumer published to its retry topic itself.
    fn resend(&self, now: Millis, peer: &Peer, send: &Send<'_>) -> Result<Resend, SendError> {
        let Some(group) = send::retry_group(send.topic) else { return Ok(Resend::Retry) };
        let config = self.groups.find(now, group);
        let holds_locks = self.locks.lock().holds_any(self.uptime(), group);
        Ok(send::check_retry(
            group,
            config.as_deref(),
            send.reconsume_times,
            send.max_reconsume_times,
            peer.version,
            holds_locks,
        )?)
    }

    pub(crate) fn dead_letter_topic(
        &self,
        now: Millis,
        topic: &str,
    ) -> Result<Arc<TopicConfig>, TopicError> {
        if let Some(topic) = self.topics.get(topic) {
            return Ok(topic);
        }
        self.topics.change_one(self.outside(), |topics| {
            topics.for_send_back(now, topic, DLQ_QUEUES, false, 0)
        })
    }

    fn accept_one(
        &self,
        peer: &Peer,
        send: &Send<'_>,
        place: Place<'_>,
        facts: &PropertyFacts<'_>,
        kind: Kind,
    ) -> Result<Accepted, SendError> {
        let made = facts.uniq_key.is_none().then(|| self.unique_id());
        // A dead letter waits no more, whatever level the message had.
        let delay = (kind == Kind::Normal && 0 < facts.delay_level()).then_some("0");
        let new = NewProperties { uniq_key: made.as_deref(), delay };
        let text = self.stamp(send.properties, facts, new);
        let uniq_key = match (made, facts.uniq_key) {
            (Some(made), _) => Bytes::from(made),
            (None, known) => Bytes::copy_from_slice(known.unwrap_or_default().as_bytes()),
        };
        let wait = !facts.no_wait;
        let bytes = u64::try_from(send.body.len()).unwrap_or(u64::MAX);
        let message = self.message(peer, send, place, text, send.body.clone(), send.flag);
        let prepared = self.prepare(message, kind)?;
        let arrived = Arrived {
            topic: Arc::clone(&place.topic.topic_name),
            queue: place.queue,
            kind: message_kind(place.topic, kind),
            messages: 1,
            bytes,
        };
        Ok(Accepted {
            messages: OneOrMany::One(prepared),
            wait,
            queue: place.queue,
            uniq_key,
            arrived,
        })
    }

    fn accept_batch(
        &self,
        peer: &Peer,
        send: &Send<'_>,
        topic: &Arc<TopicConfig>,
        queue: u32,
        header: &PropertyFacts<'_>,
    ) -> Result<Accepted, SendError> {
        let place = Place { topic, queue };
        let mut many = Vec::new();
        let mut bytes = 0u64;
        for element in batch::elements(&send.body) {
            let element = element?;
            let text = with_header(element.properties, send.properties);
            let facts = PropertyFacts::of(&text);
            let kind = send::classify(&facts, send.reconsume_times, true)?;
            let made = facts.uniq_key.is_none().then(|| self.unique_id());
            let new = NewProperties { uniq_key: made.as_deref(), delay: None };
            let stamped = self.stamp(&text, &facts, new);
            let body = send.body.slice_ref(element.body);
            bytes = bytes.saturating_add(u64::try_from(body.len()).unwrap_or(u64::MAX));
            let message = self.message(peer, send, place, stamped, body, element.flag);
            many.push(self.prepare(message, kind)?);
        }
        if many.is_empty() {
            return Err(SendRefusal::BodyEmpty.into());
        }
        let arrived = Arrived {
            topic: Arc::clone(&topic.topic_name),
            queue,
            kind: message_kind(topic, Kind::Normal),
            messages: u64::try_from(many.len()).unwrap_or(u64::MAX),
            bytes,
        };
        let uniq_key =
            header.uniq_key.map_or_else(Bytes::new, |key| Bytes::copy_from_slice(key.as_bytes()));
        let messages = OneOrMany::Many(many);
        Ok(Accepted { messages, wait: !header.no_wait, queue, uniq_key, arrived })
    }

    fn stamp(&self, text: &[u8], facts: &PropertyFacts<'_>, new: NewProperties<'_>) -> Bytes {
        let settings = self.settings();
        let own = BrokerProperties {
            region: &settings.region_id,
            trace_on: settings.trace_on,
            cluster: &settings.broker_cluster_name,
        };
        own.apply(text, facts, new)
    }

    fn message(
        &self,
        peer: &Peer,
        send: &Send<'_>,
        place: Place<'_>,
        properties: Bytes,
        body: Bytes,
        flag: i32,
    ) -> Message {
        Message {
            topic: Arc::clone(&place.topic.topic_name),
            queue_id: place.queue,
            flag,
            sys_flag: send::sys_flag(send.sys_flag, place.topic),
            born_timestamp: send.born_timestamp,
            born_host: peer.addr,
            store_host: self.store_host(),
            reconsume_times: send.reconsume_times,
            prepared_transaction_offset: 0,
            body,
            properties,
        }
    }

    /// Encodes a message; one with a delay level waits first.
    ///
    /// # Errors
    /// [`PutError`] for what can never be stored.
    pub(crate) fn prepare(&self, message: Message, kind: Kind) -> Result<Prepared, PutError> {
        match kind {
            Kind::Normal => self.store.prepare(&message),
            Kind::Delayed { level } => {
                let waiting = delay::wait(
                    &self.levels,
                    level,
                    &message.topic,
                    message.queue_id,
                    &message.properties,
                );
                self.store.prepare(&Message {
                    topic: SCHEDULE_TOPIC.into(),
                    queue_id: waiting.queue,
                    properties: waiting.properties,
                    ..message
                })
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Place<'a> {
    topic: &'a Arc<TopicConfig>,
    queue: u32,
}

fn message_kind(topic: &TopicConfig, kind: Kind) -> MessageKind {
    let ordered = || topic.attributes.get("message.type").is_some_and(|kind| kind == "FIFO");
    match kind {
        Kind::Delayed { .. } => MessageKind::Delay,
        Kind::Normal if !topic.attributes.is_empty() && ordered() => MessageKind::Fifo,
        Kind::Normal => MessageKind::Normal,
    }
}

/// Properties of a batch's element with those of the header: the header's win, as they do in the
/// reference, but for the unique id, which every message keeps as its own.
fn with_header(own: &[u8], header: &[u8]) -> Vec<u8> {
    use rmq_model::message::{NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR, UNIQ_KEY};
    use rmq_record::properties;
    let mut text = Vec::with_capacity(own.len().saturating_add(header.len()).saturating_add(1));
    text.extend_from_slice(own);
    if text.last().is_some_and(|last| *last != PROPERTY_SEPARATOR) {
        text.push(PROPERTY_SEPARATOR);
    }
    for (name, value) in properties::iter(header) {
        let same = |(own_name, own_value): (&[u8], &[u8])| {
            own_name == name && (own_value == value || name == UNIQ_KEY.as_bytes())
        };
        if properties::iter(own).any(same) {
            continue;
        }
        text.extend_from_slice(name);
        text.push(NAME_VALUE_SEPARATOR);
        text.extend_from_slice(value);
        text.push(PROPERTY_SEPARATOR);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_record::properties;

    #[test]
    fn every_message_of_a_batch_keeps_its_own_unique_id() {
        let own = properties::text([("UNIQ_KEY", "own"), ("TAGS", "a")]);
        let header = properties::text([("UNIQ_KEY", "batch"), ("WAIT", "true"), ("TAGS", "b")]);
        let text = with_header(&own, &header);
        for (name, value) in [("UNIQ_KEY", "own"), ("WAIT", "true"), ("TAGS", "b")] {
            assert_eq!(properties::get(&text, name), Some(value), "{name}");
        }
        let text = with_header(b"a\x01b", &header);
        assert_eq!(properties::get(&text, "UNIQ_KEY"), Some("batch"));
        assert_eq!(properties::get(&text, "a"), Some("b"));
    }
}
