//! A broker as a pod: mounted files, the control API, probes, and the way out.

use crate::wire::{PATIENCE, Wire, pull, send_v2};
use rmq_broker::pod::Mounts;
use rmq_broker::{Running, StartError, StopMode};
use rmq_control::Bearer;
use rmq_control::tonic::service::interceptor::InterceptedService;
use rmq_control::tonic::transport::{Channel, Endpoint};
use rmq_control::tonic::{Code, Status};
use rmq_control::v1::broker_client::BrokerClient;
use rmq_control::v1::shutdown_request::Mode;
use rmq_control::v1::{
    BrokerStatus, ConfigStatus, DrainStatus, DrainStatusRequest, GetStatusRequest, Phase,
    ReloadConfigRequest, Role, SetPermissionRequest, ShutdownRequest, Target, WatchStatusRequest,
};
use rmq_host::SystemClock;
use rmq_host::grpc::ControlConfig;
use rmq_model::Clock as _;
use rmq_pod::{Advertise, AdvertisedHost, BrokerPod, BrokerTemplate, Place, Shared};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

type Client = BrokerClient<InterceptedService<Channel, Bearer>>;

/// A pod with its volume and its mounted files.
struct Pod {
    runtime: Runtime,
    running: Option<Running>,
    folder: TempDir,
    pod: BrokerPod,
}

const TOKEN: &str = "the-token";

impl Pod {
    fn new() -> Self {
        let mut pod = Self::stopped(0);
        pod.start();
        pod
    }

    fn stopped(drain_seconds: u32) -> Self {
        let runtime =
            rmq_host::runtime::build(&rmq_host::runtime::RuntimeConfig::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let text = |name: &str| folder.path().join(name).display().to_string();
        let shared = Shared {
            http_port: None,
            config_dir: text("config"),
            data_dir: text("data"),
            control_token_file: Some(text("token")),
            bind: Some(IpAddr::from([127, 0, 0, 1])),
            ..Shared::new("demo", "uid-1", 10_911)
        };
        let template = BrokerTemplate {
            advertise: Advertise::External,
            advertised_host: Some(AdvertisedHost::default().for_all("127.0.0.1", None)),
            drain_seconds,
            ..BrokerTemplate::new(shared, "broker-a")
        };
        let place = Place { name: "demo-broker-a-0".into(), ..Place::default() };
        let pod = Self { runtime, running: None, folder, pod: BrokerPod { place, template } };
        pod.mount("broker.conf", "mappedFileSizeCommitLog=16777216\nmaxHashSlotNum=1000");
        pod.write("token", TOKEN);
        pod
    }

    fn write(&self, name: &str, text: &str) {
        rmq_host::durable::replace(&self.folder.path().join(name), text.as_bytes()).unwrap();
    }

    /// Replaces a mounted file.
    fn mount(&self, name: &str, text: &str) {
        self.write(&format!("config/{name}"), text);
    }

    fn try_start(&mut self) -> Result<(), StartError> {
        let mounts = Mounts::new(self.pod.clone(), None);
        let given = mounts.read().unwrap();
        let mut config = mounts.config(&given, &mounts.read_name_servers().unwrap()).unwrap();
        config.listen.set_port(0);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        config.metrics = Some(any);
        let token_file = Some(self.folder.path().join("token"));
        config.control = Some(ControlConfig { address: any, token_file });
        config.pod = Some(mounts.into());
        self.running = Some(self.runtime.block_on(rmq_broker::start(config))?);
        Ok(())
    }

    fn start(&mut self) {
        self.try_start().expect("starts");
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("runs")
    }

    fn wire(&self) -> Wire {
        Wire::connect(self.running().addr())
    }

    fn client(&self, token: &str) -> Client {
        let url = format!("http://{}", self.running().control_addr().expect("it is served"));
        let bearer = Bearer::new(token).unwrap();
        let endpoint = Endpoint::from_shared(url).unwrap();
        let channel = self.run(endpoint.connect()).expect("it listens");
        BrokerClient::with_interceptor(channel, bearer)
    }

    fn run<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, work).await.expect("an answer in time")
        })
    }

    fn status(&self) -> BrokerStatus {
        let mut client = self.client(TOKEN);
        self.run(client.get_status(GetStatusRequest {})).expect("answered").into_inner()
    }

    fn target(&self) -> Option<Target> {
        self.status().identity.map(|identity| identity.target())
    }

    fn reload(&self) -> ConfigStatus {
        let request = ReloadConfigRequest { target: self.target() };
        let mut client = self.client(TOKEN);
        self.run(client.reload_config(request)).expect("answered").into_inner()
    }

    fn set_permission(&self, perm: u32, target: Option<Target>) -> Result<u32, Status> {
        let request = SetPermissionRequest { target, perm, reason: "a test".into() };
        let mut client = self.client(TOKEN);
        self.run(client.set_permission(request)).map(|answer| answer.into_inner().perm)
    }

    fn drained(&self, groups: &[&str], topics: &[&str]) -> DrainStatus {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
        let request =
            DrainStatusRequest { ignore_groups: names(groups), ignore_topics: names(topics) };
        let mut client = self.client(TOKEN);
        self.run(client.drain_status(request)).expect("answered").into_inner()
    }

    /// Waits until `is_so` holds of the status.
    fn until(&self, what: &str, is_so: impl Fn(&BrokerStatus) -> bool) -> BrokerStatus {
        let clock = SystemClock::new();
        loop {
            let status = self.status();
            if is_so(&status) {
                return status;
            }
            assert!(clock.monotonic() < PATIENCE, "{what}: {status:?}");
        }
    }

    fn stop(&mut self) {
        let running = self.running.take().expect("runs");
        self.runtime.block_on(running.shutdown(Duration::from_secs(10))).expect("stops cleanly");
    }

    fn http(&self, path: &str) -> String {
        use std::io::{Read as _, Write as _};
        let address = self.running().metrics_addr().expect("it is served");
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            drop(self.runtime.block_on(running.shutdown(Duration::from_secs(10))));
        }
    }
}

