//! Finding messages.

use super::Admin;
use crate::client::not_understood;
use crate::error::CallError;
use crate::message::Delivered;
use rmq_model::{Millis, message};
use rmq_record::OffsetId;
use rmq_remoting::header::{QueryMessage, ViewMessage};
use rmq_remoting::{ByteStr, Command, code};

impl Admin {
    /// The message that `id` names, from the broker whose address is in the id.
    ///
    /// # Errors
    /// As [`crate::Client::ask`]; code 1 if there is nothing at that place.
    pub async fn message_at(&self, id: OffsetId) -> Result<Delivered, CallError> {
        const REQUEST: i32 = code::request::VIEW_MESSAGE_BY_ID;
        let addr = id.host.to_string();
        let offset = id.offset.to_wire();
        let header = ViewMessage { topic: None, offset, broker_name: None };
        let command = Command::request(REQUEST).with_header(&header);
        let answer = self.client.ask(&addr, command).await?;
        let found = Delivered::decode_all(&answer.body)
            .map_err(|reason| not_understood(&addr, REQUEST, reason))?;
        let first = found.into_iter().next();
        first.ok_or_else(|| not_understood(&addr, REQUEST, "it has no message"))
    }

    /// Messages of `topic` with the unique id `id`, from all brokers.
    ///
    /// # Errors
    /// As [`crate::Client::route`] and [`crate::Client::ask`].
    pub async fn messages_by_unique_id(
        &self,
        topic: &str,
        id: &str,
    ) -> Result<Vec<Delivered>, CallError> {
        let found = self.query(topic, id, true, 32, (0, Millis::MAX)).await?;
        Ok(found.into_iter().filter(|m| m.property(message::UNIQ_KEY) == Some(id)).collect())
    }

    /// Messages of `topic` with `key`, stored within `times` (first and last), from all brokers,
    /// newest first.
    ///
    /// # Errors
    /// As [`crate::Client::route`] and [`crate::Client::ask`].
    pub async fn messages_by_key(
        &self,
        topic: &str,
        key: &str,
        max: u32,
        times: (Millis, Millis),
    ) -> Result<Vec<Delivered>, CallError> {
        let found = self.query(topic, key, false, max, times).await?;
        // The broker's index holds hashes: others may have the same.
        let has_key = |m: &Delivered| {
            m.property(message::KEYS).is_some_and(|keys| keys.split(' ').any(|k| k == key))
        };
        let mut found: Vec<_> = found.into_iter().filter(has_key).collect();
        found.sort_by_key(|m| std::cmp::Reverse(m.store_timestamp));
        found.truncate(usize::try_from(max).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn query(
        &self,
        topic: &str,
        key: &str,
        unique: bool,
        max: u32,
        (begin, end): (Millis, Millis),
    ) -> Result<Vec<Delivered>, CallError> {
        const REQUEST: i32 = code::request::QUERY_MESSAGE;
        let route = self.client.fetch_route(topic).await?;
        let mut messages = Vec::new();
        let command = Command::request(REQUEST).with_header(&QueryMessage {
            topic: ByteStr::copy(topic),
            key: ByteStr::copy(key),
            max_num: i32::try_from(max).unwrap_or(i32::MAX),
            begin_timestamp: begin,
            end_timestamp: end,
            unique_key: unique,
            index_type: None,
            broker_name: None,
        });
        for (_, addr) in route.masters() {
            match self.client.ask(addr, command.clone()).await {
                Ok(answer) => messages.extend(
                    Delivered::decode_all(&answer.body)
                        .map_err(|reason| not_understood(addr, REQUEST, reason))?,
                ),
                Err(error) if error.code() == Some(code::response::QUERY_NOT_FOUND) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(messages)
    }
}
