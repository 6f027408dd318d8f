use super::fake::FakeBroker;
use super::*;
use crate::mock::on_runtime;
use rmq_operator_plan::control::{BrokerRole, Phase};
use rmq_testkit::clock::FakeClock;

fn controls(max: usize) -> (Controls, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default());
    let controls = Controls::new(Arc::clone(&clock) as Arc<dyn Clock>, Metrics::new("1"));
    (Controls { max, ..controls }, clock)
}

fn key() -> ClusterKey {
    ClusterKey::new("ns", "c")
}

fn bearer() -> Bearer {
    Bearer::new("secret").expect("it can be sent")
}

#[test]
fn what_processes_say_becomes_what_plans_read() {
    on_runtime(async {
        let fake = FakeBroker::start("secret");
        fake.now_says(|status| {
            status.max_offset = 4096;
            status.replicas = vec![v1::Replica { ordinal: 1, lag_bytes: 7, ..Default::default() }];
            status.traffic =
                Some(v1::Traffic { sends_per_second: 0.0, last_send_ms_ago: Some(12) });
        });
        fake.drain_says(|drain| drain.behind_messages = 3);
        let (controls, _) = controls(8);
        let peer = fake.peer(&key(), "c-broker-a-0", "p1");
        let broker = controls.broker(&peer, &bearer()).await.expect("it answers");
        assert_eq!((broker.phase, broker.role), (Phase::Serving, BrokerRole::Master));
        assert_eq!((broker.max_offset, broker.last_send_ms_ago), (4096, Some(12)));
        assert_eq!(broker.replicas.first().map(|one| one.lag_bytes), Some(7));
        assert_eq!((broker.recovery, broker.target.store_id.as_str()), (None, "store"));
        let other = FakeBroker::start_name_server("secret");
        let other_peer = other.peer(&key(), "c-namesrv-0", "p2");
        let name_server = controls.name_server(&other_peer, &bearer()).await;
        assert_eq!(name_server.expect("it answers").started_ms_ago, 600_000);
        other.stop().await;
        let request = v1::DrainStatusRequest::default();
        let drain = controls.drain(&peer, &bearer(), request).await.expect("it answers");
        assert_eq!(drain.behind_messages, 3);
        let text = controls.metrics.render();
        let counted = "rpc_duration_seconds_count{method=\"GetStatus\",result=\"ok\"} 2\n";
        assert!(text.contains(counted), "{text}");
        fake.stop().await;
    });
}

#[test]
fn no_answer_is_data_with_a_reason() {
    on_runtime(async {
        let fake = FakeBroker::start("other");
        let (controls, _) = controls(8);
        let peer = fake.peer(&key(), "c-broker-a-0", "p1");
        let refused = controls.broker(&peer, &bearer()).await.expect_err("another token");
        let want = format!("c-broker-a-0 at {}: it refuses our token: wrong token", peer.address);
        assert_eq!(refused.0, want);
        fake.now_says(|status| status.role = 77);
        let bearer = Bearer::new("other").expect("it can be sent");
        let odd = controls.broker(&peer, &bearer).await.expect_err("no such role");
        assert!(odd.0.contains("lacks its role"), "{odd}");
        fake.fall_silent();
        let silent = controls.broker(&peer, &bearer).await.expect_err("it hangs");
        assert!(silent.0.ends_with("no answer within 2 s"), "{silent}");
        fake.stop().await;
        let gone = controls.broker(&peer, &bearer).await.expect_err("nobody listens");
        assert!(gone.0.starts_with("c-broker-a-0 at 127.0.0.1:"), "{gone}");
    });
}

#[test]
fn connections_are_kept_by_pod_up_to_a_bound() {
    on_runtime(async {
        let (controls, clock) = controls(2);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let peer = |uid: &str| Peer {
            cluster: key(),
            pod: format!("pod-{uid}"),
            uid: uid.to_owned(),
            address,
        };
        let open = || {
            let mut uids: Vec<String> = controls.connections.lock().keys().cloned().collect();
            uids.sort();
            uids
        };
        for uid in ["a", "b", "a", "c"] {
            clock.advance(Duration::from_secs(1));
            controls.channel(&peer(uid)).expect("an address");
        }
        assert_eq!(open(), ["a", "c"], "the one unused for longest went");
        controls.keep_only(&key(), &["c"].into());
        assert_eq!(open(), ["c"]);
        controls.keep_only(&ClusterKey::new("ns", "other"), &BTreeSet::new());
        assert_eq!(open(), ["c"], "other clusters' pods are not ours to judge");
        clock.advance(IDLE_MAX);
        controls.channel(&peer("d")).expect("an address");
        assert_eq!(open(), ["d"], "idle ones go");
    });
}