#[test]
fn the_status_says_who_the_broker_is_and_how_it_does() {
    let pod = Pod::new();
    pod.wire().ok(310, &send_v2("T", "0", ""), b"hello");
    let status = pod.until("the log is flushed", |status| status.flushed_offset > 0);
    let identity = status.identity.clone().expect("always there");
    assert_eq!(
        (&*identity.cluster, &*identity.cluster_uid, &*identity.broker_name, &*identity.pod),
        ("demo", "uid-1", "broker-a", "demo-broker-a-0")
    );
    assert_eq!((identity.store_id.len(), identity.incarnation.len()), (32, 32));
    assert_eq!((status.phase(), status.role()), (Phase::Serving, Role::AsyncMaster));
    assert_eq!(status.advertised, format!("127.0.0.1:{}", pod.running().addr().port()));
    assert!(0 < status.max_offset && status.confirmed_offset == status.max_offset);
    let permission = status.permission.expect("always there");
    assert_eq!((permission.perm, &*permission.reason), (6, ""));
    let traffic = status.traffic.expect("always there");
    assert!(traffic.last_send_ms_ago.is_some());
    let disk = status.disk.expect("always there");
    assert!(disk.writable && disk.reason.is_empty(), "{disk:?}");
    assert!(status.recovery.expect("always there").done);
    let config = status.config.expect("a pod has files");
    assert_eq!(config.file_hash, config.applied_hash);
    assert!(config.rejected.is_none() && config.pending.is_empty());
}

#[test]
fn calls_need_the_token_and_changes_the_right_target() {
    let pod = Pod::new();
    let mut stranger = pod.client("another-token");
    let refused = pod.run(stranger.get_status(GetStatusRequest {})).expect_err("refused");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(pod.set_permission(4, None).map_err(|s| s.code()), Err(Code::InvalidArgument));
    let other = Target { store_id: "x".into(), ..pod.target().expect("known") };
    let refused = pod.set_permission(4, Some(other)).map_err(|status| status.code());
    assert_eq!(refused, Err(Code::FailedPrecondition));
    let refused = pod.set_permission(5, pod.target()).map_err(|status| status.code());
    assert_eq!(refused, Err(Code::InvalidArgument));
    assert_eq!(pod.status().permission.map(|one| one.perm), Some(6));
}

