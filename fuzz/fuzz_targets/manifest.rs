//! Manifests: errors, never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = rmq_operator_api::manifest::read(text).map_err(|errors| {
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        });
    }
});
