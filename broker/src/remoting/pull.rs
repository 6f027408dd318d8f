//! Pulling: 11 and 361.

use super::front::Inner;
use super::refusal::Refusal;
use crate::service::Peer;
use crate::service::pull::{Pull, PullError, PullTo, Pulled};
use rmq_delivery::pull::{PullCode, PullFlags, PullRequest};
use rmq_net::Reply;
use rmq_remoting::Command;
use rmq_remoting::code::{request, response};
use rmq_remoting::header::PullMessage;
use std::sync::Arc;
use std::time::Duration;

struct Puller {
    inner: Arc<Inner>,
    reply: Reply,
    code: i32,
    began: Duration,
}

pub(super) fn pull(
    inner: &Arc<Inner>,
    peer: &Peer,
    command: &Command,
    reply: Reply,
    began: Duration,
) {
    let code = command.code;
    let header = match command.decode::<PullMessage>() {
        Ok(header) => header,
        Err(error) => {
            inner.measure(code, response::SYSTEM_ERROR, false, began);
            reply.send(Refusal::from(error).into_command());
            return;
        }
    };
    let pull = Pull {
        request: PullRequest {
            group: &header.consumer_group,
            topic: &header.topic,
            queue: header.queue_id,
            flags: PullFlags(header.sys_flag),
            subscription: header.subscription.as_deref(),
            expression_type: header.expression_type.as_deref(),
            sub_version: header.sub_version,
            lite: code == request::LITE_PULL_MESSAGE,
        },
        offset: header.queue_offset,
        count: header.max_msg_nums,
        bytes_max: header.max_msg_bytes,
        commit_offset: header.commit_offset,
        suspend_ms: header.suspend_timeout_millis,
    };
    let to = Puller { inner: Arc::clone(inner), reply, code, began };
    inner.broker.pull(peer, &pull, to);
}

/// The response code of an answer that was allowed.
fn code_of(code: PullCode) -> i32 {
    match code {
        PullCode::Found => response::SUCCESS,
        PullCode::NotFound => response::PULL_NOT_FOUND,
        PullCode::RetryImmediately => response::PULL_RETRY_IMMEDIATELY,
        PullCode::OffsetMoved => response::PULL_OFFSET_MOVED,
    }
}

impl PullTo for Puller {
    fn pulled(self: Box<Self>, result: Result<Pulled, PullError>, waited: bool) {
        let Self { inner, reply, code, began } = *self;
        let pulled = match result {
            Ok(pulled) => pulled,
            Err(error) => {
                let refusal = Refusal::from(error);
                inner.measure(code, refusal.code, waited, began);
                reply.send(refusal.into_command());
                return;
            }
        };
        let answer = &pulled.answer;
        let mut command = Command::response(code_of(answer.code)).with_remark(answer.status.name());
        let ext = &mut command.ext;
        ext.push_number("suggestWhichBrokerId", answer.suggested_broker);
        ext.push_number("nextBeginOffset", answer.next);
        ext.push_number("minOffset", answer.min);
        ext.push_number("maxOffset", answer.max);
        ext.push_number("topicSysFlag", i64::from(pulled.topic_sys_flag));
        ext.push_number("groupSysFlag", i64::from(pulled.group_sys_flag));
        inner.measure(code, command.code, waited, began);
        reply.send_parts(command, std::slice::from_ref(&pulled.records));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_answers() {
        for (code, want) in [
            (PullCode::Found, 0),
            (PullCode::NotFound, 19),
            (PullCode::RetryImmediately, 20),
            (PullCode::OffsetMoved, 21),
        ] {
            assert_eq!(code_of(code), want);
        }
    }
}