#[test]
fn a_permission_lasts_until_the_next_start() {
    let mut pod = Pod::new();
    let mut wire = pod.wire();
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    assert_eq!(pod.set_permission(4, pod.target()).expect("set"), 4);
    // As with the Java broker it is routes that keep producers away: a send that comes is stored.
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    let permission = pod.status().permission.expect("always there");
    assert_eq!((permission.perm, &*permission.reason), (4, "a test"));
    // A change of the file does not take it away.
    pod.mount(
        "broker.conf",
        "mappedFileSizeCommitLog=16777216\nmaxHashSlotNum=1000\nbrokerPermission=6\n\
         shortPollingTimeMills=7",
    );
    assert!(pod.reload().rejected.is_none());
    assert_eq!(pod.status().permission.map(|one| one.perm), Some(4));
    drop(wire);
    let before = pod.status().identity.expect("always there");
    pod.stop();
    pod.start();
    let after = pod.status().identity.expect("always there");
    assert_eq!(before.store_id, after.store_id);
    assert_ne!(before.incarnation, after.incarnation);
    assert_eq!(pod.status().permission.map(|one| one.perm), Some(6));
    pod.wire().ok(310, &send_v2("T", "0", ""), b"x");
}

#[test]
fn a_permission_is_news_to_name_servers() {
    let pod = Pod::new();
    let mut wire = pod.wire();
    // They take topics only under a version that they have not seen.
    let mut version = || {
        let all: serde_json::Value =
            serde_json::from_slice(&wire.ok(21, &[], b"").body).expect("JSON");
        all["dataVersion"]["counter"].as_i64().expect("a number")
    };
    let first = version();
    pod.set_permission(4, pod.target()).expect("set");
    let second = version();
    assert!(first < second, "{first} {second}");
    pod.set_permission(4, pod.target()).expect("set");
    assert_eq!(version(), second, "nothing changed");
    pod.set_permission(6, pod.target()).expect("set");
    assert!(second < version());
}

#[test]
fn hot_settings_change_at_once_and_others_wait_for_a_restart() {
    let pod = Pod::new();
    let before = pod.status().config.expect("a pod has files");
    pod.mount(
        "broker.conf",
        "mappedFileSizeCommitLog=16777216\nmaxHashSlotNum=1000\nfileReservedTime=5\n\
         deleteWhen=7;8\nflushDiskType=SYNC_FLUSH\nsomethingElse=1",
    );
    let config = pod.reload();
    assert_eq!(config.applied_hash, config.file_hash);
    assert_ne!(config.file_hash, before.file_hash);
    assert_eq!(config.restart_hash, before.restart_hash, "that of the start");
    assert_eq!(config.pending, ["flushDiskType", "somethingElse"]);
    let settings = pod.running().broker().settings().clone();
    assert_eq!((settings.file_reserved_time, &*settings.delete_when), (5, "7;8"));
    assert_eq!(&*settings.flush_disk_type, "ASYNC_FLUSH");
    // A key that leaves the file goes back to its default.
    pod.mount("broker.conf", "mappedFileSizeCommitLog=16777216\nmaxHashSlotNum=1000");
    let config = pod.reload();
    assert!(config.pending.is_empty());
    assert_eq!(config.applied_hash, before.applied_hash);
    assert_eq!(pod.running().broker().settings().file_reserved_time, 72);
}

