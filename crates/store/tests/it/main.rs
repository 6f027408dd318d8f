//! The store as its users see it.

mod basics;
mod crash;
mod files;
mod model;
mod offline;
mod promise;
mod put;
mod raw;
mod retention;
mod support;
mod turns;
