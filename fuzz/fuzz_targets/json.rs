//! JSON bodies as fastjson and foreign clients write them: what is read and written reads and writes alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_remoting::json;

fuzz_target!(|data: &[u8]| {
    if let Ok(value) = json::to_value(data) {
        // Members that are null are left out, so texts are compared, not values.
        let written = json::to_vec_standard(&value);
        let again = json::to_value(&written).expect("what was written reads");
        assert_eq!(json::to_vec_standard(&again), written);
    }
});