#[test]
fn a_file_with_an_error_is_refused_as_a_whole() {
    let pod = Pod::new();
    let before = pod.status().config.expect("a pod has files");
    pod.mount("broker.conf", "fileReservedTime=5\ndeleteWhen=25");
    let config = pod.reload();
    let rejected = config.rejected.expect("refused");
    assert_eq!(rejected.key, "deleteWhen");
    assert!(rejected.reason.contains("hours 0 to 23"), "{}", rejected.reason);
    assert_eq!(config.applied_hash, before.applied_hash);
    assert_ne!(config.file_hash, before.file_hash);
    assert_eq!(pod.running().broker().settings().file_reserved_time, 72);
    pod.mount("broker.conf", "fileReservedTime=5");
    let config = pod.reload();
    assert!(config.rejected.is_none() && config.applied_hash == config.file_hash);
}

#[test]
fn mounted_files_are_followed_without_being_asked() {
    let pod = Pod::new();
    pod.mount("broker.conf", "fileReservedTime=6");
    pod.until("the file is applied", |status| {
        status.config.as_ref().is_some_and(|config| config.pending.len() == 2)
            && pod.running().broker().settings().file_reserved_time == 6
    });
    // Nobody listens there: what counts is whom it tries.
    let tried = |status: &BrokerStatus| -> Vec<String> {
        status.registrations.iter().map(|one| one.address.clone()).collect()
    };
    for list in [&["127.0.0.1:1", "127.0.0.1:2"][..], &["127.0.0.1:2"]] {
        pod.mount("namesrv.addrs", &list.join(";"));
        let status = pod.until("the list is in force", |status| tried(status) == list);
        assert_eq!(status.name_servers.map(|names| names.addresses).unwrap_or_default(), list);
        assert!(status.registrations.iter().all(|one| !one.ok && one.age_ms.is_none()));
        assert!(status.not_ready.iter().any(|why| why.starts_with("name servers: ")));
    }
    // An empty list would leave clients without a route.
    pod.mount("namesrv.addrs", "\n");
    let status = pod.until("the list is refused", |status| {
        status.config.as_ref().is_some_and(|config| config.rejected.is_some())
    });
    assert_eq!(tried(&status), ["127.0.0.1:2"]);
}

