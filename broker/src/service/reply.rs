//! Request and reply: replies find their way to the client that asked (requests 324 and 325).

use crate::service::Broker;
use rmq_delivery::ConnId;
use rmq_model::message::{PUSH_REPLY_TIME, REPLY_TO_CLIENT};
use rmq_record::properties::{self, TextBuilder};

/// Where a reply goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyTarget {
    /// To this connection, with these properties.
    Client {
        /// Connection of the client that asked.
        conn: ConnId,
        /// Properties text with the time of the push.
        properties: Vec<u8>,
    },
    /// Nowhere; the text says why.
    Nowhere(String),
}

impl Broker {
    /// Finds the client that a reply is for.
    pub fn reply_target(&self, text: &[u8]) -> ReplyTarget {
        let Some(client_id) = properties::get(text, REPLY_TO_CLIENT) else {
            let why = format!("{REPLY_TO_CLIENT} is null, can not reply message");
            return ReplyTarget::Nowhere(why);
        };
        let Some(conn) = self.clients.read().producer(client_id) else {
            return ReplyTarget::Nowhere(format!(
                "push reply message fail, channel of <{client_id}> not found."
            ));
        };
        let mut builder = TextBuilder::from_text(text);
        builder.set(PUSH_REPLY_TIME, &self.now().to_string());
        ReplyTarget::Client { conn, properties: builder.as_bytes().to_vec() }
    }
}
