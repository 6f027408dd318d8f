//! The operator.

use std::process::ExitCode;

fn main() -> ExitCode {
    rmq_operator::main(std::env::args_os())
}
