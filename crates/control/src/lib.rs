//! The control API: what the operator asks of brokers and name servers and the admin protocol
//! cannot say.
//!
//! [`v1`] is generated from `proto/control.proto`, which documents every message. The rest is what
//! both ends must agree on besides: the port, the [`Bearer`] token of a request and the rule that a
//! changing call reaches only the process it is meant for ([`check_target`]).
#![warn(missing_docs)]

mod auth;
mod target;

pub use auth::{Bearer, BearerError, bearer_token, same_token};
pub use target::check_target;
pub use tonic;

/// Version 1 of the API.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto has the words"
)]
pub mod v1 {
    include!("generated/rmq.control.v1.rs");
}

/// The control port of a process that listens on `listen`: two above it.
///
/// `None` when there is no such port.
pub fn control_port(listen: u16) -> Option<u16> {
    listen.checked_add(2).filter(|_| 0 < listen)
}

/// Longest reason that comes with a change, in characters.
pub const REASON_CHARS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_port_is_two_above() {
        let ports = [(10_911, Some(10_913)), (9_876, Some(9_878)), (0, None), (65_534, None)];
        for (listen, control) in ports {
            assert_eq!(control_port(listen), control, "{listen}");
        }
    }
}
