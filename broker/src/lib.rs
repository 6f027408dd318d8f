//! The RocketMQ broker.
