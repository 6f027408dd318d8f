//! Stored records: views stay inside the buffer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_model::LogOffset;
use rmq_record::layout::{Check, Parsed, RecordView, records};

fuzz_target!(|data: &[u8]| {
    for check in [Check::full(LogOffset::ZERO), Check { body_crc: false, at: None }] {
        if let Ok(Parsed::Record(view)) = RecordView::parse(data, check) {
            assert!(view.body.len() + view.properties.len() <= data.len());
        }
    }
    assert!(records(data).take(data.len() + 1).count() <= data.len() + 1);
});
