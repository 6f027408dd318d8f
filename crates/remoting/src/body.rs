//! Bodies of requests and answers.
//!
//! Members are declared in the order in which the reference implementation writes them, which is
//! alphabetical. [`crate::json::from_slice`] reads a body, [`crate::json::to_vec`] writes one. Absent
//! members take their default on reading; `None` is left out on writing.

mod client;
mod ha;
mod inflate;
mod properties;
mod register;
mod route;
mod stats;
mod table;

pub use client::*;
pub use ha::*;
pub use inflate::{InflateError, deflate, inflate};
pub use properties::{PropertiesTextError, parse_properties, write_properties};
pub use register::{RegisterBody, RegisterBodyError, body_crc, check_crc};
pub use route::*;
pub use stats::*;
pub use table::*;

/// Declares bodies: adds what all of them derive.
macro_rules! bodies {
    ($(
        $(#[$doc:meta])*
        $type:ident {
            $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)?
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $type {
            $($(#[$field_doc])* pub $field: $kind,)*
        }
    )*};
}

pub(crate) use bodies;

#[cfg(test)]
mod tests;
