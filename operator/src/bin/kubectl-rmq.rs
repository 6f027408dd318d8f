//! `kubectl rmq`: a person's view of the clusters that the operator runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    rmq_operator::plugin::main(std::env::args_os())
}
