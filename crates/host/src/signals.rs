//! SIGTERM and SIGINT.

use crate::Tasks;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// What the process was asked by signals.
#[derive(Clone, Debug)]
pub struct Signals {
    /// Cancelled by the first SIGTERM or SIGINT: stop in order.
    pub stop: CancellationToken,
    /// Cancelled by the second one: stop waiting for others.
    pub hurry: CancellationToken,
}

/// Takes over SIGTERM and SIGINT for the rest of the process.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn listen(tasks: &Tasks) -> io::Result<Signals> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let signals = Signals { stop: CancellationToken::new(), hurry: CancellationToken::new() };
    let ours = signals.clone();
    tasks.spawn("signals", |stop| async move {
        let work = async {
            let name = next(&mut term, &mut int).await;
            info!(signal = name, "asked to stop");
            ours.stop.cancel();
            let name = next(&mut term, &mut int).await;
            warn!(signal = name, "asked to stop at once");
            ours.hurry.cancel();
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    });
    Ok(signals)
}

async fn next(term: &mut Signal, int: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}
