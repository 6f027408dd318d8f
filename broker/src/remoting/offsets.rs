//! Offsets: 14, 15, 29, 30, 31 and 32.

use super::front::{Answer, Call};
use super::refusal::Refusal;
use crate::service::offsets::Committed;
use rmq_delivery::offsets::OffsetAnswer;
use rmq_remoting::Command;
use rmq_remoting::code::response;
use rmq_remoting::header::{
    GetMaxOffset, OfQueue, OffsetResponse, QueryConsumerOffset, SearchOffset, TimestampResponse,
    UpdateConsumerOffset,
};
use rmq_store::Boundary;

fn at(offset: i64) -> Answer {
    Ok(Command::response(response::SUCCESS).with_header(&OffsetResponse { offset }))
}

pub(super) fn query(call: &Call<'_>) -> Answer {
    let header: QueryConsumerOffset = call.command.decode()?;
    let answer = call.broker().query_offset(
        &header.consumer_group,
        &header.topic,
        header.queue_id,
        header.set_zero_if_not_found,
    );
    match answer {
        OffsetAnswer::At(offset) => at(offset),
        OffsetAnswer::NotFound => Err(Refusal::new(
            response::QUERY_NOT_FOUND,
            "Not found, maybe this group consumer boot first",
        )),
    }
}

pub(super) fn update(call: &Call<'_>) -> Answer {
    let header: UpdateConsumerOffset = call.command.decode()?;
    let committed = call.broker().commit_offset(
        &header.consumer_group,
        &header.topic,
        header.queue_id,
        header.commit_offset,
    )?;
    let answer = Command::response(response::SUCCESS);
    Ok(match committed {
        Committed::Stored => answer,
        Committed::ResetPending => answer.with_remark("Offset has been previously reset"),
    })
}

pub(super) fn search(call: &Call<'_>) -> Answer {
    let header: SearchOffset = call.command.decode()?;
    let boundary = match header.boundary_type.as_deref() {
        Some(kind) if kind.eq_ignore_ascii_case("UPPER") => Boundary::Upper,
        _ => Boundary::Lower,
    };
    let found = call
        .broker()
        .search_offset(&header.topic, header.queue_id, header.timestamp, boundary)
        .map_err(|error| Refusal::internal(format!("the queue cannot be read: {error}")))?;
    at(found)
}

pub(super) fn max(call: &Call<'_>) -> Answer {
    let header: GetMaxOffset = call.command.decode()?;
    at(call.broker().end_of(&header.topic, header.queue_id))
}

pub(super) fn min(call: &Call<'_>) -> Answer {
    let header: OfQueue = call.command.decode()?;
    at(call.broker().beginning_of(&header.topic, header.queue_id))
}

pub(super) fn earliest(call: &Call<'_>) -> Answer {
    let header: OfQueue = call.command.decode()?;
    let timestamp = call.broker().earliest_time(&header.topic, header.queue_id);
    Ok(Command::response(response::SUCCESS).with_header(&TimestampResponse { timestamp }))
}
