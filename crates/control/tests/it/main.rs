//! The generated code is what the .proto says.

use std::path::Path;

/// With `RMQ_WRITE_GENERATED=1` it brings the code up to date.
#[test]
fn the_generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("proto");
    let descriptors = protox::compile([folder.join("control.proto")], [&folder])
        .unwrap_or_else(|error| panic!("{error:?}"));
    let out = tempfile::tempdir().expect("a temporary folder");
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(out.path())
        .compile_fds(descriptors)
        .expect("code for every message");
    let made = std::fs::read_to_string(out.path().join("rmq.control.v1.rs")).expect("written");
    let kept = root.join("src/generated/rmq.control.v1.rs");
    if std::env::var_os("RMQ_WRITE_GENERATED").is_some() {
        write(&kept, &made);
        return;
    }
    let found = std::fs::read_to_string(&kept).expect("it is committed");
    assert!(found == made, "{} is stale: run this with RMQ_WRITE_GENERATED=1", kept.display());
}

#[expect(clippy::disallowed_methods, reason = "a source file: git keeps the old content")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("writable");
}
