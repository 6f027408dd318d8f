//! Remoting over TCP: accept, framing, deadlines, in-flight bounds, both directions of a connection.
//!
//! A connection has one task. It takes what the socket has, splits it into frames and hands all of
//! them to the [`Service`] in one call; answers that came together go out in one vectored write.
//! Whoever answers later, on whatever thread, puts the answer into the connection's outbox and wakes
//! the task – once, however many answers follow before it runs.
//!
//! Everything has a bound: connections, requests in flight and their bytes (then nothing more is
//! read), bytes waiting to be written (then the peer is cut), requests of our own that wait for an
//! answer, idle time. What a request means is not known here.
#![warn(missing_docs)]

mod budget;
mod config;
mod connect;
mod connection;
mod drive;
mod outbox;
mod owner;
mod proxy;
mod rarely;
mod reply;
mod server;
mod service;
mod sniff;
mod spawn;

pub use config::{ClientConfig, Limits, ServerConfig};
pub use connect::{ConnectError, Connector};
pub use connection::{ConnId, Connection, RequestError};
pub use owner::port_owner;
pub use reply::Reply;
pub use server::{BindError, Server};
pub use service::{AskOnly, Request, Service};
