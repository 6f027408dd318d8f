//! Which code goes where.

use super::front::{Answer, Call, Own};
use super::{assignment, broker, clients, groups, inspect, offsets, replies, send, topics};
use rmq_remoting::code::request;

/// How a request is worked off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    /// Collected with the other sends of its batch.
    Send,
    /// Answered at once, after a read, or when messages arrive.
    Pull,
    /// Answered at once, without blocking.
    Inline(fn(&Call<'_>) -> Answer),
    /// Answered from a thread that may block.
    Blocking(fn(&Call<'_>) -> Answer),
    /// Answers by itself, later.
    Own(fn(Own)),
}

/// Where a code goes; `None` is answered with code 3.
pub(crate) fn handler(code: i32) -> Option<Handler> {
    use Handler::{Blocking, Inline, Own, Pull, Send};
    Some(match code {
        request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => Send,
        request::CONSUMER_SEND_MSG_BACK => Own(send::send_back),
        request::SEND_REPLY_MESSAGE | request::SEND_REPLY_MESSAGE_V2 => Own(replies::send_reply),
        request::PULL_MESSAGE | request::LITE_PULL_MESSAGE => Pull,

        request::QUERY_CONSUMER_OFFSET => Inline(offsets::query),
        request::UPDATE_CONSUMER_OFFSET => Inline(offsets::update),
        request::SEARCH_OFFSET_BY_TIMESTAMP => Blocking(offsets::search),
        request::GET_MAX_OFFSET => Inline(offsets::max),
        request::GET_MIN_OFFSET => Inline(offsets::min),
        request::GET_EARLIEST_MSG_STORETIME => Blocking(offsets::earliest),

        request::HEART_BEAT => Inline(clients::heartbeat),
        request::UNREGISTER_CLIENT => Inline(clients::unregister),
        request::GET_CONSUMER_LIST_BY_GROUP => Inline(clients::ids),
        request::LOCK_BATCH_MQ => Inline(clients::lock),
        request::UNLOCK_BATCH_MQ => Inline(clients::unlock),
        request::CHECK_CLIENT_CONFIG => Inline(clients::check),
        request::QUERY_ASSIGNMENT => Own(assignment::query),
        request::SET_MESSAGE_REQUEST_MODE => Blocking(assignment::set_mode),
        request::GET_ALL_MESSAGE_REQUEST_MODE => Inline(assignment::all_modes),

        request::UPDATE_AND_CREATE_TOPIC => Blocking(topics::update),
        request::UPDATE_AND_CREATE_TOPIC_LIST => Blocking(topics::update_list),
        request::DELETE_TOPIC_IN_BROKER => Blocking(topics::delete),
        request::GET_ALL_TOPIC_CONFIG => Inline(topics::all),
        request::GET_TOPIC_CONFIG => Inline(topics::one),

        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => Blocking(groups::update),
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => Blocking(groups::update_list),
        request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => Inline(groups::all),
        request::GET_SUBSCRIPTIONGROUP_CONFIG => Inline(groups::one),
        request::DELETE_SUBSCRIPTIONGROUP => Blocking(groups::delete),
        request::UPDATE_AND_GET_GROUP_FORBIDDEN => Blocking(groups::forbidden),

        request::UPDATE_BROKER_CONFIG => Blocking(broker::update_config),
        request::GET_BROKER_CONFIG => Inline(broker::get_config),
        request::NOTIFY_MIN_BROKER_ID_CHANGE => Inline(broker::min_broker_changed),
        _ => return inspect::handler(code),
    })
}

/// Whether the fast port serves a code: pulls would hold up the sends it is for.
pub(crate) fn is_on_fast_port(code: i32) -> bool {
    !matches!(code, request::PULL_MESSAGE | request::LITE_PULL_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_remoting::code::REQUESTS;
    use std::collections::BTreeMap;

    /// Code, name and state of every row of the page's tables.
    fn documented() -> BTreeMap<i32, (String, bool)> {
        let page = include_str!("../../../docs/compatibility.md");
        let mut rows = BTreeMap::new();
        for line in page.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, code, name, state, ..] = cells[..] else { continue };
            let Ok(code) = code.parse() else { continue };
            let served = match state {
                "served" => true,
                "not available" => false,
                _ => continue,
            };
            assert!(rows.insert(code, (name.to_owned(), served)).is_none(), "{code} twice");
        }
        rows
    }

    #[test]
    fn the_page_says_what_the_program_does() {
        let rows = documented();
        for (code, (name, served)) in &rows {
            assert_eq!(handler(*code).is_some(), *served, "{code} {name}");
            if let Some((_, known)) = REQUESTS.iter().find(|(known, _)| known == code) {
                assert_eq!(&name.to_ascii_lowercase(), known, "{code}");
            }
        }
        for (code, name) in REQUESTS {
            if handler(*code).is_some() {
                assert!(rows.contains_key(code), "{code} {name} is served and not on the page");
            }
        }
    }

    #[test]
    fn only_pulls_are_kept_off_the_fast_port() {
        for (code, _) in REQUESTS {
            assert_eq!(is_on_fast_port(*code), ![11, 361].contains(code), "{code}");
        }
    }
}
