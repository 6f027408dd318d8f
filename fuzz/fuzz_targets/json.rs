//! JSON bodies as fastjson and foreign clients write them: what reads, writes and reads again alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_remoting::json;

fuzz_target!(|data: &[u8]| {
    if let Ok(value) = json::to_value(data) {
        let again = json::to_value(&json::to_vec_standard(&value)).expect("what was written reads");
        assert_eq!(value, again);
    }
});
