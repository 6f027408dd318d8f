//! Writes what follows the log: queue units, index entries, checkpoint. Syncs the log behind the
//! appender in `ASYNC_FLUSH` mode.

use crate::checkpoint::{Checkpoint, Progress};
use crate::config::FlushMode;
use crate::shared::{Dispatched, Following, Shared, Wake};
use crate::syncing;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Body of the thread that writes queues, index and checkpoint.
pub(crate) fn run_behind(shared: &Shared) {
    let upkeep = shared.config.upkeep;
    loop {
        let unsynced = {
            let following = shared.following.lock();
            following.synced < shared.dispatched.lock().end || !following.resting.is_empty()
        };
        let wake = shared.behind.wait(unsynced.then_some(upkeep.checkpoint_every));
        if wake == Wake::Stop
            || (wake == Wake::Rung && shared.behind.pause(upkeep.queues_every) == Wake::Stop)
        {
            return;
        }
        if let Err(error) = follow(shared) {
            tracing::warn!(%error, "queues or index cannot be written, trying again");
            if shared.behind.pause(upkeep.queues_every.max(Duration::from_millis(100)))
                == Wake::Stop
            {
                return;
            }
            shared.behind.ring();
        }
    }
}

/// Writes what is only in memory: queue units at once, index entries and the checkpoint when it is
/// their time.
pub(crate) fn follow(shared: &Shared) -> io::Result<()> {
    let upkeep = shared.config.upkeep;
    let now = shared.clock.monotonic();
    let mut following = shared.following.lock();
    let written = write_queues(shared, &mut following);
    shared.gate.set_queues_failing(written.is_err());
    written?;
    let crowded = shared
        .index
        .as_ref()
        .is_some_and(|index| upkeep.entries_pending_max <= index.pending_len());
    if crowded || upkeep.index_every <= now.saturating_sub(following.last_index) {
        write_index(shared, &mut following)?;
    }
    if upkeep.checkpoint_every <= now.saturating_sub(following.last_checkpoint) {
        checkpoint(shared, &mut following)
    } else {
        write_progress(&following, None, false)
    }
}

/// Writes all queue units that are only in memory.
pub(crate) fn write_queues(shared: &Shared, following: &mut Following) -> io::Result<()> {
    // Taken first: everything below it is in a tail or a file by now.
    let through = *shared.dispatched.lock();
    let dirty = std::mem::take(&mut *shared.dirty.lock());
    let mut outcome = Ok(());
    for queue in dirty {
        queue.dirty.store(false, Ordering::Release);
        let mut units = 0;
        let written = queue.write_out(&mut units);
        shared.units_pending.fetch_sub(units, Ordering::Relaxed);
        match written {
            Ok(()) => following.unsynced.push(queue),
            Err(error) => {
                if !queue.dirty.swap(true, Ordering::AcqRel) {
                    shared.dirty.lock().push(queue);
                }
                outcome = Err(error);
            }
        }
    }
    if outcome.is_ok() {
        following.queues_through = through;
    }
    outcome
}

/// Applies all index entries that are only in memory.
pub(crate) fn write_index(shared: &Shared, following: &mut Following) -> io::Result<()> {
    if following.sync_failed {
        return Err(io::Error::other("a sync of queues or index failed before"));
    }
    let through = shared.dispatched.lock().end;
    if let Some(index) = &shared.index {
        match index.apply(shared.clock.now()) {
            Ok(full) => following.index_full_until = full.unwrap_or(following.index_full_until),
            Err(error) if index.has_failed() => return Err(sync_failed(shared, following, error)),
            Err(error) => return Err(error),
        }
    }
    following.index_through = through;
    following.last_index = shared.clock.monotonic();
    Ok(())
}

