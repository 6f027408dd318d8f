//! A live server on loopback, well-behaved and hostile peers.

mod both_ways;
mod bounds;
mod hostile;
mod support;
