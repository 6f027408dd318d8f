//! The RocketMQ name server.

fn main() {}
