//! The control API: what the operator asks of brokers and name servers and the admin protocol cannot say.
#![warn(missing_docs)]
