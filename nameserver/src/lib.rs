//! The RocketMQ name server.
