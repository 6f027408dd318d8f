//! Pods do not outlive their supervisor.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use super::process::wait_until;

/// Set for a pod by its supervisor: the file the pod logs to once nobody reads its output.
pub(super) const SUPERVISED: &str = "RMQ_SUPERVISED";

/// How long a pod may take to stop by itself.
const GRACE: Duration = Duration::from_secs(30);

/// Stops this process when its supervisor is gone, however that ended. Does nothing when the
/// process was not started by one.
///
/// The supervisor holds the other end of the standard input and never writes to it. The kernel
/// closes it in every case, and unlike a death signal that cannot be missed between fork and exec.
pub(super) fn watch() -> io::Result<()> {
    let Some(log) = std::env::var_os(SUPERVISED).map(PathBuf::from) else { return Ok(()) };
    std::thread::Builder::new().name("supervisor-gone".to_owned()).stack_size(64 * 1024).spawn(
        move || {
            let mut byte = [0];
            while io::stdin().read(&mut byte).is_ok_and(|count| count != 0) {}
            // The pipe that took the log is gone as well.
            if let Ok(file) = std::fs::OpenOptions::new().create(true).append(true).open(log) {
                rustix::stdio::dup2_stdout(&file).ok();
                rustix::stdio::dup2_stderr(&file).ok();
                writeln!(&file, "the supervisor is gone: stopping").ok();
            }
            kill_process(getpid(), Signal::TERM).ok();
            wait_until(GRACE, || false);
            kill_process(getpid(), Signal::KILL).ok();
        },
    )?;
    Ok(())
}
