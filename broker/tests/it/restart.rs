use crate::clients::heartbeat;
use crate::wire::{bodies, number, pull, send_v2};
use crate::world::World;
use rmq_broker::StartError;
use rmq_broker::config::Config;
use std::time::{Duration, Instant};

#[test]
fn everything_is_there_after_a_restart_and_after_a_kill() {
    let mut world = World::new();
    let mut wire = world.wire();
    for n in 0..100 {
        wire.ok(310, &send_v2("T", "0", ""), format!("m{n}").as_bytes());
    }
    wire.ok(34, &[], &heartbeat("a@1", "G", "T", 1));
    wire.ok(200, &[], br#"{"groupName":"G9","retryMaxTimes":5}"#);
    wire.ok(
        15,
        &[("consumerGroup", "G"), ("topic", "T"), ("queueId", "0"), ("commitOffset", "40")],
        b"",
    );
    let killed = world.as_after_a_kill();
    world.restart();
    for (world, clean) in [(&world, true), (&killed, false)] {
        let mut wire = world.wire();
        let answer = wire.ok(11, &pull("G", "T", "0", "68", "4", "*"), b"");
        assert_eq!(bodies(&answer).len(), 32);
        assert_eq!(bodies(&answer)[0], "m68");
        assert_eq!(number(&wire.ok(30, &[("topic", "T"), ("queueId", "0")], b""), "offset"), 100);
        wire.ok(352, &[("group", "G9")], b"");
        let of = [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")];
        if clean {
            assert_eq!(number(&wire.ok(14, &of, b""), "offset"), 40);
            wire.ok(351, &[("topic", "%RETRY%G")], b"");
        }
        let sent = wire.ok(310, &send_v2("T", "0", ""), b"more");
        assert_eq!(number(&sent, "queueOffset"), 100);
    }
}

#[test]
fn a_stop_answers_parked_pulls_and_is_quick() {
    let mut world = World::new();
    let mut wire = world.wire();
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    let parked = wire.send(11, &pull("G", "T", "0", "1", "6", "*"), b"");
    wire.ok(30, &[("topic", "T"), ("queueId", "0")], b"");
    #[expect(clippy::disallowed_methods, reason = "measures the broker from outside")]
    let began = Instant::now();
    world.stop();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(wire.answer(parked).code, 19);
    assert!(wire.is_closed());
}

fn start_error(pairs: &[(&str, &str)]) -> StartError {
    let runtime = rmq_host::runtime::build(&rmq_host::runtime::RuntimeConfig::default()).unwrap();
    let config = Config::from_pairs(pairs).expect("a good configuration");
    runtime.block_on(rmq_broker::start(config)).expect_err("refused")
}

#[test]
fn a_second_broker_a_taken_port_and_a_bad_path_are_named() {
    let world = World::new();
    let root = world.root().display().to_string();
    let ip = ("bindAddress", "127.0.0.1");
    let second = start_error(&[ip, ("listenPort", "0"), ("storePathRootDir", &root)]);
    assert!(matches!(second, StartError::Store(_)), "{second:?}");

    let other = tempfile::tempdir().unwrap();
    let other_root = other.path().display().to_string();
    let port = world.addr().port().to_string();
    let taken = start_error(&[ip, ("listenPort", &port), ("storePathRootDir", &other_root)]);
    assert!(taken.to_string().contains(&format!("127.0.0.1:{port} is in use")), "{taken}");
    // The store of the failed start is free again.
    let again = start_error(&[ip, ("listenPort", &port), ("storePathRootDir", &other_root)]);
    assert!(matches!(again, StartError::Bind(_)), "{again:?}");

    let bad = start_error(&[ip, ("listenPort", "0"), ("storePathRootDir", "/proc/no/store")]);
    assert!(format!("{:#}", anyhow::Error::from(bad)).contains("/proc/no"));
}
