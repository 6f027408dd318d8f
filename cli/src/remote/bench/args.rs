//! Options of `rmq bench`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::template::HeaderForm;
use crate::remote::connect::Connect;
use crate::remote::time::{duration, size};

/// Measure a broker: throughput, latency, and what its process uses.
///
/// The generator is one thread on a few sockets with requests that are encoded once, so that it
/// costs little on the machine it may share with the broker. Any RocketMQ broker can be measured.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    pub(super) load: Load,
    #[command(flatten)]
    pub(super) connect: Connect,
}

#[derive(Debug, Subcommand)]
pub(super) enum Load {
    /// Send messages and measure each answer
    Produce(ProduceArgs),
    /// Read messages that are there, from the first to the last, again and again
    Consume(ConsumeArgs),
    /// Send and read at once and measure from send to delivery
    Pipeline(PipelineArgs),
}

/// Options of every load.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Topic; made if it does not exist
    #[arg(short, long, default_value = "rmq-bench")]
    pub(super) topic: String,
    /// Queues of the topic, if it has to be made
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) queues: u32,
    /// Broker to measure, if the topic is on several
    #[arg(long, value_name = "NAME")]
    pub(super) broker: Option<String>,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(super) duration: Duration,
    /// How long to run before measuring
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub(super) warmup: Duration,
    /// Process of the broker [default: who listens on its address, if that is this machine]
    #[arg(long, value_name = "PID")]
    pub(super) server_pid: Option<u32>,
}

/// Options of loads that send.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Connections to send on
    #[arg(short, long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) connections: u16,
    /// Requests under way at once on each connection
    #[arg(short, long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=16384))]
    pub(super) in_flight: u16,
    /// Bytes of a body, such as 128 or 1KiB
    #[arg(short, long, value_name = "SIZE", default_value = "1KiB", value_parser = size)]
    pub(super) size: usize,
    /// Messages in a request
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) batch: u16,
    /// Messages a second, whether the broker keeps up or not; latency then counts from the moment
    /// a message was due. Without it, each answer lets the next request go
    #[arg(short, long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// How requests are written
    #[arg(long, value_name = "FORM", value_enum, default_value_t = HeaderForm::V2)]
    pub(super) header: HeaderForm,
    /// Tag of every message
    #[arg(long)]
    pub(super) tag: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ProduceArgs {
    #[command(flatten)]
    pub(super) send: SendArgs,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct ConsumeArgs {
    /// Connections to read on; the queues are dealt out to them
    #[arg(short, long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) connections: u16,
    /// Most messages of an answer
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(i32).range(1..=1024))]
    pub(super) pull_max: i32,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct PipelineArgs {
    #[command(flatten)]
    pub(super) send: SendArgs,
    /// Groups that read every message, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) groups: u16,
    /// Most messages of an answer
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(i32).range(1..=1024))]
    pub(super) pull_max: i32,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Load {
    pub(super) fn common(&self) -> &Common {
        match self {
            Self::Produce(args) => &args.common,
            Self::Consume(args) => &args.common,
            Self::Pipeline(args) => &args.common,
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && 0.0 < rate => Ok(rate),
        _ => Err(format!("{text:?} is no rate")),
    }
}
