//! Property texts of messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_record::properties::{Known, TextBuilder, get, iter};

fuzz_target!(|data: &[u8]| {
    for (name, value) in iter(data) {
        assert!(name.len() + value.len() < data.len());
    }
    let _ = (get(data, "TAGS"), Known::of(data).delay_level());
    let mut builder = TextBuilder::from_text(data);
    builder.set("TAGS", "a");
    assert_eq!(builder.get("TAGS"), Some("a"));
});
