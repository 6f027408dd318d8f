//! What the broker does, in the words of `rmq-model`; no protocol and no socket.

pub mod stamp;
