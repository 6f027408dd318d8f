//! A master, a replica, and between them what a name server tells.

use crate::wire::{PATIENCE, Wire, bodies, number, pull, send_v2};
use crate::world::World;
use bytes::{BufMut as _, BytesMut};
use parking_lot::Mutex;
use rmq_remoting::{Command, take_frame};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Waits until something is so that a broker brings about.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let (_never, wait) = sync_channel::<()>(0);
    for _ in 0..4_000 {
        if is_so() {
            return;
        }
        wait.recv_timeout(Duration::from_millis(5)).ok();
    }
    panic!("never: {what}");
}

/// Tells replicas where the master is, as name servers do.
struct Directory {
    addr: SocketAddr,
    master: Arc<Mutex<Option<(String, String)>>>,
}

impl Directory {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, master) = (listener.local_addr().unwrap(), Arc::default());
        let shared: Arc<Mutex<Option<(String, String)>>> = Arc::clone(&master);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { addr, master }
    }

    /// Says that the master is somewhere else.
    fn point_to(&self, address: &str, ha_address: &str) {
        *self.master.lock() = Some((address.to_owned(), ha_address.to_owned()));
    }

    fn ha_address(&self) -> String {
        eventually("the master registers", || self.master.lock().is_some());
        self.master.lock().clone().unwrap().1
    }
}

fn serve(mut stream: TcpStream, master: &Mutex<Option<(String, String)>>) {
    let mut buf = BytesMut::new();
    let mut chunk = [0; 65_536];
    while let Ok(n @ 1..) = stream.read(&mut chunk) {
        buf.extend_from_slice(&chunk[..n]);
        while let Ok(Some(request)) = take_frame(&mut buf, 16 << 20) {
            let mut answer = Command::response(0);
            let field = |name| request.ext.get(name).unwrap_or("").to_owned();
            if request.code == 103 && field("brokerId") == "0" {
                *master.lock() = Some((field("brokerAddr"), field("haServerAddr")));
            } else if let (103, Some((address, ha))) = (request.code, &*master.lock()) {
                answer = answer
                    .with_ext("masterAddr", address.clone())
                    .with_ext("haServerAddr", ha.clone());
            }
            answer.opaque = request.opaque;
            let mut out = BytesMut::new();
            answer.encode(&mut out);
            if stream.write_all(&out).is_err() {
                return;
            }
        }
    }
}

struct Pair {
    directory: Directory,
    names: String,
}

impl Pair {
    fn new() -> Self {
        let directory = Directory::new();
        let names = directory.addr.to_string();
        Self { directory, names }
    }

    fn master(&self, settings: &[(&str, &str)]) -> World {
        let mut all = vec![("namesrvAddr", &*self.names), ("haSendHeartbeatInterval", "200")];
        all.extend(settings);
        let world = World::with(&all);
        self.directory.ha_address();
        world
    }

    fn slave(&self, settings: &[(&str, &str)]) -> World {
        let mut all = vec![
            ("namesrvAddr", &*self.names),
            ("brokerRole", "SLAVE"),
            ("brokerId", "1"),
            ("haSendHeartbeatInterval", "200"),
            ("enableSlaveActingMaster", "true"),
        ];
        all.extend(settings);
        World::with(&all)
    }
}

fn send(wire: &mut Wire, from: usize, count: usize) {
    let asked: Vec<i32> = (from..from + count)
        .map(|n| wire.send(310, &send_v2("T", "0", ""), format!("message {n}").as_bytes()))
        .collect();
    for opaque in asked {
        assert_eq!(wire.answer(opaque).code, 0);
    }
}

fn end(world: &World) -> i64 {
    let answer = world.wire().call(30, &[("topic", "T"), ("queueId", "0")], b"");
    if answer.code == 0 { number(&answer, "offset") } else { -1 }
}

/// All bodies of queue 0, pulled as a consumer would.
fn consume(world: &World) -> Vec<String> {
    let mut wire = world.wire();
    let mut all = Vec::new();
    loop {
        let from = all.len().to_string();
        let answer = wire.call(11, &pull("G", "T", "0", &from, "4", "*"), b"");
        if answer.code != 0 {
            assert_eq!(answer.code, 19, "{:?}", answer.remark);
            return all;
        }
        all.extend(bodies(&answer));
    }
}

fn log_of(world: &World) -> Vec<u8> {
    std::fs::read(world.root().join("commitlog/00000000000000000000")).unwrap()
}

fn status(world: &World) -> serde_json::Value {
    serde_json::from_slice(&world.wire().ok(907, &[], b"").body).unwrap()
}

