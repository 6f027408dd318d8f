//! The scenarios.

pub mod crash;
pub mod drivers;
pub mod mixed;
pub mod oracle;
