//! rmq: run and administer RocketMQ clusters.

fn main() {}
