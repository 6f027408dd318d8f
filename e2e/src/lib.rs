//! Black-box scenarios against the shipped programs.
