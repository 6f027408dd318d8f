//! What takes minutes and needs no result of an earlier step: built beside the others.

use super::steps;
use crate::cluster::script;
use crate::shipped::{root, run};
use std::process::Stdio;

/// The step that waits for it.
pub(crate) const STEP: &str = "kubernetes";

/// What is built: Kubernetes, unless the tests are given a cluster, and helm.
fn targets() -> &'static [&'static str] {
    if std::env::var_os("KUBECONFIG").is_some() { &["helm"] } else { &["kubernetes", "helm"] }
}

/// Begins to build. What cannot be begun shows when it is waited for.
pub(crate) fn start() {
    if ["bash", "go"].iter().all(|tool| steps::is_installed(tool)) {
        let mut build = script("build.sh");
        build.args(targets()).current_dir(root());
        build.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(build.spawn());
    }
}

/// Waits for the end of what was begun, and builds what is missing then: the script lets one work
/// at a time and makes nothing twice.
pub(crate) fn wait() -> anyhow::Result<()> {
    run(script("build.sh").args(targets()))
}
