//! Why a call did not do what it should.

use rmq_net::{ConnectError, RequestError};
use rmq_remoting::code;

/// Why a call failed. Names the peer, what was asked and what came back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// None of the name servers could be asked.
    #[error("no name server answers: {tried}")]
    NoNameServer {
        /// Each server with its reason.
        tried: String,
    },
    /// The peer is not there. Another broker may be.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request went out, no answer came. It may have been carried out.
    #[error("{request} to {peer} has no answer")]
    NoAnswer {
        /// Who was asked.
        peer: String,
        /// What.
        request: String,
        /// How the wait ended.
        #[source]
        source: RequestError,
    },
    /// The peer says no.
    #[error("{peer} refuses {request} with code {code}{}", colon(.remark))]
    Refused {
        /// Who was asked.
        peer: String,
        /// What.
        request: String,
        /// Response code.
        code: i32,
        /// Reason in the peer's words, perhaps empty.
        remark: String,
    },
    /// The peer's answer makes no sense.
    #[error("the answer of {peer} to {request} is not understood: {reason}")]
    Answer {
        /// Who was asked.
        peer: String,
        /// What.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The name server knows no broker with this topic.
    #[error("topic {topic} has no route: no running broker has it")]
    NoRoute {
        /// The topic.
        topic: String,
    },
    /// The route has no queue for what is wanted.
    #[error("topic {topic} has no {what} queue at the moment")]
    NoQueue {
        /// The topic.
        topic: String,
        /// `writable` or `readable`.
        what: &'static str,
    },
    /// The name server knows no such broker or cluster, or its master is away.
    #[error("no running {what} is named {name}{}", there_is(.known))]
    Unknown {
        /// `broker` or `cluster`.
        what: &'static str,
        /// The name.
        name: String,
        /// Names there are.
        known: Vec<String>,
    },
    /// No broker has registered at the name server.
    #[error("the name server knows no running broker")]
    NoBroker,
    /// What was asked for is wrong in itself.
    #[error("{0}")]
    Argument(String),
}

impl CallError {
    /// Response code, if the peer refused.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::NoNameServer { .. }
            | Self::Connect(_)
            | Self::NoAnswer { .. }
            | Self::Answer { .. }
            | Self::NoRoute { .. }
            | Self::NoQueue { .. }
            | Self::Unknown { .. }
            | Self::NoBroker
            | Self::Argument(_) => None,
        }
    }

    /// Whether the peer could not be talked to, so that another one should be tried.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::NoAnswer { .. })
    }
}

/// Name of a request code for messages: `send_message_v2`, or `request 4711`.
pub(crate) fn request_name(request: i32) -> String {
    code::request_name(request).map_or_else(|| format!("request {request}"), str::to_owned)
}

fn colon(remark: &str) -> String {
    if remark.is_empty() { String::new() } else { format!(": {remark}") }
}

fn there_is(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (there is {})", names.join(", ")) }
}
