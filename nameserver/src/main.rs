//! The RocketMQ name server.

use std::process::ExitCode;

fn main() -> ExitCode {
    rmq_nameserver::main()
}
