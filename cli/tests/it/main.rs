//! The real program, with real brokers and name servers, in a directory of its own.

mod store;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rmq_host::SystemClock;
use rmq_model::Clock as _;
use serde_json::Value;

/// Longest wait for anything; nothing takes a tenth of it.
const DEADLINE: Duration = Duration::from_secs(60);

/// A data directory with one cluster, which is gone when the test is over.
struct Place {
    folder: tempfile::TempDir,
    cluster: String,
}

impl Place {
    fn new(test: &str) -> Self {
        // Addresses follow from the name: tests that run at the same time must not meet.
        let cluster = format!("{test}-{}", std::process::id());
        Self { folder: tempfile::tempdir().expect("a temporary folder"), cluster }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a manifest. Ports are unusual ones, free even where brokers run at all addresses.
    fn manifest(&self, spec: &str) -> PathBuf {
        let spec = spec
            .replace("{layout: ", "{nameserver: {port: 21876}, metrics: {port: 21557}, layout: ")
            .replace("brokers: {", "brokers: {listenPort: 21911, ");
        let spec = spec.as_str();
        let text = format!(
            "apiVersion: rocketmq.rs/v1alpha1\nkind: RocketMQCluster\n\
             metadata: {{name: {}}}\nspec: {spec}\n",
            self.cluster
        );
        let path = self.folder.path().join("cluster.yaml");
        rmq_host::durable::replace(&path, text.as_bytes()).expect("writable");
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rmq"));
        command.args(args).env("RMQ_DATA_DIR", self.data()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program starts")
    }

    /// Runs a command that must succeed; what it printed.
    fn good(&self, args: &[&str]) -> String {
        let done = self.run(args);
        let (out, err) = texts(&done);
        assert!(done.status.success(), "{args:?}: {}\n{out}{err}{}", done.status, self.logs());
        out
    }

    /// Runs a command that must fail; what it said on the standard error.
    fn bad(&self, args: &[&str]) -> String {
        let done = self.run(args);
        let (out, err) = texts(&done);
        assert_eq!(done.status.code(), Some(1), "{args:?}\n{out}{err}");
        err
    }

    fn up(&self, manifest: &Path) -> String {
        self.good(&["up", "-d", "-f", &manifest.display().to_string()])
    }

    fn status(&self) -> Value {
        let text = self.good(&["status", "-o", "json", &self.cluster]);
        let all: Value = serde_json::from_str(&text).expect("JSON");
        all.get(0).cloned().expect("the cluster")
    }

    fn pod(&self, suffix: &str) -> Value {
        let name = format!("{}-{suffix}", self.cluster);
        let status = self.status();
        let pods = status.get("pods").and_then(Value::as_array).cloned().expect("a list");
        pods.into_iter().find(|pod| text(pod, "name") == name).expect("the pod is listed")
    }

    fn logs(&self) -> String {
        let pods = texts(&self.run(&["logs", &self.cluster])).0;
        let supervisor = self.data().join(&self.cluster).join("supervisor.log");
        pods + &std::fs::read_to_string(supervisor).unwrap_or_default()
    }

    fn wait_for(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let clock = SystemClock::new();
        while !is_so() {
            let text = || format!("{what} did not happen\n{:#}\n{}", self.status(), self.logs());
            assert!(clock.monotonic() < DEADLINE, "{}", text());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.run(&["down", "--now", "--volumes", &self.cluster]);
    }
}

fn texts(done: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&done.stdout), text(&done.stderr))
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(value: &Value, key: &str) -> i64 {
    value.get(key).and_then(Value::as_i64).unwrap_or(-1)
}

fn is_alive(pid: i64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

const PAIR: &str = "{layout: 2m-noslave, brokers: {storage: {size: 1Gi}, \
    config: {mappedFileSizeCommitLog: '1048576'}}}";

#[test]
fn a_cluster_lives_through_kills_and_restarts_and_keeps_its_data() {
    let place = Place::new("life");
    let manifest = place.manifest(PAIR);

    let shown = place.up(&manifest);
    for wanted in ["namesrv-0", "namesrv-1", "broker-a-0", "broker-b-0", "NAMESRV_ADDR='127."] {
        assert!(shown.contains(wanted), "{wanted} is not in\n{shown}");
    }
    let status = place.status();
    assert_eq!(status.get("running"), Some(&Value::Bool(true)), "{status:#}");
    for pod in status.get("pods").and_then(Value::as_array).into_iter().flatten() {
        assert_eq!(text(pod, "state"), "ready", "{status:#}");
        assert!(is_alive(number(pod, "pid")), "{status:#}");
    }

    let again = place.bad(&["up", "-f", &manifest.display().to_string()]);
    assert!(again.contains("is running already"), "{again}");
    assert_eq!(again.lines().count(), 1, "{again}");

    let before = place.pod("broker-a-0");
    place.good(&["kill", &text(&before, "name")]);
    place.wait_for("the restart", || {
        let pod = place.pod("broker-a-0");
        number(&pod, "restarts") == 1 && text(&pod, "state") == "ready"
    });
    let after = place.pod("broker-a-0");
    assert_ne!(number(&before, "pid"), number(&after, "pid"));
    assert_eq!(text(&before, "address"), text(&after, "address"));
    assert!(text(&after, "lastExit").starts_with("killed by SIGKILL"), "{after:#}");
    assert_eq!(number(&place.pod("broker-b-0"), "restarts"), 0);

    let store = PathBuf::from(text(&after, "data"));
    assert!(store.is_dir(), "{}", store.display());
    let servers = text(&place.status(), "nameServers");
    place.good(&["send", "-n", &servers, "-t", "kept", "-b", "a message", "--count", "8"]);

    place.good(&["down"]);
    assert!(!is_alive(number(&after, "pid")));
    assert_eq!(place.status().get("running"), Some(&Value::Bool(false)));
    assert_eq!(text(&place.pod("broker-a-0"), "state"), "stopped");

    let changed = PAIR.replace("config: {", "config: {fileReservedTime: '7', ");
    let shown = place.up(&place.manifest(&changed));
    assert!(shown.contains("broker-a-0: fileReservedTime 48 -> 7"), "{shown}");
    assert_eq!(text(&place.pod("broker-a-0"), "address"), text(&after, "address"));
    let consume = ["consume", "-n", &servers, "-t", "kept", "-g", "readers", "--from", "first"];
    let bodies =
        place.good(&[&consume[..], &["--count", "8", "--idle", "30s", "--bodies"]].concat());
    assert_eq!(bodies.lines().collect::<Vec<_>>(), ["a message"; 8]);

    place.good(&["down", "--volumes"]);
    assert!(!store.exists());
    assert!(place.bad(&["status", &place.cluster]).contains("there is no cluster"));
}

#[test]
fn a_slave_has_what_its_master_confirmed() {
    let place = Place::new("pair");
    place.up(&place.manifest(
        "{layout: Custom, brokers: {groups: 1, replicasPerGroup: 2, replication: Sync, \
          storage: {size: 1Gi}, config: {mappedFileSizeCommitLog: '1048576'}}}",
    ));
    let servers = text(&place.status(), "nameServers");
    let send = |body: &str| {
        place.good(&["send", "-n", &servers, "-t", "kept", "-b", body, "--count", "8"]);
    };
    place.wait_for("the slave to be in sync", || {
        let replication = |suffix: &str| place.pod(suffix).get("replication").cloned();
        let (master, slave) = (replication("broker-a-0"), replication("broker-a-1"));
        let (Some(master), Some(slave)) = (master, slave) else { return false };
        (text(&master, "role"), number(&master, "inSyncCopies")) == ("master".to_owned(), 2)
            && text(&slave, "role") == "slave"
            && slave.get("inSync") == Some(&Value::Bool(true))
    });
    let listed = place.good(&["cluster", "list", "-n", &servers]);
    let row = |id: &str| -> Vec<&str> {
        let of = |line: &&str| line.split_ascii_whitespace().nth(2) == Some(id);
        listed.lines().find(of).unwrap_or_default().split_ascii_whitespace().collect()
    };
    assert_eq!(row("0").get(3..6), Some(&["master", "2", "copies"][..]), "{listed}");
    assert_eq!(row("1").get(3..7), Some(&["slave", "yes", "0", "B"][..]), "{listed}");
    send("before");
    let log = |suffix: &str| {
        let store = PathBuf::from(text(&place.pod(suffix), "data"));
        std::fs::read(store.join("commitlog/00000000000000000000")).unwrap_or_default()
    };
    place.wait_for("the same log", || {
        let (master, slave) = (log("broker-a-0"), log("broker-a-1"));
        master.iter().any(|byte| *byte != 0) && master == slave
    });
    place.good(&["kill", &text(&place.pod("broker-a-0"), "name")]);
    place.wait_for("the restart", || {
        let pod = place.pod("broker-a-0");
        number(&pod, "restarts") == 1 && text(&pod, "state") == "ready"
    });
    send("after");
    place.wait_for("the same log again", || log("broker-a-0") == log("broker-a-1"));
    let consume = ["consume", "-n", &servers, "-t", "kept", "-g", "readers", "--from", "first"];
    let bodies =
        place.good(&[&consume[..], &["--count", "16", "--idle", "30s", "--bodies"]].concat());
    assert_eq!(bodies.lines().filter(|body| *body == "before").count(), 8, "{bodies}");
}

#[test]
fn pods_do_not_outlive_a_supervisor_that_is_killed() {
    let place = Place::new("orphan");
    let manifest = place.manifest("{layout: single, brokers: {storage: {size: 1Gi}}}");
    place.up(&manifest);
    let status = place.status();
    let pids: Vec<i64> = status
        .get("pods")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|pod| number(pod, "pid"))
        .collect();
    assert_eq!(pids.len(), 2);
    let supervisor = number(&status, "supervisor");
    kill(supervisor, "KILL");
    place.wait_for("the end of all pods", || !pids.iter().any(|pid| is_alive(*pid)));
    // And nothing is in the way of the next start.
    place.up(&manifest);
}

#[test]
fn a_cluster_in_the_foreground_shows_its_pods_and_stops_on_a_signal() {
    let place = Place::new("front");
    let manifest = place.manifest("{layout: single, brokers: {storage: {size: 1Gi}}}");
    let path = manifest.display().to_string();
    let child: Child = place
        .command(&["up", "-f", &path, "--addressing", "ports"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let state = place.data().join(&place.cluster).join("cluster.json");
    place.wait_for("the start", || {
        state.exists() && {
            let status = place.status();
            let pods = status.get("pods").and_then(Value::as_array).cloned().unwrap_or_default();
            pods.iter().all(|pod| text(pod, "state") == "ready")
        }
    });
    let address = text(&place.pod("broker-a-0"), "address");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    kill(i64::from(child.id()), "TERM");
    let done = child.wait_with_output().expect("it ends");
    let (out, err) = texts(&done);
    assert!(done.status.success(), "{}\n{out}{err}", done.status);
    assert!(out.contains("NAMESRV_ADDR=127.0.0.1:"), "{out}");
    let pod = format!("{}-broker-a-0", place.cluster);
    let from_pod = |line: &str| line.starts_with(&pod) && line.contains(" | ");
    assert!(out.lines().any(from_pod), "{out}");
    assert!(out.trim_end().ends_with("-- stopped"), "{out}");
    assert_eq!(place.status().get("running"), Some(&Value::Bool(false)));
}

#[test]
fn a_pod_that_cannot_start_fails_the_start_with_its_reason() {
    let place = Place::new("fail");
    let manifest = place
        .manifest("{layout: single, brokers: {storage: {size: 1Gi}, config: {aclEnable: 'true'}}}");
    let said = place.bad(&["up", "-d", "-f", &manifest.display().to_string()]);
    assert!(said.contains("broker-a-0 does not start: exit status "), "{said}");
    assert!(said.contains("aclEnable"), "{said}");
    assert_eq!(place.status().get("running"), Some(&Value::Bool(false)));
}

#[test]
fn ephemeral_messages_outlive_a_restart_of_the_pod_but_not_the_cluster() {
    let place = Place::new("ephemeral");
    place.up(&place.manifest("{layout: single, brokers: {storage: {type: Ephemeral}}}"));
    let store = PathBuf::from(text(&place.pod("broker-a-0"), "data"));
    let marker = store.join("marker");
    rmq_host::durable::replace(&marker, b"").expect("writable");
    place.good(&["kill", "--signal", "TERM", &text(&place.pod("broker-a-0"), "name")]);
    place.wait_for("the restart", || {
        let pod = place.pod("broker-a-0");
        number(&pod, "restarts") == 1 && text(&pod, "state") == "ready"
    });
    assert!(marker.exists());
    place.good(&["down"]);
    assert!(!store.exists());
}

#[test]
fn a_taken_port_is_told_with_its_owner() {
    let place = Place::new("taken");
    let manifest = place.manifest("{layout: single, brokers: {storage: {size: 1Gi}}}");
    place.up(&manifest);
    let address = text(&place.pod("namesrv-0"), "address");
    place.good(&["down"]);
    let _held = std::net::TcpListener::bind(&address).expect("free again");
    let said = place.bad(&["up", "-d", "-f", &manifest.display().to_string()]);
    assert!(said.contains(&format!("{address} is in use by ")), "{said}");
    assert!(said.contains(&std::process::id().to_string()), "{said}");
}

#[test]
fn a_program_at_all_addresses_makes_pods_use_ports_of_their_own() {
    let place = Place::new("wide");
    let _held = std::net::TcpListener::bind("0.0.0.0:22911").expect("a free port");
    let manifest = place.folder.path().join("wide.yaml");
    let spec = "{layout: single, brokers: {listenPort: 22911, storage: {size: 1Gi}}}";
    let text = format!(
        "{{apiVersion: rocketmq.rs/v1alpha1, kind: RocketMQCluster, \
          metadata: {{name: {}}}, spec: {spec}}}",
        place.cluster
    );
    rmq_host::durable::replace(&manifest, text.as_bytes()).expect("writable");
    let path = manifest.display().to_string();
    let shown = place.good(&["up", "--dry-run", "-f", &path]);
    assert!(shown.contains("NAMESRV_ADDR=127.0.0.1:"), "{shown}");
    assert!(shown.contains(":22911 is in use by "), "{shown}");
    assert!(!place.data().exists(), "a dry run writes nothing");
    let said = place.bad(&["up", "-f", &path, "--addressing", "addresses"]);
    assert!(said.contains(":22911 is in use by "), "{said}");
}

#[test]
fn what_cannot_be_run_is_one_clear_line() {
    let place = Place::new("bad");
    let storage = "brokers: {storage: {size: 1Gi}}";
    for (spec, wanted) in [
        (format!("{{layout: single, paused: true, {storage}}}"), "spec.paused is true"),
        (format!("{{layout: single, hibernated: true, {storage}}}"), "spec.hibernated is true"),
        (format!("{{layout: triple, {storage}}}"), "spec.layout: unknown variant `triple`"),
        ("{layout: single}".to_owned(), "spec: missing field `brokers`"),
    ] {
        let manifest = place.manifest(&spec);
        let said = place.bad(&["up", "-f", &manifest.display().to_string()]);
        assert!(said.contains(wanted), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let said = place.bad(&["up", "-f", "/no/such/file.yaml"]);
    assert!(said.starts_with("rmq: cannot read /no/such/file.yaml: "), "{said}");

    let manifest = place.manifest(&format!("{{layout: single, {storage}}}"));
    let path = manifest.display().to_string();
    let said = place.bad(&["up", "-f", &path, "--data-dir", &path]);
    assert!(said.starts_with("rmq: cannot write to the data directory "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

fn kill(pid: i64, signal: &str) {
    let number = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let signal = match signal {
        "KILL" => rustix::process::Signal::KILL,
        _ => rustix::process::Signal::TERM,
    };
    rustix::process::kill_process(number.expect("a process id"), signal).expect("it runs");
}
