//! The broker itself: 25, 26 and 905.

use super::front::{Answer, Call};
use super::refusal::Refusal;
use rmq_host::properties;
use rmq_remoting::Command;
use rmq_remoting::code::response;
use rmq_remoting::header::{GetBrokerConfigResponse, NotifyMinBrokerIdChange};

pub(super) fn update_config(call: &Call<'_>) -> Answer {
    let given = properties::parse(&call.command.body)
        .map_err(|error| Refusal::internal(format!("the body is not as expected: {error}")))?;
    let entries = given.entries().iter();
    let changes: Vec<(&str, &str)> =
        entries.map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    if changes.is_empty() {
        return Err(Refusal::internal("string2Properties error: nothing to change"));
    }
    call.broker().change_settings(&changes)?;
    Ok(Command::response(response::SUCCESS))
}

pub(super) fn get_config(call: &Call<'_>) -> Answer {
    let version = serde_json::to_string(&call.broker().settings_version())
        .map_err(|error| Refusal::internal(error.to_string()))?;
    let header = GetBrokerConfigResponse { version: Some(version.into()) };
    let text = call.broker().settings_text();
    Ok(Command::response(response::SUCCESS).with_header(&header).with_body(text.into_bytes()))
}

/// A name server says that the smallest id of this broker name changed. A master alone has no
/// replica that could take over or come back.
pub(super) fn min_broker_changed(call: &Call<'_>) -> Answer {
    let header: NotifyMinBrokerIdChange = call.command.decode()?;
    tracing::debug!(min_broker_id = header.min_broker_id, "smallest broker id changed");
    Ok(Command::response(response::SUCCESS))
}
