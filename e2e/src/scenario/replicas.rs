//! Replicas of both makers under masters of both makers: the logs are the same, byte by byte, and
//! so are the queues, also after a replica was killed while the master went on.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::peers::Peers;
use crate::system::{Maker, Makers, System};
use crate::{probe, report, wait};

const CATCH_UP: Duration = Duration::from_secs(120);
const TOPIC: &str = "Copied";
const QUEUES: usize = 4;
/// Sends under way at a time.
const WINDOW: usize = 500;
/// Of a record.
const RECORD: [u8; 4] = [0xDA, 0xA3, 0x20, 0xA7];
/// Bytes per message in a queue's files: place in the log, size, hash of the tag.
const UNIT: usize = 20;

/// Runs every pair but that of two originals, with `messages` each.
///
/// # Errors
/// When a replica does not catch up, or its log or a queue of it differs.
pub fn run(peers: &Peers, messages: usize, directory: &Path) -> anyhow::Result<()> {
    for (master, replica) in
        [(Maker::Java, Maker::Rmq), (Maker::Rmq, Maker::Java), (Maker::Rmq, Maker::Rmq)]
    {
        let name = format!("{} replica of {} master", replica.name(), master.name());
        let directory = directory.join(name.replace(' ', "-"));
        pair(peers, [master, replica], messages, &directory).with_context(|| name.clone())?;
        report::note(&format!("{name}: {messages} messages, equal in logs and queues"));
    }
    Ok(())
}

fn pair(
    peers: &Peers,
    [master, replica]: [Maker; 2],
    messages: usize,
    directory: &Path,
) -> anyhow::Result<()> {
    let makers = Makers { namesrv: Maker::Rmq, broker: master };
    let mut system = System::start(peers, makers, directory, &[])?;
    let master = system.broker();
    let part = messages / 4;
    // One file: a Java master gives a new replica only its newest.
    send(master, 0, part)?;
    let follower = system.start_replica(replica)?;
    caught_up(master, follower)?;
    send(master, part, part)?;
    caught_up(master, follower)?;
    system.kill_replica()?;
    send(master, 2 * part, messages - 2 * part)?;
    system.start_replica(replica)?;
    caught_up(master, follower)?;
    ensure!(end(master)? == messages, "the master lost messages");
    let stores = [system.store(), system.replica_store()];
    // What is in memory only reaches the files.
    system.stop()?;
    let logs = [records(&stores[0])?, records(&stores[1])?];
    ensure!(messages <= logs[0].len(), "{} records at the master", logs[0].len());
    same("record", &logs[0], &logs[1])?;
    let [ours, theirs] = [queues(&stores[0])?, queues(&stores[1])?];
    let all: usize = ours.values().map(Vec::len).sum();
    ensure!(all == messages && ours.len() == QUEUES, "{all} entries in {} queues", ours.len());
    ensure!(ours.keys().eq(theirs.keys()), "queues {:?} and {:?}", ours.keys(), theirs.keys());
    for (queue, units) in &ours {
        same(&format!("entry of queue {queue}"), units, theirs.get(queue).context("no queue")?)?;
    }
    Ok(())
}

fn same<T: PartialEq>(what: &str, one: &[T], other: &[T]) -> anyhow::Result<()> {
    if one == other {
        return Ok(());
    }
    let at = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    bail!("{what} {at} is the first that differs, of {} and {}", one.len(), other.len())
}

fn caught_up(master: SocketAddr, replica: SocketAddr) -> anyhow::Result<()> {
    let want = end(master)?;
    let came = wait::until(CATCH_UP, || (end(replica).ok()? == want).then_some(()));
    came.with_context(|| format!("the replica does not get {want} messages: {:?}", end(replica)))
}

/// Messages in the queues that are sent to.
fn end(broker: SocketAddr) -> anyhow::Result<usize> {
    let of = |queue: usize| -> anyhow::Result<usize> {
        let ext = [("topic", TOPIC), ("queueId", &*queue.to_string())];
        Ok(probe::call(broker, 30, &ext)?.ext("offset").parse()?)
    };
    (0..QUEUES).map(of).sum()
}

