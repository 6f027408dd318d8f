//! All that can be done for a put before it is its turn in the log.

use crate::config::RECORD_EXTRA_BYTES_MAX;
use crate::index;
use crate::put::{KeyHashes, Prepared, PutError};
use crate::shared::Shared;
use rmq_model::limits::{DERIVED_TOPIC_CHARS_MAX, PROPERTIES_BYTES_MAX, TOPIC_CHARS_MAX};
use rmq_model::name::{LMQ_PREFIX, RETRY_PREFIX, SCHEDULE_TOPIC};
use rmq_model::sysflag;
use rmq_record::properties::Known;
use rmq_record::{EncodeError, Message, layout, tags};

/// See [`crate::Store::prepare`].
pub(crate) fn prepare(shared: &Shared, message: &Message) -> Result<Prepared, PutError> {
    check(shared, message)?;
    let known = Known::of(&message.properties);
    let property_crc = shared.config.property_crc;
    let room = message.body.len() + message.properties.len() + message.topic.len() + 160;
    let mut record = Vec::with_capacity(room);
    layout::encode(message, property_crc, &mut record).map_err(|error| match error {
        EncodeError::PropertiesTooLong { bytes } => PutError::PropertiesTooLong { bytes },
        EncodeError::TopicLength { .. } | EncodeError::TooLong { .. } => illegal(error.to_string()),
    })?;
    let record_bytes_max = shared.config.body_bytes_max + RECORD_EXTRA_BYTES_MAX;
    if record_bytes_max < record.len() {
        let bytes = record.len();
        return Err(illegal(format!(
            "the record has {bytes} bytes, the limit is {record_bytes_max}"
        )));
    }
    let transaction = message.sys_flag & sysflag::TRANSACTION_MASK;
    let mut keys = KeyHashes::default();
    if shared.index.is_some() && transaction != sysflag::TRANSACTION_ROLLBACK {
        let topic = index::topic_hash(&message.topic);
        for key in known.uniq_key.into_iter().chain(known.key_list()) {
            keys.push(index::key_hash(topic, key));
        }
    }
    let level = known.delay_level();
    let delayed = level > 0 && &*message.topic == SCHEDULE_TOPIC;
    // The properties are the record's last part.
    let properties_bytes = if property_crc {
        layout::properties_bytes(&record, message.topic.len(), message.body.len())
    } else {
        message.properties.len()
    };
    Ok(Prepared {
        queue: shared.queues.get_or_make(&message.topic, message.queue_id),
        properties_at: record.len().saturating_sub(properties_bytes),
        record,
        tags_code: known.tags.map_or(0, tags::tags_code),
        delay: delayed.then(|| shared.config.delay_of(level)),
        queued: matches!(transaction, 0 | sysflag::TRANSACTION_COMMIT),
        keys,
    })
}

fn illegal(reason: String) -> PutError {
    PutError::IllegalMessage { reason }
}

fn check(shared: &Shared, message: &Message) -> Result<(), PutError> {
    let topic_max = if message.topic.starts_with(RETRY_PREFIX) {
        DERIVED_TOPIC_CHARS_MAX
    } else {
        TOPIC_CHARS_MAX
    };
    let topic = message.topic.len();
    if topic_max < topic {
        return Err(illegal(format!("the topic has {topic} bytes, the limit is {topic_max}")));
    }
    if message.topic.starts_with(LMQ_PREFIX) {
        return Err(illegal(format!("topics named {LMQ_PREFIX}… are light queues: not supported")));
    }
    if i32::try_from(message.queue_id).is_err() {
        return Err(illegal(format!("queue id {} is out of range", message.queue_id)));
    }
    let (body, body_max) = (message.body.len(), shared.config.body_bytes_max);
    if body_max < body {
        return Err(illegal(format!("the body has {body} bytes, the limit is {body_max}")));
    }
    let bytes = message.properties.len();
    if PROPERTIES_BYTES_MAX < bytes {
        return Err(PutError::PropertiesTooLong { bytes });
    }
    Ok(())
}
