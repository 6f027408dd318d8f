//! A store whose files hold anything: it opens or says why not, and never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_store::{IndexConfig, Observers, OsDisk, Store, StoreConfig};
use rmq_testkit::clock::FakeClock;
use std::fs;
use std::sync::Arc;

const SEGMENT_BYTES: u64 = 16 * 1024;
const QUEUE_FILE_BYTES: u64 = 20 * 64;

fuzz_target!(|data: &[u8]| {
    let Some((&which, content)) = data.split_first() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    let mut config = StoreConfig::new(root.to_path_buf());
    config.segment_bytes = SEGMENT_BYTES;
    config.consume_queue_file_bytes = QUEUE_FILE_BYTES;
    config.index = Some(IndexConfig { slots: 16, entries: 64 });
    let (path, bytes) = match which % 4 {
        0 => ("commitlog/00000000000000000000", SEGMENT_BYTES),
        1 => ("consumequeue/T/0/00000000000000000000", QUEUE_FILE_BYTES),
        2 => ("index/20260101000000000", 40 + 4 * 16 + 20 * 64),
        _ => ("checkpoint", 4096),
    };
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("below the root")).expect("writable");
    let mut file = content.to_vec();
    file.resize(usize::try_from(bytes).expect("small"), 0);
    fs::write(&path, &file).expect("writable");
    if which & 4 != 0 {
        fs::write(root.join("abort"), b"").expect("writable");
    }
    let clock = Arc::new(FakeClock::default());
    if let Ok(store) = Store::open(config, OsDisk, clock, Observers::none()) {
        let _ = store.close();
    }
});
