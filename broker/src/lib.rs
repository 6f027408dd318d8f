//! The RocketMQ broker.

pub mod cli;
pub mod config;
pub mod service;
