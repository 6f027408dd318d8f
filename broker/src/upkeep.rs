//! What happens by the clock: waking pulls, sweeping clients, saving tables, delivering delayed
//! messages, sampling rates.

use crate::presence::Presence;
use crate::service::Broker;
use crate::watchdog::Watchdog;
use rmq_delivery::hold::RECHECK_MS;
use rmq_host::Tasks;
use rmq_model::Millis;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How late a parked pull may be answered.
const EXPIRE_EVERY: Duration = Duration::from_millis(50);
const SWEEP_EVERY: Duration = Duration::from_secs(10);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn start(
    broker: &Arc<Broker>,
    tasks: &Tasks,
    presence: &Arc<Presence>,
    saver: Arc<Notify>,
) {
    wake_pulls(broker, tasks);
    expire_pulls(broker, tasks);
    save(broker, tasks, saver);
    deliver(broker, tasks);
    sample(broker, tasks, Arc::clone(presence));
}

fn wake_pulls(broker: &Arc<Broker>, tasks: &Tasks) {
    let broker = Arc::clone(broker);
    tasks.spawn("woken pulls", |stop| async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = broker.waiting.woken() => broker.repeat(broker.waiting.take_ready()),
            }
        }
    });
}

fn expire_pulls(broker: &Arc<Broker>, tasks: &Tasks) {
    let broker = Arc::clone(broker);
    tasks.spawn("parked pulls", |stop| async move {
        let mut last_recheck = broker.clock.monotonic();
        let recheck = Duration::from_millis(u64::try_from(RECHECK_MS).unwrap_or(5_000));
        loop {
            // Nobody waits: look rarely. Who parks meanwhile waits for longer than that.
            let idle = broker.waiting.is_empty();
            let pause = if idle { EXPIRE_EVERY * 10 } else { EXPIRE_EVERY };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            broker.repeat(broker.waiting.take_expired(broker.now()));
            let now = broker.clock.monotonic();
            if recheck <= now.saturating_sub(last_recheck) {
                last_recheck = now;
                let max = |topic: &str, queue| broker.max_offset(topic, queue);
                broker.repeat(broker.waiting.take_grown(max));
            }
        }
    });
}

/// Runs blocking work for a task and waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

fn save(broker: &Arc<Broker>, tasks: &Tasks, saver: Arc<Notify>) {
    let broker = Arc::clone(broker);
    tasks.spawn("tables", |stop| async move {
        let settings = &broker.config.settings;
        let offsets_every = Duration::from_millis(settings.flush_consumer_offset_interval);
        let delays_every = Duration::from_millis(settings.flush_delay_offset_interval);
        let mut offsets = tokio::time::interval(offsets_every);
        let mut delays = tokio::time::interval(delays_every);
        loop {
            let (with_offsets, with_delays) = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = saver.notified() => (false, false),
                _ = offsets.tick() => (true, false),
                _ = delays.tick() => (false, true),
            };
            let broker = Arc::clone(&broker);
            let saved = blocking(move || {
                [
                    Some(broker.topics.save()),
                    Some(broker.groups.save()),
                    with_offsets.then(|| broker.save_offsets()),
                    with_delays.then(|| broker.save_delays()),
                ]
            });
            for error in saved.await?.into_iter().flatten().filter_map(Result::err) {
                tracing::error!(%error, "a table cannot be written");
            }
        }
    });
}

fn deliver(broker: &Arc<Broker>, tasks: &Tasks) {
    if broker.is_slave() {
        return; // the master delivers; nothing can be stored here
    }
    let broker = Arc::clone(broker);
    tasks.spawn("delayed messages", |stop| async move {
        let wake = Arc::new(Notify::new());
        loop {
            let next = {
                let (broker, wake) = (Arc::clone(&broker), Arc::clone(&wake));
                blocking(move || broker.deliver_due(&wake)).await?
            };
            let pause = next.map_or(SAMPLE_EVERY, |next| until(broker.now(), next));
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = broker.waiting.delayed() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    });
}

fn until(now: Millis, then: Millis) -> Duration {
    Duration::from_millis(u64::try_from(then.saturating_sub(now)).unwrap_or(0))
}

fn sample(broker: &Arc<Broker>, tasks: &Tasks, presence: Arc<Presence>) {
    let broker = Arc::clone(broker);
    tasks.spawn("samples", |stop| async move {
        let every = SWEEP_EVERY.as_secs();
        let mut watchdog = Watchdog::default();
        let mut turn = 0u64;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(SAMPLE_EVERY) => {}
            }
            turn = turn.wrapping_add(1);
            let tenth = turn.is_multiple_of(every);
            broker.traffic.sample(broker.now(), tenth);
            if tenth {
                broker.sweep_clients();
            }
            let now = broker.clock.monotonic();
            presence.set_stuck(watchdog.look(now, &broker.store.status()));
        }
    });
}
