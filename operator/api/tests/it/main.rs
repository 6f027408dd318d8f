//! The generated files are current, and the schema's rules are those of the validator.

use std::path::{Path, PathBuf};

mod crd;
mod page;

/// A file of the source tree.
fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Compares a generated text with its file; `RMQ_WRITE_DOCS=1` writes the file anew.
#[expect(clippy::disallowed_methods, reason = "a file of the source tree, written on request")]
fn compare(path: &Path, wanted: &str) {
    if std::env::var_os("RMQ_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        std::fs::write(path, wanted).expect("writable");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is stale: `RMQ_WRITE_DOCS=1 cargo test -p rmq-operator-api` writes it anew",
        path.display()
    );
}
