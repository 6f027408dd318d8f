//! The log: commit log, consume queues, index, checkpoint, recovery and retention.
//!
//! The files are those of the Java broker (`docs/formats/`): either can open what the other left.
//! One thread at a time writes the log: a caller of [`Store::put`] that finds it idle, or the log's
//! own. Everything that follows the log (queues, index, checkpoint) can be made again from it and is
//! written behind. Readers take no lock of the log's writer.
//!
//! For replicas the log is raw bytes: [`Store::raw_log`] reads them as they are, fillers included.
#![warn(missing_docs)]

mod appender;
mod checkpoint;
mod config;
mod damage;
pub mod disk;
pub mod durable;
mod follow;
mod index;
mod log;
mod memory;
pub mod offline;
mod prepare;
mod put;
mod query;
mod queue;
mod queues;
mod raw;
mod read;
mod recovery;
mod retention;
mod shared;
mod status;
mod steps;
mod store;
mod syncing;
mod sys;

pub use config::{
    DELAY_LEVELS, FlushMode, InboxConfig, IndexConfig, OnDamage, Retention, StoreConfig,
    UpkeepConfig,
};
pub use disk::{Disk, DiskFile, OsDisk};
pub use put::{
    Arrival, Arrivals, Observers, OneOrMany, Prepared, Put, PutDone, PutError, PutGroup, PutOk,
    PutResult, PutStatus, RecoveryProgress,
};
pub use query::QueryResult;
pub use queue::Queue;
pub use raw::{CutError, LogRange, RawError, RawLog, TailCheck};
pub use read::{Boundary, ReadLimits, ReadResult, RecordFilter};
pub use recovery::OpenError;
pub use rmq_model::ReadStatus;
pub use status::StoreStatus;
pub use steps::Steps;
pub use store::{CloseError, Store, UnitView};
