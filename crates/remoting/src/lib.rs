//! RocketMQ remoting frames, headers, codes and bodies.
//!
//! Bytes in, values out, and back: nothing here knows a socket, a runtime or what a broker does with
//! a request. The layout is in `docs/formats/remoting.md`.
#![warn(missing_docs)]

pub mod body;
pub mod code;
pub mod command;
mod digits;
pub mod ext;
pub mod frame;
pub mod ha;
pub mod header;
pub mod json;
mod swar;
pub mod text;

pub use command::{Command, Encoding};
pub use ext::ExtFields;
pub use frame::{FrameError, take_frame};
pub use header::{Header, HeaderError};
pub use text::ByteStr;
