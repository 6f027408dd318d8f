//! The RocketMQ broker.

use std::process::ExitCode;

fn main() -> ExitCode {
    rmq_broker::main(std::env::args_os())
}
