//! Which of several operators acts: the holder of one Lease.
//!
//! The Lease is changed only by compare-and-swap on its resource version. A candidate never compares
//! the times in it with its own clock: it takes over what it has seen unchanged for the
//! whole duration. The holder counts from before it sent its last successful renewal and gives up
//! well before any candidate may take over.

use crate::apiserver::{bounded_by, found};
use crate::error::Error;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use rmq_model::Clock;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// A candidate waits this long for a silent holder.
const DURATION: Duration = Duration::from_secs(15);
/// The holder gives up this long after it began its last successful renewal.
const VALID: Duration = Duration::from_secs(10);
/// How often the Lease is looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// One read or write; shorter than what is left of `VALID` after a renewal or two.
const CALL: Duration = Duration::from_secs(3);

/// Takes part in one election.
pub(crate) struct Election {
    leases: Api<Lease>,
    name: String,
    me: String,
    clock: Arc<dyn Clock>,
    /// Between renewals, and between looks of a candidate.
    period: Duration,
    /// Another's record as it was first seen: its version, and when that was.
    seen: Option<(String, Duration)>,
}

impl std::fmt::Debug for Election {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Election")
            .field("name", &self.name)
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

/// What a look at the Lease calls for.
#[derive(Clone, Debug, PartialEq)]
enum Move {
    /// There is none yet.
    Create(Lease),
    /// It is free, mine, or its holder was silent for too long.
    Take(Lease),
    /// Somebody else holds it.
    Wait,
}

impl Election {
    /// `me` must be unique among the processes that run at a time.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        me: String,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let leases = Api::namespaced(client, namespace);
        Self { leases, name: name.to_owned(), me, clock, period: PERIOD, seen: None }
    }

