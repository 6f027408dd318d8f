//! The client against servers that follow a script.

mod calls;
mod consuming;
mod fake;
mod sending;
