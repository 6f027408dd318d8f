//! What every program needs around its core: tasks and signals, configuration layering,
//! telemetry, metrics and the health endpoint.
//!
//! This is the only crate that reads real clocks and the only caller of `tokio::spawn`. It knows
//! nothing about messaging.
#![warn(missing_docs)]

pub mod clock;
pub mod durable;
pub mod exit;
pub mod files;
pub mod grpc;
pub mod http;
pub mod ids;
pub mod metrics;
pub mod runtime;
pub mod settings;
pub mod signals;
pub mod tasks;
pub mod telemetry;

pub use clock::SystemClock;
pub use rmq_pod::properties;
pub use settings::{Origin, SettingError, Settings};
pub use tasks::Tasks;
