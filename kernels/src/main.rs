//! `rmq-kernels NAME TIMES`: runs one inner loop of the servers so many times.
//!
//! Counted under valgrind at two values of TIMES, the difference is what one turn costs: start and
//! end fall out. `cargo xtask test --only kernels` compares that with `budget.txt`.

mod messages;
mod remoting;

use anyhow::{Context as _, ensure};

/// One inner loop.
struct Kernel {
    name: &'static str,
    run: fn(u32) -> anyhow::Result<()>,
}

const KERNELS: &[Kernel] = &[
    Kernel { name: "send-request-json", run: remoting::send_request_json },
    Kernel { name: "send-request-binary", run: remoting::send_request_binary },
    Kernel { name: "send-answer-json", run: remoting::send_answer_json },
    Kernel { name: "pull-request-json", run: remoting::pull_request_json },
    Kernel { name: "prepare-1k", run: messages::prepare },
    Kernel { name: "append-32x1k", run: messages::append },
    Kernel { name: "read-32x1k", run: messages::read },
    Kernel { name: "record-check-1k", run: messages::check },
];

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().context("usage: rmq-kernels NAME TIMES")?;
    let times = args.next().context("say how many times")?.parse().context("TIMES is a number")?;
    ensure!(args.next().is_none(), "too many arguments");
    let kernel = KERNELS.iter().find(|kernel| kernel.name == name);
    let kernel = kernel.with_context(|| {
        let names: Vec<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
        format!("there is no kernel {name}; there are {}", names.join(", "))
    })?;
    (kernel.run)(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_runs_and_has_a_budget() {
        let budget = include_str!("../budget.txt");
        let named = |line: &&str| !line.starts_with('#') && !line.is_empty();
        let names: Vec<&str> =
            budget.lines().filter(named).filter_map(|line| line.split(' ').next()).collect();
        let kernels: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
        assert_eq!(names, kernels);
        for kernel in KERNELS {
            (kernel.run)(2).unwrap_or_else(|error| panic!("{}: {error:#}", kernel.name));
        }
    }
}
