//! Bounds and addresses.

use rmq_model::limits::{CONNECTION_IDLE_MS, FRAME_BYTES_MAX};
use std::net::SocketAddr;
use std::time::Duration;

/// Bounds of one connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest frame after its length word, in bytes.
    pub frame_bytes_max: usize,
    /// Requests being worked on or parked; at the bound nothing more is read.
    pub in_flight_max: usize,
    /// Bytes of requests being worked on; at the bound nothing more is read.
    pub in_flight_bytes_max: usize,
    /// Bytes of answers that the peer has not taken; a peer beyond it is cut. From an eighth of it on
    /// nothing more is read.
    pub outbox_bytes_max: usize,
    /// Requests of ours that wait for an answer; beyond it they are refused.
    pub pending_max: usize,
    /// Without traffic in either direction for this long the connection is closed.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: FRAME_BYTES_MAX,
            in_flight_max: 65_536,
            in_flight_bytes_max: 64 * 1024 * 1024,
            outbox_bytes_max: 128 * 1024 * 1024,
            pending_max: 65_536,
            idle: Duration::from_millis(CONNECTION_IDLE_MS),
        }
    }
}

/// What a [`crate::Server`] listens to and allows.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Addresses to listen on; all lead to the same service.
    pub addrs: Vec<SocketAddr>,
    /// Most connections; further ones are closed as they come.
    pub connections_max: usize,
    /// Bytes of requests in flight on all connections together; at the bound nothing more is read
    /// from connections that have requests in flight.
    pub in_flight_bytes_total_max: usize,
    /// Bounds of each connection.
    pub limits: Limits,
    /// A connection may begin with a PROXY protocol header (v1 or v2), whose address then counts as
    /// the peer's. Otherwise such a connection is closed.
    pub proxy_protocol: bool,
}

impl ServerConfig {
    /// Listens on `addrs`, everything else at its default.
    pub fn new(addrs: Vec<SocketAddr>) -> Self {
        Self {
            addrs,
            connections_max: 65_536,
            in_flight_bytes_total_max: 512 * 1024 * 1024,
            limits: Limits::default(),
            proxy_protocol: false,
        }
    }
}

/// How connections to others are made.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Time to resolve the name and to connect.
    pub connect_timeout: Duration,
    /// Bounds of the connection.
    pub limits: Limits,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(3), limits: Limits::default() }
    }
}