    /// Waits until this process leads. Errors are logged and tried again; they do not end it.
    pub(crate) async fn win(&mut self) {
        info!(lease = self.name, me = self.me, "waiting to lead");
        loop {
            match self.attempt().await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => warn!(%error, "cannot take part in the election"),
            }
            tokio::time::sleep(self.period).await;
        }
        info!(lease = self.name, me = self.me, "leads");
    }

    /// Renews until that is impossible; then this process must stop acting at once.
    pub(crate) async fn lead(&mut self) -> Lost {
        let mut valid_from = self.clock.monotonic();
        loop {
            tokio::time::sleep(self.period).await;
            let began = self.clock.monotonic();
            match self.attempt().await {
                Ok(true) => valid_from = began,
                Ok(false) => return Lost("another process holds the lease".to_owned()),
                Err(error) => {
                    warn!(%error, "cannot renew the lease");
                    let silent = self.clock.monotonic().saturating_sub(valid_from);
                    if VALID <= silent + PERIOD {
                        return Lost(format!("not renewed for {} s: {error}", silent.as_secs()));
                    }
                }
            }
        }
    }

    /// Lets the next process lead at once, if this one still does.
    pub(crate) async fn release(&mut self) {
        let Ok(Some(mut lease)) = found(self.read().await) else { return };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(self.me.as_str()) {
            return;
        }
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        match self.write(&lease).await {
            Ok(_) => info!(lease = self.name, "released"),
            Err(error) => debug!(%error, "cannot release the lease; it will lapse"),
        }
    }

    /// One look and, if it calls for one, one write. Whether this process holds the lease now.
    async fn attempt(&mut self) -> Result<bool, Error> {
        let lease = found(self.read().await)?;
        let result = match self.decide(lease) {
            Move::Wait => return Ok(false),
            Move::Create(lease) => {
                let params = PostParams::default();
                let create = self.leases.create(&params, &lease);
                bounded_by(CALL, "create the election's Lease", create).await.map(drop)
            }
            Move::Take(lease) => self.write(&lease).await.map(drop),
        };
        match result {
            Ok(()) => {
                self.seen = None;
                Ok(true)
            }
            // Somebody was quicker: the next look shows who.
            Err(error) if error.code() == Some(409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn decide(&mut self, lease: Option<Lease>) -> Move {
        let now = MicroTime(
            Timestamp::from_millisecond(self.clock.now()).unwrap_or(Timestamp::UNIX_EPOCH),
        );
        let Some(mut lease) = lease else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let spec = self.record(None, now);
            return Move::Create(Lease { metadata, spec: Some(spec) });
        };
        let before = lease.spec.take().unwrap_or_default();
        let holder = before.holder_identity.clone().unwrap_or_default();
        if !holder.is_empty() && holder != self.me {
            let version = lease.metadata.resource_version.clone().unwrap_or_default();
            let at = self.clock.monotonic();
            let since = match &self.seen {
                Some((known, since)) if *known == version => *since,
                _changed => {
                    self.seen = Some((version, at));
                    at
                }
            };
            if at.saturating_sub(since) < DURATION {
                return Move::Wait;
            }
            info!(lease = self.name, holder, "the holder is silent, taking over");
        }
        lease.spec = Some(self.record(Some(before), now));
        Move::Take(lease)
    }

    fn record(&self, before: Option<LeaseSpec>, now: MicroTime) -> LeaseSpec {
        let fresh = before.is_none();
        let before = before.unwrap_or_default();
        let mine = before.holder_identity.as_deref() == Some(self.me.as_str());
        let transitions = before.lease_transitions.unwrap_or(0);
        LeaseSpec {
            acquire_time: if mine { before.acquire_time } else { Some(now.clone()) },
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            lease_transitions: Some(if mine || fresh {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }
    }

    async fn read(&self) -> Result<Lease, Error> {
        bounded_by(CALL, "read the election's Lease", self.leases.get(&self.name)).await
    }

    /// The version within `lease` makes it a compare-and-swap.
    async fn write(&self, lease: &Lease) -> Result<Lease, Error> {
        let params = PostParams::default();
        let write = self.leases.replace(&self.name, &params, lease);
        bounded_by(CALL, "write the election's Lease", write).await
    }
}

/// Why this process no longer leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost(pub(crate) String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{Server, conflict, on_runtime};
    use rmq_testkit::clock::FakeClock;
    use serde_json::{Value, json};

    /// What `work` makes of an election while `script` answers for the API server.
    fn played<T>(
        script: impl AsyncFnOnce(&mut Server, &FakeClock),
        work: impl AsyncFnOnce(&mut Election) -> T,
    ) -> T {
        on_runtime(async {
            let clock = Arc::new(FakeClock::default());
            let (client, mut server) = Server::new();
            let ours = Arc::clone(&clock) as Arc<dyn Clock>;
            let election = Election::new(client, "ns", "op", "me".to_owned(), ours);
            let mut election = Election { period: Duration::from_millis(1), ..election };
            let ((), result) = tokio::join!(script(&mut server, &clock), work(&mut election));
            result
        })
    }

    fn lease(version: &str, holder: &str, transitions: i32) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "op", "namespace": "ns", "resourceVersion": version, "uid": "u"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15,
                     "leaseTransitions": transitions},
        })
    }

    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";
    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/op";

    #[test]
    fn the_first_one_creates_the_lease_and_renews_it_by_version() {
        let script = async |server: &mut Server, _: &FakeClock| {
            server.expect("GET", LEASE).not_found().await;
            let made = server.expect("POST", LEASES).echo().await;
            assert_eq!(made["spec"]["holderIdentity"], "me");
            assert_eq!(made["spec"]["leaseTransitions"], 0);
            server.expect("GET", LEASE).reply(lease("7", "me", 0)).await;
            let renewed = server.expect("PUT", LEASE).echo().await;
            assert_eq!(renewed["metadata"]["resourceVersion"], "7");
            assert_eq!(renewed["metadata"]["uid"], "u");
            assert_eq!(renewed["spec"]["leaseTransitions"], 0);
        };
        played(script, async |election| {
            assert!(election.attempt().await.expect("answered"));
            assert!(election.attempt().await.expect("answered"));
        });
    }

    #[test]
    fn a_holder_is_only_replaced_after_it_was_silent_for_the_whole_duration() {
        let script = async |server: &mut Server, clock: &FakeClock| {
            // The clock moves before the answer is looked at.
            for version in ["1", "2", "2"] {
                server.expect("GET", LEASE).reply(lease(version, "other", 4)).await;
                clock.advance(Duration::from_secs(14));
            }
            server.expect("GET", LEASE).reply(lease("2", "other", 4)).await;
            clock.advance(Duration::from_secs(1));
            let taken = server.expect("PUT", LEASE).echo().await;
            assert_eq!(taken["spec"]["holderIdentity"], "me");
            assert_eq!(taken["spec"]["leaseTransitions"], 5);
            server.expect("GET", LEASE).reply(lease("3", "", 5)).await;
            server.expect("PUT", LEASE).answer(conflict()).await;
        };
        played(script, async |election| {
            for leads in [false, false, false, true] {
                assert_eq!(election.attempt().await.expect("answered"), leads);
            }
            assert!(!election.attempt().await.expect("answered"), "somebody was quicker");
        });
    }

    #[test]
    fn a_leader_that_sees_another_holder_has_lost() {
        let script = async |server: &mut Server, _: &FakeClock| {
            server.expect("GET", LEASE).reply(lease("1", "me", 0)).await;
            server.expect("PUT", LEASE).echo().await;
            server.expect("GET", LEASE).reply(lease("2", "other", 1)).await;
        };
        let lost = played(script, async |election| election.lead().await);
        assert_eq!(lost, Lost("another process holds the lease".to_owned()));
    }

    #[test]
    fn a_leader_that_cannot_renew_gives_up_before_others_may_take_over() {
        let script = async |server: &mut Server, clock: &FakeClock| {
            server.expect("GET", LEASE).reply(lease("1", "me", 0)).await;
            server.expect("PUT", LEASE).echo().await;
            loop {
                server.expect("GET", LEASE).status(503, "ServiceUnavailable", "down").await;
                clock.advance(Duration::from_secs(4));
                if VALID <= clock.monotonic() + PERIOD {
                    break;
                }
            }
            assert!(clock.monotonic() < DURATION);
        };
        let lost = played(script, async |election| election.lead().await);
        assert!(lost.0.starts_with("not renewed for 8 s: "), "{lost:?}");
    }

    #[test]
    fn only_the_holder_releases() {
        let script = async |server: &mut Server, _: &FakeClock| {
            server.expect("GET", LEASE).reply(lease("5", "me", 0)).await;
            let freed = server.expect("PUT", LEASE).echo().await;
            assert_eq!(freed["spec"].get("holderIdentity"), None);
            server.expect("GET", LEASE).reply(lease("6", "other", 0)).await;
        };
        played(script, async |election| {
            election.release().await;
            election.release().await;
        });
    }
}
