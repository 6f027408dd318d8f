//! Finding messages: by key (12) and by place (33).

use super::front::{Answer, Call};
use super::refusal::Refusal;
use bytes::BytesMut;
use rmq_remoting::Command;
use rmq_remoting::code::response;
use rmq_remoting::header::{QueryMessage, QueryMessageResponse, ViewMessage};

pub(super) fn query(call: &Call<'_>) -> Answer {
    let header: QueryMessage = call.command.decode()?;
    let settings = call.broker().settings();
    let asked = u32::try_from(header.max_num).unwrap_or(0);
    let max = if header.unique_key { settings.default_query_max_num } else { asked };
    let max = usize::try_from(max.min(settings.max_msgs_num_batch)).unwrap_or(usize::MAX);
    let found = call
        .broker()
        .store
        .query(&header.topic, &header.key, max, header.begin_timestamp, header.end_timestamp)
        .map_err(|error| Refusal::internal(format!("the index cannot be read: {error}")))?;
    let fields = QueryMessageResponse {
        index_last_update_timestamp: found.last_update_time,
        index_last_update_phyoffset: found.last_update_offset.to_wire(),
    };
    let mut body = BytesMut::new();
    for record in &found.records {
        body.extend_from_slice(record);
    }
    let (code, remark) = if body.is_empty() {
        let remark = "can not find message, maybe time range not correct";
        (response::QUERY_NOT_FOUND, Some(remark))
    } else {
        (response::SUCCESS, None)
    };
    let answer = Command::response(code).with_header(&fields).with_body(body.freeze());
    Ok(match remark {
        Some(remark) => answer.with_remark(remark),
        None => answer,
    })
}

pub(super) fn view(call: &Call<'_>) -> Answer {
    let header: ViewMessage = call.command.decode()?;
    match call.broker().record_at(header.offset) {
        Some(record) => Ok(Command::response(response::SUCCESS).with_body(record)),
        None => {
            let remark = format!("can not find message by the offset, {}", header.offset);
            Err(Refusal::internal(remark))
        }
    }
}