/// Makes log, queues and index durable as far as they are written, then says so in the checkpoint.
///
/// After a failed sync of queues or index nothing is retried: a second one may succeed though pages
/// are lost. The log is shut, the checkpoint stays where it is, and the next opening makes what is
/// behind it again.
pub(crate) fn checkpoint(shared: &Shared, following: &mut Following) -> io::Result<()> {
    write_index(shared, following)?;
    let Dispatched { end: through, time } = following.queues_through;
    let mut synced = std::mem::take(&mut following.unsynced);
    synced.sort_by_key(|queue| std::ptr::from_ref(&**queue).addr());
    synced.dedup_by(|a, b| std::sync::Arc::ptr_eq(a, b));
    for at in 0..synced.len() {
        let Some(Err(error)) = synced.get(at).map(|queue| queue.sync()) else { continue };
        following.unsynced = synced;
        return Err(sync_failed(shared, following, error));
    }
    let resting = std::mem::replace(&mut following.resting, synced);
    for queue in resting {
        let again = following.resting.iter().any(|q| std::sync::Arc::ptr_eq(q, &queue));
        if !again && !queue.dirty.load(Ordering::Acquire) {
            queue.rest();
        }
    }
    if let Some(index) = &shared.index {
        match index.sync() {
            Ok(mark) => following.index_mark = mark,
            Err(error) => return Err(sync_failed(shared, following, error)),
        }
    }
    sync_log_to(shared, through)?;
    let mut value = following.checkpoint_value();
    if time > 0 {
        (value.physic, value.logics) = (time, time);
    }
    value.index = value.index.max(following.index_full_until);
    if value != following.checkpoint_value() {
        following.checkpoint.write(value)?;
    }
    following.synced = through;
    following.last_checkpoint = shared.clock.monotonic();
    write_progress(following, None, true)
}

fn sync_failed(shared: &Shared, following: &mut Following, error: io::Error) -> io::Error {
    following.sync_failed = true;
    shared.gate.fail(&format!("cannot sync queues or index: {error}"));
    error
}

/// Says in our own file how far queues and index are. `clean_end` only at a clean stop.
pub(crate) fn write_progress(
    following: &Following,
    clean_end: Option<u64>,
    durable: bool,
) -> io::Result<()> {
    let Checkpoint { physic, logics, index, .. } = following.checkpoint_value();
    let progress = Progress {
        boot_id: following.boot_id.clone(),
        written: following.queues_through.end.min(following.index_through),
        synced: following.synced,
        clean_end,
        checkpoint: Checkpoint { physic, logics, index, ..Checkpoint::default() },
        index: following.index_mark.clone(),
    };
    following.progress.write(&progress, durable)
}

/// Syncs the log up to `end` unless it is. A failure shuts the log.
pub(crate) fn sync_log_to(shared: &Shared, end: u64) -> io::Result<()> {
    let _syncing = shared.log.syncing.lock();
    let flushed = shared.log.flushed();
    if end <= flushed {
        return Ok(());
    }
    match shared.log.sync(flushed, end) {
        Ok(()) => {
            shared.log.set_flushed(end);
            Ok(())
        }
        Err(error) => {
            shared.gate.fail(&format!("cannot sync the log: {error}"));
            Err(error)
        }
    }
}

/// Body of the thread that syncs the log in `ASYNC_FLUSH` mode, and watches the syncs of the log's
/// thread in the other.
pub(crate) fn run_flusher(shared: &Shared) {
    let FlushMode::Async { interval, least_bytes, thorough } = shared.config.flush else {
        return syncing::watch(shared);
    };
    let mut waited = Duration::ZERO;
    while shared.flusher.pause(interval) != Wake::Stop {
        if shared.gate.failure().is_some() {
            return;
        }
        let end = shared.log.written();
        let behind = end.saturating_sub(shared.log.flushed());
        waited += interval;
        if behind == 0 {
            waited = Duration::ZERO;
        } else if least_bytes <= behind || thorough <= waited {
            waited = Duration::ZERO;
            if sync_log_to(shared, end).is_err() {
                return;
            }
        }
    }
}
