//! `rmq logs`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::Place;
use super::dirs::{ClusterDir, DataDir};
use super::lines::{Lines, printable};
use super::record::Identity;
use super::rotate::{OLD_FILES_MAX, old};
use crate::output::Output;

/// Between two looks at the files when following them.
const PERIOD: Duration = Duration::from_millis(100);

/// Show what pods log.
#[derive(Debug, Args)]
pub struct Logs {
    /// Pod such as demo-broker-a-0, cluster, or `supervisor`; may be left out if there is only one
    /// cluster
    name: Option<String>,
    /// Go on as lines are written
    #[arg(short, long)]
    follow: bool,
    /// Lines to begin with, of each pod
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 1000)]
    tail: usize,
    #[command(flatten)]
    place: Place,
}

/// One file, and how its lines are told from others'.
struct Source {
    prefix: String,
    path: PathBuf,
}

pub(super) fn run(args: &Logs, output: &mut Output) -> anyhow::Result<ExitCode> {
    let sources = sources(&args.place.locate()?, args.name.as_deref())?;
    // Followers begin where the tails have ended: open first, read then.
    let mut followers = Vec::new();
    let mut all: Vec<Vec<Vec<u8>>> = Vec::new();
    for source in &sources {
        let mut follower = Follower::open(&source.path)?;
        all.push(follower.tail(args.tail)?);
        followers.push(follower);
    }
    for (source, line) in merge(&all) {
        let prefix = sources.get(source).map_or("", |source| source.prefix.as_str());
        output.line(format_args!("{prefix}{}", printable(line)))?;
    }
    if args.follow {
        match follow(&sources, &mut followers, output)? {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows lines as they come, until the reader goes away.
fn follow(
    sources: &[Source],
    followers: &mut [Follower],
    output: &mut Output,
) -> io::Result<Infallible> {
    loop {
        output.flush()?;
        for (source, follower) in sources.iter().zip(&mut *followers) {
            let mut lines = Vec::new();
            follower.new_lines(|line| lines.push(printable(line)))?;
            for line in lines {
                output.line(format_args!("{}{line}", source.prefix))?;
            }
        }
        // Files cannot be waited for in a portable way.
        std::thread::park_timeout(PERIOD);
    }
}

fn sources(data: &DataDir, name: Option<&str>) -> anyhow::Result<Vec<Source>> {
    if name == Some("supervisor") {
        let path = data.choose(None)?.supervisor_log();
        return Ok(vec![Source { prefix: String::new(), path }]);
    }
    let clusters = data.clusters()?;
    let is_cluster = name.is_none_or(|name| clusters.iter().any(|dir| dir.name() == name));
    if is_cluster {
        let dir = data.choose(name)?;
        let pods = pods(&dir)?;
        let width = pods.iter().map(String::len).max().unwrap_or(0);
        let source =
            |pod: &String| Source { prefix: format!("{pod:width$} | "), path: dir.log(pod) };
        return Ok(pods.iter().map(source).collect());
    }
    let mut known = Vec::new();
    for dir in &clusters {
        for pod in pods(dir)? {
            if name == Some(pod.as_str()) {
                return Ok(vec![Source { prefix: String::new(), path: dir.log(&pod) }]);
            }
            known.push(pod);
        }
    }
    bail!("there is no pod {} (known: {})", name.unwrap_or_default(), known.join(", "))
}

fn pods(dir: &ClusterDir) -> anyhow::Result<Vec<String>> {
    let identity = Identity::load(dir)?
        .with_context(|| format!("cluster {} was removed meanwhile", dir.name()))?;
    Ok(identity.plan.processes.into_iter().map(|process| process.name).collect())
}

/// Reads a file as it grows and is replaced by a new one.
struct Follower {
    path: PathBuf,
    file: Option<File>,
    lines: Lines,
}

impl Follower {
    fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self { path: path.to_owned(), file, lines: Lines::default() })
    }

    /// The last `count` lines so far, of older files too if this one has too few.
    fn tail(&mut self, count: usize) -> io::Result<Vec<Vec<u8>>> {
        let mut last: VecDeque<Vec<u8>> = VecDeque::new();
        let mut keep = |line: &[u8]| {
            last.push_back(line.to_vec());
            if count < last.len() {
                last.pop_front();
            }
        };
        for age in (1..=OLD_FILES_MAX).rev() {
            if let Some(file) = open(&old(&self.path, age))? {
                let mut lines = Lines::default();
                each_line(&file, &mut lines, &mut keep)?;
                lines.finish(&mut keep);
            }
        }
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))?;
            each_line(file, &mut self.lines, &mut keep)?;
        }
        Ok(last.into())
    }

    /// Lines written since the last look.
    fn new_lines(&mut self, mut line: impl FnMut(&[u8])) -> io::Result<()> {
        if let Some(file) = &self.file {
            each_line(file, &mut self.lines, &mut line)?;
        }
        let inode = |file: &File| file.metadata().map(|about| about.ino()).ok();
        let current = std::fs::metadata(&self.path).map(|about| about.ino()).ok();
        if current.is_some() && current != self.file.as_ref().and_then(inode) {
            // What was written to the old file between the read and the turn.
            if let Some(file) = &self.file {
                each_line(file, &mut self.lines, &mut line)?;
            }
            self.file = open(&self.path)?;
            if let Some(file) = &self.file {
                each_line(file, &mut self.lines, &mut line)?;
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn each_line(mut file: &File, lines: &mut Lines, line: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        lines.push(buffer.get(..count).unwrap_or_default(), &mut *line);
    }
}

/// The lines of all sources in the order of the times they begin with; lines without one follow
/// the line before them.
fn merge(sources: &[Vec<Vec<u8>>]) -> Vec<(usize, &[u8])> {
    let mut all: Vec<(&[u8], usize, &[u8])> = Vec::new();
    for (index, lines) in sources.iter().enumerate() {
        let mut time: &[u8] = b"";
        for line in lines {
            time = time_of(line).unwrap_or(time);
            all.push((time, index, line));
        }
    }
    all.sort_by_key(|(time, _, _)| *time); // stable: lines of one source stay in order
    all.into_iter().map(|(_, source, line)| (source, line)).collect()
}

/// `2026-11-21T14:00:00.123456Z`, whose text order is its time order.
fn time_of(line: &[u8]) -> Option<&[u8]> {
    let first = line.split(|byte| *byte == b' ').next()?;
    let text = std::str::from_utf8(first).ok()?;
    let is_time = text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok();
    is_time.then_some(first)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn add(path: &Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(path).expect("writable");
        file.write_all(text.as_bytes()).expect("writable");
    }

    fn tail(follower: &mut Follower, count: usize) -> Vec<String> {
        let lines = follower.tail(count).expect("readable");
        lines.iter().map(|line| printable(line)).collect()
    }

    fn more(follower: &mut Follower) -> Vec<String> {
        let mut lines = Vec::new();
        follower.new_lines(|line| lines.push(printable(line))).expect("readable");
        lines
    }

    #[test]
    fn tails_reach_into_older_files_and_followers_go_on() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        add(&old(&path, 2), "one\ntwo\n");
        add(&old(&path, 1), "three\n");
        add(&path, "four\nfi");
        let mut follower = Follower::open(&path).expect("there");
        assert_eq!(tail(&mut follower, 3), ["two", "three", "four"]);
        assert!(more(&mut follower).is_empty());
        add(&path, "ve\nsix\n");
        assert_eq!(more(&mut follower), ["five", "six"]);
        add(&path, "seven\n");
        rustix::fs::rename(&path, old(&path, 1)).expect("renamed");
        add(&path, "eight\n");
        assert_eq!(more(&mut follower), ["seven", "eight"]);
        assert_eq!(tail(&mut Follower::open(&path).expect("there"), 0), [""; 0]);
    }

    #[test]
    fn a_file_that_comes_later_is_followed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let mut follower = Follower::open(&path).expect("nothing yet");
        assert!(tail(&mut follower, 10).is_empty());
        add(&path, "first\n");
        assert_eq!(more(&mut follower), ["first"]);
    }

    #[test]
    fn sources_are_merged_by_time() {
        let lines = |text: &str| text.lines().map(|line| line.as_bytes().to_vec()).collect();
        let a = lines("2026-01-01T00:00:01.5Z a1\n  more\n2026-01-01T00:00:03.0Z a2");
        let b = lines("note\n2026-01-01T00:00:02.0Z b1\n2026-01-01T00:00:03.0Z b2");
        let order: Vec<String> = merge(&[a, b])
            .iter()
            .map(|(source, line)| format!("{source}{}", printable(line)))
            .collect();
        let short: Vec<&str> =
            order.iter().filter_map(|line| line.split(' ').next_back()).collect();
        assert_eq!(short, ["1note", "a1", "more", "b1", "a2", "b2"]);
    }
}
