//! Offsets of queues and of groups.

use crate::client::{Client, answer_header};
use crate::error::CallError;
use crate::route::MASTER_ID;
use rmq_model::{MessageQueue, Millis};
use rmq_remoting::header::{
    GetMaxOffset, Header, OfQueue, OffsetResponse, QueryConsumerOffset, SearchOffset,
    UpdateConsumerOffset,
};
use rmq_remoting::{ByteStr, Command, code};

impl Client {
    /// Address of the broker that holds `queue`.
    ///
    /// # Errors
    /// As [`Client::route`], and [`CallError::Unknown`] if the broker is gone.
    pub async fn queue_address(&self, queue: &MessageQueue) -> Result<String, CallError> {
        let route = self.route(&queue.topic).await?;
        let addr = route.reader(&queue.broker_name, MASTER_ID).map(str::to_owned);
        addr.ok_or_else(|| CallError::Unknown {
            what: "broker",
            name: queue.broker_name.to_string(),
            known: route.brokers.keys().map(ToString::to_string).collect(),
        })
    }

    /// Offset of the next message that will be stored in `queue`.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<i64, CallError> {
        let header = GetMaxOffset {
            topic: (&queue.topic).into(),
            queue_id: queue.queue_id,
            committed: true,
            broker_name: Some((&queue.broker_name).into()),
        };
        self.ask_offset(queue, code::request::GET_MAX_OFFSET, &header).await
    }

    /// Offset of the oldest message that is still in `queue`.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<i64, CallError> {
        let header = OfQueue {
            topic: (&queue.topic).into(),
            queue_id: queue.queue_id,
            broker_name: Some((&queue.broker_name).into()),
        };
        self.ask_offset(queue, code::request::GET_MIN_OFFSET, &header).await
    }

    /// Offset of the first message of `queue` that was stored at `time` or later.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn offset_at(&self, queue: &MessageQueue, time: Millis) -> Result<i64, CallError> {
        let header = SearchOffset {
            topic: (&queue.topic).into(),
            queue_id: queue.queue_id,
            timestamp: time,
            boundary_type: None,
            broker_name: Some((&queue.broker_name).into()),
        };
        self.ask_offset(queue, code::request::SEARCH_OFFSET_BY_TIMESTAMP, &header).await
    }

    /// What `group` has committed for `queue`; `None` if nothing.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn committed(
        &self,
        group: &str,
        queue: &MessageQueue,
    ) -> Result<Option<i64>, CallError> {
        let header = QueryConsumerOffset {
            consumer_group: ByteStr::copy(group),
            topic: (&queue.topic).into(),
            queue_id: queue.queue_id,
            set_zero_if_not_found: Some(false),
            broker_name: Some((&queue.broker_name).into()),
            logical: None,
        };
        match self.ask_offset(queue, code::request::QUERY_CONSUMER_OFFSET, &header).await {
            Err(error) if error.code() == Some(code::response::QUERY_NOT_FOUND) => Ok(None),
            result => result.map(Some),
        }
    }

    /// Stores that `group` has consumed `queue` up to, not including, `offset`.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn commit(
        &self,
        group: &str,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<(), CallError> {
        let addr = self.queue_address(queue).await?;
        let header = UpdateConsumerOffset {
            consumer_group: ByteStr::copy(group),
            topic: (&queue.topic).into(),
            queue_id: Some(queue.queue_id),
            commit_offset: Some(offset),
            broker_name: Some((&queue.broker_name).into()),
            logical: None,
        };
        let command = Command::request(code::request::UPDATE_CONSUMER_OFFSET).with_header(&header);
        self.ask(&addr, command).await.map(|_answer| ())
    }

    async fn ask_offset(
        &self,
        queue: &MessageQueue,
        request: i32,
        header: &impl Header,
    ) -> Result<i64, CallError> {
        let addr = self.queue_address(queue).await?;
        let answer = self.ask(&addr, Command::request(request).with_header(header)).await?;
        let found: OffsetResponse = answer_header(&addr, request, &answer)?;
        Ok(found.offset)
    }
}