#[test]
fn a_replica_has_the_same_log_and_serves_it_while_the_master_is_away() {
    let pair = Pair::new();
    let mut master = pair.master(&[]);
    send(&mut master.wire(), 0, 300);
    let slave = pair.slave(&[]);
    eventually("the replica has the old messages", || end(&slave) == 300);
    send(&mut master.wire(), 300, 200);
    eventually("the replica has the new messages", || end(&slave) == 500);
    eventually("the master knows", || {
        let status = status(&master);
        status["haConnectionInfo"][0]["diff"] == 0 && status["inSyncSlaveNums"] == 1
    });
    assert_eq!(status(&slave)["master"], false);
    // Nothing is stored here, and consumers are sent to the master.
    let mut wire = slave.wire();
    let refused = wire.call(310, &send_v2("T", "0", ""), b"x");
    assert_eq!(refused.code, 14);
    let answer = wire.call(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    assert_eq!((answer.code, number(&answer, "suggestWhichBrokerId")), (20, 0));
    let want = consume(&master);
    assert_eq!(want.len(), 500);
    master.stop();
    eventually("the replica serves", || {
        slave.wire().call(11, &pull("G", "T", "0", "0", "4", "*"), b"").code == 0
    });
    assert_eq!(consume(&slave), want);
    assert_eq!(log_of(&slave), log_of(&master));
    // The master comes back, in a new term, and goes on.
    master.start();
    send(&mut master.wire(), 500, 10);
    eventually("the replica follows again", || end(&slave) == 510);
}

#[test]
fn a_send_waits_for_as_many_copies_as_was_asked() {
    let pair = Pair::new();
    let master = pair.master(&[
        ("brokerRole", "SYNC_MASTER"),
        ("inSyncReplicas", "2"),
        ("slaveTimeout", "300"),
    ]);
    let mut wire = master.wire();
    let answer = wire.call(310, &send_v2("T", "0", ""), b"alone");
    // Stored, but nowhere else.
    assert_eq!((answer.code, number(&answer, "queueOffset")), (11, 0));
    let slave = pair.slave(&[]);
    eventually("the replica has the first", || end(&slave) == 1);
    for n in 1..50 {
        let answer = wire.ok(310, &send_v2("T", "0", ""), format!("{n}").as_bytes());
        assert_eq!(number(&answer, "queueOffset"), n);
        assert_eq!(end(&slave), n + 1, "confirmed before it was copied");
    }
    // Who does not want to wait does not.
    let text = crate::wire::properties(&[("WAIT", "false")]);
    drop(slave);
    wire.ok(310, &send_v2("T", "0", &text), b"no wait");
}

#[test]
fn too_few_in_sync_refuse_sends() {
    let pair = Pair::new();
    let master = pair.master(&[
        ("brokerRole", "SYNC_MASTER"),
        ("allAckInSyncStateSet", "true"),
        ("minInSyncReplicas", "2"),
        ("flushDiskType", "SYNC_FLUSH"),
    ]);
    let mut wire = master.wire();
    let refused = wire.call(310, &send_v2("T", "0", ""), b"x");
    assert_eq!(refused.code, 1);
    assert_eq!(refused.remark.as_deref(), Some("1 replicas are in sync, 2 are needed"));
    let slave = pair.slave(&[("flushDiskType", "SYNC_FLUSH")]);
    eventually("both are in sync", || wire.call(310, &send_v2("T", "0", ""), b"x").code == 0);
    assert!(1 <= end(&slave));
}

#[test]
fn tables_follow_the_master_and_offsets_come_back_to_it() {
    let pair = Pair::new();
    let mut master = pair.master(&[]);
    let slave = pair.slave(&[]);
    send(&mut master.wire(), 0, 20);
    // Makes the group.
    assert_eq!(consume(&master).len(), 20);
    let commit = |world: &World, offset: &str| {
        let ext =
            [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0"), ("commitOffset", offset)];
        world.wire().ok(15, &ext, b"");
    };
    let committed = |world: &World| {
        let ext = [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")];
        let answer = world.wire().call(14, &ext, b"");
        if answer.code == 0 { number(&answer, "offset") } else { -1 }
    };
    commit(&master, "5");
    eventually("topics and offsets are here", || committed(&slave) == 5);
    let mode = br#"{"consumerGroup":"G","mode":"PULL","popShareQueueNum":0,"topic":"T"}"#;
    master.wire().ok(401, &[], mode);
    eventually("how the group takes the topic is here", || {
        let modes = slave.wire().ok(402, &[], b"").body;
        String::from_utf8_lossy(&modes).contains(r#""consumerGroup":"G""#)
    });
    master.stop();
    eventually("the replica serves", || {
        slave.wire().call(11, &pull("G", "T", "0", "0", "4", "*"), b"").code == 0
    });
    commit(&slave, "12");
    master.start();
    eventually("the master has the later offset", || committed(&master) == 12);
    assert_eq!(committed(&slave), 12);
}

/// Reads frames as a Java replica does, from an empty store on.
struct JavaReplica {
    stream: TcpStream,
    buf: BytesMut,
    log: Vec<u8>,
}

impl JavaReplica {
    fn connect(ha_address: &str, from: i64) -> Self {
        let mut stream = TcpStream::connect(ha_address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&from.to_be_bytes()).unwrap();
        Self { stream, buf: BytesMut::new(), log: Vec::new() }
    }

    /// Takes frames until it has `bytes`, acknowledging each.
    fn read_to(&mut self, bytes: usize) {
        while self.log.len() < bytes {
            let mut chunk = [0; 65_536];
            let n = self.stream.read(&mut chunk).expect("frames");
            assert!(0 < n, "the master closed the connection");
            self.buf.put_slice(&chunk[..n]);
            while self.buf.len() >= 12 {
                let offset = i64::from_be_bytes(self.buf[..8].try_into().unwrap());
                let len = i32::from_be_bytes(self.buf[8..12].try_into().unwrap());
                let len = usize::try_from(len).unwrap();
                assert_eq!(usize::try_from(offset), Ok(self.log.len()));
                assert!(len <= 32_768);
                if self.buf.len() < 12 + len {
                    break;
                }
                drop(self.buf.split_to(12));
                self.log.extend_from_slice(&self.buf.split_to(len));
                let end = i64::try_from(self.log.len()).unwrap();
                self.stream.write_all(&end.to_be_bytes()).unwrap();
            }
        }
    }
}

#[test]
fn a_java_replica_copies_and_counts() {
    let pair = Pair::new();
    let master = pair.master(&[
        ("brokerRole", "SYNC_MASTER"),
        ("inSyncReplicas", "2"),
        ("slaveTimeout", "20000"),
    ]);
    let ha_address = pair.directory.ha_address();
    let mut wire = master.wire();
    let first = wire.send(310, &send_v2("T", "0", ""), b"first");
    let mut replica = JavaReplica::connect(&ha_address, 0);
    replica.read_to(100);
    assert_eq!(wire.answer(first).code, 0);
    let second = wire.send(310, &send_v2("T", "0", ""), &[7; 100_000]);
    replica.read_to(100_000);
    assert_eq!(wire.answer(second).code, 0);
    assert_eq!(log_of(&master)[..replica.log.len()], replica.log[..]);
    // One that asks for what is not there is closed, not left waiting.
    let mut lost = JavaReplica::connect(&ha_address, 1 << 40);
    let mut byte = [0; 1];
    assert_eq!(lost.stream.read(&mut byte).unwrap(), 0);
    // And so is noise.
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xFF; 64], b"\xF2RMQ-HA\x01\xFF\xFF\xFF\xFF"] {
        let mut stream = TcpStream::connect(&ha_address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(noise).unwrap();
        assert_eq!(stream.read(&mut byte).unwrap_or(0), 0, "{noise:?}");
    }
}

#[test]
fn a_java_master_is_followed() {
    let pair = Pair::new();
    // Its log: that of a master of ours.
    let source = Pair::new();
    let from = source.master(&[]);
    send(&mut from.wire(), 0, 50);
    let log = log_of(&from);
    let want = consume(&from);
    let used = log.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let java = TcpListener::bind("127.0.0.1:0").unwrap();
    // Requests go to a master that does not know 906: like an old Java broker.
    let requests = Directory::new();
    pair.directory.point_to(&requests.addr.to_string(), &java.local_addr().unwrap().to_string());
    let slave = pair.slave(&[]);
    let (mut stream, _) = java.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let report = |stream: &mut TcpStream| {
        let mut bytes = [0; 8];
        stream.read_exact(&mut bytes).unwrap();
        i64::from_be_bytes(bytes)
    };
    assert_eq!(report(&mut stream), 0);
    let mut at = 0;
    for (len, heartbeats) in [(100, 1), (1, 0), (1_000, 2), (used - 1_101, 1)] {
        let mut frame = BytesMut::new();
        frame.put_i64(at);
        frame.put_i32(i32::try_from(len).unwrap());
        let start = usize::try_from(at).unwrap();
        frame.put_slice(&log[start..start + len]);
        at += i64::try_from(len).unwrap();
        for _ in 0..heartbeats {
            frame.put_i64(at);
            frame.put_i32(0);
        }
        stream.write_all(&frame).unwrap();
        eventually("it is acknowledged", || report(&mut stream) == at);
    }
    eventually("all is there", || end(&slave) == 50);
    assert_eq!(log_of(&slave)[..used], log[..used]);
    drop(stream);
    eventually("the replica serves", || {
        slave.wire().call(11, &pull("G", "T", "0", "0", "4", "*"), b"").code != 20
    });
    assert_eq!(want.len(), 50);
}
