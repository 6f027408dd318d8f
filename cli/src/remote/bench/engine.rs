//! The generator's loop: one thread, a few sockets, `poll`. It takes what has arrived, lets the
//! work queue what is due, writes, and waits.

use super::link::{Answer, Link};
use super::server::{self, Usage};
use anyhow::Context;
use rmq_model::clock::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::Duration;

/// How long answers may still come when the time is over.
const DRAIN: Duration = Duration::from_secs(5);

/// Part of a run that is measured, in nanoseconds since its start. The time before warms up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

impl Window {
    pub(crate) fn new(warmup: Duration, duration: Duration) -> Self {
        Self { begin: nanos(warmup), end: nanos(warmup + duration) }
    }

    /// Its length, in seconds.
    pub(crate) fn seconds(self) -> f64 {
        (self.end - self.begin) as f64 / 1e9
    }

    pub(crate) fn contains(&self, at: u64) -> bool {
        self.begin <= at && at < self.end
    }
}

/// What a run does. Times are nanoseconds since the start of the run.
pub(crate) trait Work {
    /// Queues what is due on the links. Returns when it has to be called again even if nothing
    /// arrives until then.
    fn pump(&mut self, now: u64, links: &mut [Link]) -> anyhow::Result<Option<u64>>;

    /// Takes an answer that came on link number `link`.
    fn answer(&mut self, now: u64, link: usize, answer: &Answer<'_>) -> anyhow::Result<()>;

    /// Whether answers or deliveries are missing that a run should wait for at its end.
    fn is_waiting(&self) -> bool;
}

/// What the loop itself saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Driven {
    /// Length of the measured part, ns.
    pub(crate) measured: u64,
    /// Server process at the begin and end of the measured part.
    pub(crate) server: Option<(Usage, Usage)>,
    /// This process at the same moments.
    pub(crate) generator: (Usage, Usage),
}

/// Runs `work` until the window is over and its answers are in.
///
/// # Errors
/// If a connection breaks, the server speaks nonsense, or its process vanishes.
pub(crate) fn drive(
    clock: &dyn Clock,
    window: Window,
    links: &mut [Link],
    work: &mut dyn Work,
    server_pid: Option<u32>,
) -> anyhow::Result<Driven> {
    let origin = clock.monotonic();
    let elapsed = || nanos(clock.monotonic().saturating_sub(origin));
    let look = || -> anyhow::Result<(Option<Usage>, Usage)> {
        Ok((server_pid.map(server::usage).transpose()?, server::usage(std::process::id())?))
    };
    let mut begin = None;
    let mut end = None;
    let mut ready = vec![false; links.len()];
    loop {
        let now = elapsed();
        if begin.is_none() && window.begin <= now {
            begin = Some((now, look()?));
        }
        if end.is_none() && begin.is_some() && window.end <= now {
            end = Some((now, look()?));
            // What was due and only waited for this loop's turn still goes out: only what found
            // no slot is the server's fault.
            work.pump(window.end, links)?;
        }
        let wake = match end {
            Some((at, _)) => {
                let deadline = at.saturating_add(nanos(DRAIN));
                if !work.is_waiting() || deadline <= now {
                    break;
                }
                Some(deadline)
            }
            None => {
                let due = work.pump(now, links)?;
                let boundary = if begin.is_none() { window.begin } else { window.end };
                Some(due.map_or(boundary, |due| due.min(boundary)))
            }
        };
        for link in links.iter_mut() {
            link.flush()?;
        }
        let patience = wake.map_or(0, |wake| wake.saturating_sub(elapsed()));
        wait(links, patience, &mut ready)?;
        let now = elapsed();
        for (index, link) in links.iter_mut().enumerate() {
            if ready.get(index).copied().unwrap_or(false) {
                link.fill()?;
                while let Some(answer) = link.next_answer()? {
                    work.answer(now, index, &answer)?;
                }
            }
        }
    }
    let (begin_at, (server_before, own_before)) = begin.context("the run did not begin")?;
    let (end_at, (server_after, own_after)) = end.context("the run did not end")?;
    Ok(Driven {
        measured: end_at.saturating_sub(begin_at).max(1),
        server: server_before.zip(server_after),
        generator: (own_before, own_after),
    })
}

/// Waits until a link can be read (or written, if it has something to write), at most `patience`.
fn wait(links: &[Link], patience: u64, ready: &mut [bool]) -> anyhow::Result<()> {
    let mut fds: Vec<PollFd<'_>> = links
        .iter()
        .map(|link| {
            let write = if link.is_behind() { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::new(link.stream(), PollFlags::IN | write)
        })
        .collect();
    let timeout = Timespec {
        tv_sec: i64::try_from(patience / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(patience % 1_000_000_000).unwrap_or(0),
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error).context("cannot wait for the sockets"),
    }
    for (fd, ready) in fds.iter().zip(ready) {
        *ready = fd.revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
    }
    Ok(())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
