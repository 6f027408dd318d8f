//! The RocketMQ broker.

fn main() {}
