//! One request or answer.

use crate::code::response;
use crate::ext::ExtFields;
use crate::frame;
use crate::header::{Header, HeaderError};
use crate::text::ByteStr;
use bytes::{Bytes, BytesMut};
use rmq_model::peer::{Language, ProtocolVersion};

/// How the header of a frame is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Type byte 0.
    #[default]
    Json,
    /// Type byte 1, `ROCKETMQ`. Its code has 16 bits: codes from 32768 on do not fit.
    Binary,
}

/// Flag bit of an answer.
pub const FLAG_RESPONSE: i32 = 1;
/// Flag bit of a request that wants no answer.
pub const FLAG_ONEWAY: i32 = 2;

/// A request or an answer: the content of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Request code or response code, see [`crate::code`].
    pub code: i32,
    /// Language of the sender.
    pub language: Language,
    /// Release of the sender.
    pub version: ProtocolVersion,
    /// Tells which request an answer belongs to; chosen by the requester, any value.
    pub opaque: i32,
    /// [`FLAG_RESPONSE`] and [`FLAG_ONEWAY`].
    pub flag: i32,
    /// Text for a person, mostly why a request failed.
    pub remark: Option<ByteStr>,
    /// Header fields.
    pub ext: ExtFields,
    /// What follows the header; empty and absent are the same.
    pub body: Bytes,
    /// How the header was or will be written.
    pub encoding: Encoding,
}

impl Command {
    fn new(code: i32, flag: i32) -> Self {
        Self {
            code,
            language: Language::Rust,
            version: ProtocolVersion::CURRENT,
            opaque: 0,
            flag,
            remark: None,
            ext: ExtFields::new(),
            body: Bytes::new(),
            encoding: Encoding::Json,
        }
    }

    /// A request in JSON; `opaque` is set by whoever sends it.
    pub fn request(code: i32) -> Self {
        Self::new(code, 0)
    }

    /// A request that wants no answer.
    pub fn oneway(code: i32) -> Self {
        Self::new(code, FLAG_ONEWAY)
    }

    /// An answer whose `opaque` and encoding are set by whoever sends it.
    pub fn response(code: i32) -> Self {
        Self::new(code, FLAG_RESPONSE)
    }

    /// The answer to a request of a code that is not served, with the text that clients and tools know.
    pub fn not_supported(request: i32) -> Self {
        Self::response(response::REQUEST_CODE_NOT_SUPPORTED)
            .with_remark(format!(" request type {request} not supported"))
    }

    /// With a text for a person.
    #[must_use]
    pub fn with_remark(mut self, remark: impl Into<ByteStr>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// With a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With one more header field.
    #[must_use]
    pub fn with_ext(mut self, key: &'static str, value: impl Into<ByteStr>) -> Self {
        self.ext.push(key, value);
        self
    }

    /// With all fields of `header`.
    #[must_use]
    pub fn with_header(mut self, header: &impl Header) -> Self {
        header.to_ext(&mut self.ext);
        self
    }

    /// Bit 0 of the flag.
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Bit 1 of the flag.
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// The header fields as a typed value.
    ///
    /// # Errors
    /// [`HeaderError`] names the field; the request is to be answered with code 1 and it as remark.
    pub fn decode<H: Header>(&self) -> Result<H, HeaderError> {
        H::from_ext(&self.ext)
    }

    /// Appends the whole frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        frame::encode_head(self, self.body.len(), out);
        out.extend_from_slice(&self.body);
    }

    /// Appends the frame up to its body, which has `body_len` bytes and is sent by other means;
    /// `self.body` is not looked at.
    pub fn encode_head(&self, body_len: usize, out: &mut BytesMut) {
        frame::encode_head(self, body_len, out);
    }
}
