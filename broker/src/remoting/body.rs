//! JSON bodies of requests and answers; their members are those of [`rmq_remoting::body`].

use super::refusal::Refusal;
use rmq_remoting::code::response;
use rmq_remoting::{Command, json};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The body of a request.
pub(super) fn read<T: DeserializeOwned>(command: &Command) -> Result<T, Refusal> {
    Ok(json::from_slice(&command.body)?)
}

/// A text member that must be there.
pub(super) fn required<'a>(name: &str, member: &'a str) -> Result<&'a str, Refusal> {
    if member.is_empty() {
        return Err(Refusal::internal(format!("the body has no {name}")));
    }
    Ok(member)
}

/// Success with a JSON body.
pub(super) fn success(body: &impl Serialize) -> Command {
    Command::response(response::SUCCESS).with_body(json::to_vec(body))
}
