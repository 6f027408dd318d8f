//! Bodies of batch sends: elements stay inside the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_record::batch::elements;

fuzz_target!(|data: &[u8]| {
    let mut bytes = 0;
    for element in elements(data) {
        let Ok(element) = element else { break };
        bytes += element.body.len() + element.properties.len();
    }
    assert!(bytes <= data.len());
});