#[test]
fn a_broker_can_go_when_everything_is_consumed() {
    let pod = Pod::new();
    assert!(pod.drained(&[], &[]).empty);
    let mut wire = pod.wire();
    for _ in 0..3 {
        wire.ok(310, &send_v2("T", "0", ""), b"x");
    }
    let left = pod.drained(&[], &[]);
    assert_eq!(
        (left.empty, left.unconsumed_topics, left.unconsumed_total),
        (false, vec!["T".to_owned()], 1)
    );
    assert!(pod.drained(&[], &["T"]).empty);
    wire.ok(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    let commit = |wire: &mut Wire, offset: &str| {
        let header =
            [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0"), ("commitOffset", offset)];
        wire.ok(15, &header, b"");
    };
    commit(&mut wire, "1");
    let left = pod.drained(&[], &[]);
    assert_eq!((left.behind_pairs, left.behind_messages, left.empty_for_ms), (1, 2, 0));
    let behind = left.behind.first().expect("one");
    assert_eq!((&*behind.topic, &*behind.group, behind.messages), ("T", "G", 2));
    assert!(pod.drained(&["G"], &[]).empty);
    commit(&mut wire, "3");
    assert!(pod.drained(&[], &[]).empty);
    let clock = SystemClock::new();
    while pod.drained(&[], &[]).empty_for_ms < 20 {
        assert!(clock.monotonic() < PATIENCE);
    }
    // The time begins anew with every message.
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    commit(&mut wire, "4");
    let again = pod.drained(&[], &[]);
    assert_eq!((again.empty, again.empty_for_ms), (true, 0));
    let delayed = rmq_record::properties::text([("DELAY", "18")]);
    let delayed = String::from_utf8(delayed.to_vec()).unwrap();
    wire.ok(310, &send_v2("T", "0", &delayed), b"later");
    assert_eq!(pod.drained(&[], &[]).delayed_messages, 1);
}

#[test]
fn the_way_out_is_asked_for_once_and_sends_go_elsewhere() {
    let pod = {
        let mut pod = Pod::stopped(600);
        pod.start();
        pod
    };
    let mut wire = pod.wire();
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    let request = |mode: Mode| ShutdownRequest { target: pod.target(), mode: mode.into() };
    let mut client = pod.client(TOKEN);
    let refused = pod.run(client.shutdown(request(Mode::Unspecified))).expect_err("no mode");
    assert_eq!(refused.code(), Code::InvalidArgument);
    pod.run(client.shutdown(request(Mode::Fast))).expect("answered");
    pod.run(client.shutdown(request(Mode::Handover))).expect("answered");
    assert_eq!(pod.run(pod.running().asked_to_stop()), StopMode::Fast);

    let hurry = CancellationToken::new();
    let mut hurried = std::pin::pin!(pod.running().drain(&hurry));
    let drains = async {
        // Polls the drain until the broker says so.
        loop {
            tokio::select! {
                biased;
                _ = &mut hurried => panic!("it lasts ten minutes"),
                () = tokio::task::yield_now() => {}
            }
            if pod.running().broker().phase() == rmq_broker::service::Phase::Draining {
                return;
            }
        }
    };
    pod.run(drains);
    assert_eq!(wire.call(310, &send_v2("T", "0", ""), b"x").code, 14);
    wire.ok(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    let status = pod.status();
    assert_eq!(status.phase(), Phase::Draining);
    assert!(pod.http("/readyz").starts_with("HTTP/1.1 503"));
    hurry.cancel();
    assert!(pod.run(hurried), "a second signal ends the wait");
}

#[test]
fn watchers_are_told_of_changes() {
    let pod = Pod::new();
    let mut client = pod.client(TOKEN);
    let stream = pod.run(client.watch_status(WatchStatusRequest {})).expect("answered");
    let mut stream = stream.into_inner();
    let perm = |status: Option<BrokerStatus>| status?.permission.map(|one| one.perm);
    assert_eq!(perm(pod.run(stream.message()).expect("told")), Some(6));
    pod.set_permission(4, pod.target()).expect("set");
    assert_eq!(perm(pod.run(stream.message()).expect("told")), Some(4));
}

#[test]
fn a_stop_ends_the_streams_of_watchers() {
    let mut pod = Pod::new();
    let mut client = pod.client(TOKEN);
    let stream = pod.run(client.watch_status(WatchStatusRequest {})).expect("answered");
    let mut stream = stream.into_inner();
    assert!(pod.run(stream.message()).expect("told").is_some());
    pod.stop();
    pod.run(async { while stream.message().await.expect("it ends in order").is_some() {} });
}

#[test]
fn probes_say_what_they_mean() {
    let pod = Pod::new();
    assert!(pod.http("/startupz").starts_with("HTTP/1.1 200"));
    assert!(pod.http("/livez").starts_with("HTTP/1.1 200"));
    // Without name servers there is nothing to be registered at.
    let ready = pod.http("/readyz?verbose");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    for line in ["[+] name servers", "[+] phase", "[+] start"] {
        assert!(ready.contains(line), "{line} in {ready}");
    }
    pod.mount("namesrv.addrs", "127.0.0.1:1");
    pod.reload();
    let ready = pod.http("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.contains("name servers: not registered at any of them yet"), "{ready}");
    assert!(pod.http("/livez").starts_with("HTTP/1.1 200"), "name servers are no reason to die");
}

#[test]
fn a_store_is_taken_only_by_its_own_pod() {
    let mut pod = Pod::new();
    let store_id = pod.status().identity.expect("always there").store_id;
    pod.stop();
    pod.pod.template.broker_name = "broker-b".into();
    let error = pod.try_start().expect_err("another broker's store");
    let text = format!("{:#}", anyhow::Error::from(error));
    assert!(text.contains("the store belongs to broker \"broker-a\""), "{text}");
    assert!(
        !Path::new(&pod.folder.path().join("data/store/abort")).exists(),
        "nothing was touched"
    );
    // The resource was deleted and made anew, its volumes were kept.
    pod.pod.template.broker_name = "broker-a".into();
    pod.pod.template.shared.cluster_uid = "uid-2".into();
    pod.start();
    assert_eq!(pod.status().identity.expect("always there").store_id, store_id);
}
