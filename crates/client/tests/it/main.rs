//! The client against servers that follow a script.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod consuming;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod sending;
