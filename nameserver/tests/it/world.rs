//! A name server on a free port with its files in a temporary folder.

use rmq_host::runtime::{self, RuntimeConfig};
use rmq_host::{Origin, Settings};
use rmq_model::Clock;
use rmq_nameserver::{Config, Running};
use rmq_net::{ClientConfig, Connection, Connector, Request, Server, ServerConfig, Service};
use rmq_remoting::Command;
use rmq_remoting::code::request;
use rmq_testkit::clock::FakeClock;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// Nothing here takes longer on a healthy machine.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) clock: Arc<FakeClock>,
    folder: TempDir,
    running: Running,
    connector: Connector,
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = runtime::build(&RuntimeConfig::default()).expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE * 3, test).await.expect("the test ends in time");
    });
}

pub(crate) fn settings(pairs: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new();
    for (key, value) in pairs {
        settings.set(key, value, Origin::Flag("test"));
    }
    settings
}

impl World {
    pub(crate) async fn start(pairs: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), settings(pairs)).await
    }

    async fn start_in(folder: TempDir, mut settings: Settings) -> Self {
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (key, value) in [
            ("bindAddress", "127.0.0.1".to_owned()),
            ("listenPort", "0".to_owned()),
            ("kvConfigPath", path("kvConfig.json")),
            ("configStorePath", path("namesrv.properties")),
        ] {
            settings.set(key, &value, Origin::Flag("test"));
        }
        let mut config = Config::from_settings(&settings).expect("good settings");
        config.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let clock = Arc::new(FakeClock::default());
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let running = rmq_nameserver::start_with_clock(config, shared).await.expect("it starts");
        Self { clock, folder, running, connector: Connector::new(ClientConfig::default()) }
    }

    pub(crate) async fn restart(self, pairs: &[(&str, &str)]) -> Self {
        assert!(self.running.shutdown(DEADLINE).await);
        Self::start_in(self.folder, settings(pairs)).await
    }

    pub(crate) async fn stop(self) -> bool {
        self.running.shutdown(DEADLINE).await
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn connect(&self) -> Arc<Connection> {
        let addr = self.addr().to_string();
        self.connector.connect(&addr, Arc::new(Deaf)).await.expect("it listens")
    }

    pub(crate) async fn ask(&self, conn: &Connection, command: Command) -> Command {
        conn.request(command, DEADLINE).await.expect("it answers")
    }

    /// Asks again and again until the answer is as wanted.
    pub(crate) async fn until_answer(
        &self,
        conn: &Connection,
        ask: impl Fn() -> Command,
        wanted: impl Fn(&Command) -> bool,
    ) {
        let asking = async {
            while !wanted(&self.ask(conn, ask()).await) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, asking).await.expect("it happens in time");
    }

    pub(crate) async fn until_gone(&self, conn: &Connection, topic: &'static str) {
        self.until_answer(conn, || route(topic), |answer| answer.code == 17).await;
    }

    /// Head and body of an answer of the HTTP endpoint.
    pub(crate) async fn http(&self, path: &str) -> String {
        let addr = self.running.http_addr().expect("it was switched on");
        let mut stream = tokio::net::TcpStream::connect(addr).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }
}

/// Waits until `wanted`.
pub(crate) async fn until(wanted: impl Fn() -> bool) {
    let waiting = async {
        while !wanted() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("it happens in time");
}

/// Takes no requests.
struct Deaf;

impl Service for Deaf {
    fn requests(&self, _: &Arc<Connection>, batch: &mut Vec<Request>) {
        batch.clear();
    }
}

/// Hands on what it is sent.
struct Ear(mpsc::Sender<Command>);

impl Service for Ear {
    fn requests(&self, _: &Arc<Connection>, batch: &mut Vec<Request>) {
        for Request { command, .. } in batch.drain(..) {
            self.0.try_send(command).expect("there is room");
        }
    }
}

/// A peer that listens: its address and what it is sent. Lives as long as the runtime.
pub(crate) fn listener() -> (String, mpsc::Receiver<Command>) {
    let (sender, receiver) = mpsc::channel(16);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(ServerConfig::new(vec![any]), Arc::new(Ear(sender)));
    let server = server.expect("port 0 is free");
    let addr = server.local_addrs().first().expect("one address").to_string();
    let keep = rmq_host::Tasks::new("listener");
    keep.spawn("listens", |stop| async move {
        stop.cancelled().await;
        drop(server);
        Ok(())
    });
    (addr, receiver)
}

pub(crate) fn body(answer: &Command) -> String {
    String::from_utf8(answer.body.to_vec()).expect("bodies are UTF-8")
}

pub(crate) fn route(topic: &'static str) -> Command {
    let mut command = Command::request(request::GET_ROUTEINFO_BY_TOPIC);
    command.ext.push_static("topic", topic);
    command
}

/// A master with the topics `T` and `U`.
pub(crate) fn register(broker: &str, addr: &str) -> Command {
    let topic = |name: &str| {
        format!(
            r#""{name}":{{"perm":6,"readQueueNums":8,"topicName":"{name}","writeQueueNums":8}}"#
        )
    };
    let text = format!(
        r#"{{"filterServerList":[],"topicConfigSerializeWrapper":{{"dataVersion":{{"counter":1,"stateVersion":0,"timestamp":7}},"topicConfigTable":{{{},{}}}}}}}"#,
        topic("T"),
        topic("U")
    );
    let mut command = Command::request(request::REGISTER_BROKER).with_body(text);
    let ha_addr = addr.replace(":10911", ":10912");
    command.ext.push_str("brokerName", broker);
    command.ext.push_str("brokerAddr", addr);
    command.ext.push_str("haServerAddr", &ha_addr);
    command.ext.push_static("clusterName", "DefaultCluster");
    command.ext.push_static("brokerId", "0");
    command
}

/// Garbage, half a body, a damaged stream, one that would inflate beyond all bounds.
pub(crate) fn malformed_bodies() -> Vec<Vec<u8>> {
    let zlib = |bytes: &[u8]| rmq_remoting::body::deflate(bytes).expect("a vector takes all");
    let mut bomb = Vec::new();
    bomb.extend_from_slice(&2i32.to_be_bytes());
    bomb.extend_from_slice(b"{}");
    bomb.extend_from_slice(&i32::MAX.to_be_bytes());
    for _ in 0..20_000 {
        bomb.extend_from_slice(&1i32.to_be_bytes());
        bomb.extend_from_slice(b"T");
    }
    let bomb = zlib(&bomb);
    let half = bomb.get(..bomb.len() / 2).expect("it is longer").to_vec();
    vec![b"garbage".to_vec(), b"{\"topicConfig".to_vec(), vec![0x78; 300], half, bomb]
}