/// Sends messages of different sizes and tags to all queues, many at a time.
fn send(broker: SocketAddr, from: usize, count: usize) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(broker)?;
    let (mut sent, mut answered) = (0, 0);
    while answered < count {
        let mut out = Vec::new();
        while sent < count && sent - answered < WINDOW {
            let number = from + sent;
            let properties =
                format!("KEYS\u{1}k{number}\u{2}TAGS\u{1}Tag{}\u{2}WAIT\u{1}true\u{2}", number % 3);
            let body = format!("message {number} ").repeat(1 + number % 20);
            let place = [number % QUEUES, QUEUES];
            out.extend(probe::send_frame(TOPIC, place, number, &properties, body.as_bytes())?);
            sent += 1;
        }
        stream.write_all(&out)?;
        let answer = probe::read_answer(&mut stream)?;
        ensure!(answer.code == 0, "a send was answered with {}", answer.code);
        answered += 1;
    }
    Ok(())
}

/// Files of a directory in their order, each with the number that is its name.
fn files(directory: &Path) -> anyhow::Result<BTreeMap<u64, PathBuf>> {
    let mut files = BTreeMap::new();
    let found = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in found {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        files.insert(name.parse().with_context(|| format!("file name {name}"))?, entry.path());
    }
    Ok(files)
}

/// All records of a store's log, each with the place it is at.
fn records(store: &Path) -> anyhow::Result<Vec<(u64, Vec<u8>)>> {
    let mut all = Vec::new();
    for (base, path) in files(&store.join("commitlog"))? {
        let bytes = std::fs::read(path)?;
        let mut at = 0;
        while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let (size, magic) = head.split_at(4);
            if magic != RECORD {
                break; // nothing, or the filler at the file's end
            }
            let size = size.iter().fold(0, |size, byte| (size << 8) | usize::from(*byte));
            let record = bytes.get(at..at + size.max(8)).context("a record is cut short")?;
            all.push((base + u64::try_from(at)?, record.to_vec()));
            at += record.len();
        }
    }
    Ok(all)
}

/// The entries of the topic's queues in a store's files, by queue.
fn queues(store: &Path) -> anyhow::Result<BTreeMap<u64, Vec<Vec<u8>>>> {
    let mut queues = BTreeMap::new();
    for (queue, directory) in files(&store.join("consumequeue").join(TOPIC))? {
        let mut units = Vec::new();
        for path in files(&directory)?.into_values() {
            let bytes = std::fs::read(path)?;
            // An entry without a size is none yet.
            let is_one = |unit: &&[u8]| unit.iter().skip(8).take(4).any(|byte| *byte != 0);
            units.extend(bytes.chunks_exact(UNIT).take_while(is_one).map(<[u8]>::to_vec));
        }
        queues.insert(queue, units);
    }
    Ok(queues)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, bytes: &[u8]) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
    }

    fn record(last: u8) -> Vec<u8> {
        let mut record = vec![0, 0, 0, 12];
        record.extend(RECORD);
        record.extend([1, 2, 3, last]);
        record
    }

    #[test]
    fn a_byte_that_differs_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = |name: &str, last: u8| {
            let store = folder.path().join(name);
            let log = [record(7), record(last), vec![0, 0, 0, 8, 0xCB, 0xD4, 0x31, 0x94]].concat();
            put(&store.join("commitlog/00000000000000000100"), &log);
            put(&store.join("commitlog/00000000000000000200"), &record(9));
            store
        };
        let [one, same_one, other] = [store("a", 1), store("b", 1), store("c", 2)];
        let one = records(&one).unwrap();
        let places: Vec<u64> = one.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [100, 112, 200]);
        assert!(same("record", &one, &records(&same_one).unwrap()).is_ok());
        let error = same("record", &one, &records(&other).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "record 1 is the first that differs, of 3 and 3");
        assert!(same("record", &one, &one[..2]).is_err(), "one that is missing counts too");
    }

    #[test]
    fn entries_of_all_files_of_a_queue_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let unit = |size: u8| {
            let mut unit = vec![0; UNIT];
            unit[11] = size;
            unit
        };
        let queue = folder.path().join("consumequeue").join(TOPIC).join("3");
        put(&queue.join("00000000000000000000"), &[unit(1), unit(2)].concat());
        put(&queue.join("00000000000000000040"), &[unit(3), unit(0)].concat());
        let queues = queues(folder.path()).unwrap();
        assert_eq!(queues, BTreeMap::from([(3, vec![unit(1), unit(2), unit(3)])]));
    }
}
