//! The remoting front door: frames in, answers out, and nothing decided here.
//!
//! One file per family of codes; [`table`] says which code goes where, [`codes`] which response
//! code an error becomes.

mod assignment;
mod body;
mod broker;
mod clients;
mod codes;
mod forward;
mod front;
mod groups;
mod inspect;
mod jobs;
mod lookup;
mod offsets;
mod paging;
mod peers;
mod pull;
mod refusal;
mod replies;
mod send;
mod status;
mod table;
mod topics;

pub(crate) use front::{Front, World};
pub(crate) use jobs::Jobs;
pub(crate) use peers::Peers;
