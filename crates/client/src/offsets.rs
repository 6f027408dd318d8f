//! Offsets of queues and of groups.

use crate::client::{Client, number_field};
use crate::error::CallError;
use crate::route::MASTER_ID;
use rmq_model::{MessageQueue, Millis};
use rmq_remoting::{Command, code};

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
        self.queue_number(queue, queue_command(code::request::GET_MAX_OFFSET, queue), "offset")
            .await
    }

    /// Offset of the oldest message that is still in `queue`.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<i64, CallError> {
        self.queue_number(queue, queue_command(code::request::GET_MIN_OFFSET, queue), "offset")
            .await
    }

    /// Offset of the first message of `queue` that was stored at `time` or later.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn offset_at(&self, queue: &MessageQueue, time: Millis) -> Result<i64, CallError> {
        let command = queue_command(code::request::SEARCH_OFFSET_BY_TIMESTAMP, queue)
            .with_ext("timestamp", time.to_string());
        self.queue_number(queue, command, "offset").await
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
        let command = queue_command(code::request::QUERY_CONSUMER_OFFSET, queue)
            .with_ext("consumerGroup", group.to_owned())
            .with_ext("setZeroIfNotFound", "false");
        match self.queue_number(queue, command, "offset").await {
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
        let command = queue_command(code::request::UPDATE_CONSUMER_OFFSET, queue)
            .with_ext("consumerGroup", group.to_owned())
            .with_ext("commitOffset", offset.to_string());
        self.ask(&addr, command).await.map(|_answer| ())
    }

    async fn queue_number(
        &self,
        queue: &MessageQueue,
        command: Command,
        field: &str,
    ) -> Result<i64, CallError> {
        let addr = self.queue_address(queue).await?;
        let request = command.code;
        let answer = self.ask(&addr, command).await?;
        number_field(&addr, request, &answer, field)
    }
}

fn queue_command(request: i32, queue: &MessageQueue) -> Command {
    Command::request(request)
        .with_ext("topic", queue.topic.to_string())
        .with_ext("queueId", queue.queue_id.to_string())
        .with_ext("bname", queue.broker_name.to_string())
}
