//! A broker in this process and bare clients over sockets.
#![cfg(test)]

mod clients;
mod consume;
mod control;
mod delay;
mod inspect;
mod produce;
mod replica;
mod restart;
mod topics;
mod wire;
mod world;
