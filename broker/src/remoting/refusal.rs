//! A refused request: response code and text. The only place where errors become codes is
//! [`super::codes`].

use rmq_remoting::code::response;
use rmq_remoting::header::HeaderError;
use rmq_remoting::json::JsonError;
use rmq_remoting::{Command, ExtFields};

/// Why a request is not answered with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Response code.
    pub(crate) code: i32,
    /// Text for a person.
    pub(crate) remark: String,
    /// Header fields that clients read with this code; in a box, so that results stay small.
    pub(crate) ext: Box<ExtFields>,
}

impl Refusal {
    pub(crate) fn new(code: i32, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into(), ext: Box::default() }
    }

    /// Code 1.
    pub(crate) fn internal(remark: impl Into<String>) -> Self {
        Self::new(response::SYSTEM_ERROR, remark)
    }

    pub(crate) fn into_command(self) -> Command {
        let mut command = Command::response(self.code);
        if !self.remark.is_empty() {
            command = command.with_remark(self.remark);
        }
        command.ext = *self.ext;
        command
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        Self::internal(format!("the body is not as expected: {error}"))
    }
}
