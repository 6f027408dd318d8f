//! What the supervisor did and what pods write: in files, and on the terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use parking_lot::Mutex;
use rmq_host::SystemClock;
use rmq_model::Clock as _;
use rmq_operator_plan::Plan;

use super::dirs::ClusterDir;
use super::lines::printable;
use super::rotate::RotatingFile;

/// Lines that wait for a slow terminal; further ones are only in the files.
const LINES_MAX: usize = 4096;

/// What the supervisor did, in `supervisor.log` and on the terminal. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    file: Arc<Mutex<RotatingFile>>,
    terminal: Option<Screen>,
}

impl Journal {
    pub(super) fn open(dir: &ClusterDir, printer: Option<&Printer>) -> anyhow::Result<Self> {
        let path = dir.supervisor_log();
        let file = RotatingFile::open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let terminal = printer.and_then(Printer::screen);
        Ok(Self { file: Arc::new(Mutex::new(file)), terminal })
    }

    /// Notes something about `who`, which is a pod or the supervisor itself.
    pub(super) fn note(&self, who: &str, text: &str) {
        let now = SystemClock::new().now();
        let time = jiff::Timestamp::from_millisecond(now).unwrap_or_default();
        // A log that cannot be written is no reason to stop a cluster.
        self.file.lock().line(format!("{time:.3} {who}: {text}").as_bytes()).ok();
        if let Some(screen) = &self.terminal {
            screen.put(who, &format!("-- {text}"));
        }
    }

    /// Shows a line that a pod has written.
    pub(super) fn show(&self, pod: &str, line: &[u8]) {
        if let Some(screen) = &self.terminal {
            screen.put(pod, &printable(line));
        }
    }
}

/// A thread that writes to the terminal, which may be slow or not move at all: pods never wait
/// for it.
#[derive(Debug)]
pub(super) struct Printer {
    screen: Option<Screen>,
    thread: JoinHandle<()>,
}

/// The way to the printer.
#[derive(Clone, Debug)]
struct Screen {
    lines: SyncSender<String>,
    lost: Arc<AtomicU64>,
    names: Arc<Vec<String>>,
    colour: bool,
    width: usize,
}

impl Printer {
    pub(super) fn start(plan: &Plan) -> io::Result<Self> {
        let (lines, taken) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let names: Vec<String> =
            plan.processes.iter().map(|process| process.name.clone()).collect();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let screen = Screen {
            lines,
            lost: Arc::clone(&lost),
            width: names.iter().map(String::len).max().unwrap_or(0),
            names: Arc::new(names),
            colour: io::stdout().is_terminal() && !no_colour,
        };
        let thread = std::thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || print(&taken, &lost))?;
        Ok(Self { screen: Some(screen), thread })
    }

    fn screen(&self) -> Option<Screen> {
        self.screen.clone()
    }

    /// Waits until all is written. Every other copy of the screen must be gone.
    pub(super) fn finish(mut self) {
        self.screen = None;
        self.thread.join().ok();
    }
}

impl Screen {
    fn put(&self, who: &str, text: &str) {
        const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];
        let width = self.width;
        let colour = self
            .names
            .iter()
            .position(|name| name == who)
            .map(|index| COLOURS.get(index % COLOURS.len()).copied().unwrap_or(0));
        let line = match colour.filter(|_| self.colour) {
            Some(colour) => format!("\u{1b}[{colour}m{who:width$} |\u{1b}[0m {text}"),
            None => format!("{who:width$} | {text}"),
        };
        match self.lines.try_send(line) {
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

fn print(lines: &Receiver<String>, lost: &AtomicU64) {
    let mut out = io::stdout();
    for line in lines {
        // With nobody left to read, lines are still taken, and dropped.
        writeln!(out, "{line}").ok();
        let missing = lost.swap(0, Ordering::Relaxed);
        if 0 < missing {
            writeln!(out, "({missing} lines are only in the files: see `rmq logs`)").ok();
        }
    }
}
