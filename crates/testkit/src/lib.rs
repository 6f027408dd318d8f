//! Test support: a clock that tests move by hand, and more in the modules below.

pub mod clock;
pub mod disk;
