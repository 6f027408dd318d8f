//! Processes: who they are, how they ended, how to tell them something.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use rmq_host::SystemClock;
use rmq_model::Clock as _;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::record::Running;

/// Signals people send, by name.
const SIGNALS: [(&str, Signal); 12] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ABRT", Signal::ABORT),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("TERM", Signal::TERM),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("BUS", Signal::BUS),
];

/// The signal called `text`, with or without `SIG`, in any case, or by its number.
pub fn parse_signal(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let found = SIGNALS
        .iter()
        .find(|(known, signal)| *known == name || signal.as_raw().to_string() == name);
    found.map(|(_, signal)| *signal).ok_or_else(|| {
        let names: Vec<&str> = SIGNALS.iter().map(|(name, _)| *name).collect();
        format!("`{text}` is none of {}", names.join(", "))
    })
}

fn signal_name(raw: i32) -> String {
    SIGNALS
        .iter()
        .find(|(_, signal)| signal.as_raw() == raw)
        .map_or_else(|| format!("signal {raw}"), |(name, _)| format!("SIG{name}"))
}

/// How a process ended, with the last line it logged if that was not well.
pub fn exit_reason(status: ExitStatus, last_line: &str) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by {}", signal_name(signal)),
        (None, None) => "ended".to_owned(),
    };
    if last_line.is_empty() || status.success() { how } else { format!("{how}: {last_line}") }
}

/// When the process started, in the kernel's ticks since boot; `None` if there is none or if it
/// has ended and nobody has asked how.
pub fn start_ticks(pid: u32) -> Option<u64> {
    ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Out of `pid (name) state ppid ...`, where the name may hold blanks and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut columns = after_name.split_ascii_whitespace();
    let state = columns.next()?;
    let ticks = columns.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(ticks)
}

impl Running {
    /// This process.
    pub fn this() -> Self {
        Self::of(std::process::id())
    }

    /// The process with this id, which runs.
    pub fn of(pid: u32) -> Self {
        let start_ticks = start_ticks(pid).unwrap_or(0);
        Self { pid, start_ticks, since: SystemClock::new().now() }
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// Sends it a signal; `false` if it is gone.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn signal(self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(false);
        };
        // The descriptor pins the process, so that a later one with its id is never hit.
        let pinned = rustix::process::pidfd_open(pid, PidfdFlags::empty());
        if !self.is_alive() {
            return Ok(false);
        }
        let sent = match pinned {
            Ok(pinned) => rustix::process::pidfd_send_signal(&pinned, signal),
            Err(rustix::io::Errno::NOSYS) => rustix::process::kill_process(pid, signal),
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Looks at `is_so` every few milliseconds until it holds or `limit` has passed; whether it held.
pub fn wait_until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let clock = SystemClock::new();
    while !is_so() {
        if limit <= clock.monotonic() {
            return false;
        }
        // Neither a foreign process nor a lock file can be waited for with a limit.
        std::thread::park_timeout(Duration::from_millis(10));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for text in ["KILL", "SIGKILL", "sigkill", "kill", "9"] {
            assert_eq!(parse_signal(text), Ok(Signal::KILL), "{text}");
        }
        for text in ["", "SIG", "KILLED", "99", "-9"] {
            assert!(parse_signal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reasons() {
        for (raw, line, text) in [
            (0, "stopped", "exit status 0"),
            (256, "no space", "exit status 1: no space"),
            (9, "", "killed by SIGKILL"),
            (11, "x", "killed by SIGSEGV: x"),
            (63, "", "killed by signal 63"),
        ] {
            assert_eq!(exit_reason(ExitStatus::from_raw(raw), line), text);
        }
    }

    #[test]
    fn names_in_the_kernels_line_do_not_confuse() {
        let rest = (1..=30).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(ticks(&format!("7 (a) b) (c) S {rest}")), Some(19));
        assert_eq!(ticks(&format!("7 (a) Z {rest}")), None);
        assert_eq!(ticks("7 (a) S 1 2"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_id() {
        let this = Running::this();
        assert!(this.is_alive());
        let other = Running { start_ticks: this.start_ticks + 1, ..this };
        assert!(!other.is_alive());
        assert!(!other.signal(Signal::KILL).expect("nothing to do"));
        assert!(this.signal(Signal::CONT).expect("allowed"));
    }
}
