//! The token of a cluster's control API: made once, kept in a Secret.

use crate::apiserver::{bounded, found};
use crate::cache::ClusterKey;
use crate::error::Error;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use parking_lot::Mutex;
use rmq_control::Bearer;
use rmq_model::Clock;
use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

/// A Secret is read again after this long. Secrets are not watched: an operator that may list
/// them could read everybody's.
const AGE_MAX: Duration = Duration::from_mins(1);
/// Bytes of a token.
const BYTES: usize = 32;

/// What is known of a cluster's Secret.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The Secret without its content; `None` if there is none.
    pub(crate) secret: Option<Arc<Secret>>,
    /// For calls.
    pub(crate) bearer: Option<Bearer>,
}

/// The tokens of all clusters, as read lately.
pub(crate) struct Tokens {
    known: Mutex<HashMap<ClusterKey, (Duration, Known)>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { known: Mutex::default(), clock }
    }

    /// The Secret `name`, read unless that was done lately.
    ///
    /// # Errors
    /// When it cannot be read; that there is none is no error.
    pub(crate) async fn of(
        &self,
        client: &Client,
        cluster: &ClusterKey,
        name: &str,
        key: &str,
    ) -> Result<Known, Error> {
        let now = self.clock.monotonic();
        if let Some((read, known)) = self.known.lock().get(cluster)
            && now.saturating_sub(*read) < AGE_MAX
        {
            return Ok(known.clone());
        }
        let api: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
        let secret = found(bounded(format!("read Secret {name}"), api.get(name)).await)?;
        let bearer = secret.as_ref().and_then(|secret| {
            let bytes = secret.data.as_ref()?.get(key)?;
            Bearer::new(std::str::from_utf8(&bytes.0).ok()?).ok()
        });
        let secret = secret.map(|mut secret| {
            secret.data = None;
            secret.metadata.managed_fields = None;
            Arc::new(secret)
        });
        let known = Known { secret, bearer };
        // One that is missing will be made in a moment.
        if known.bearer.is_some() {
            self.known.lock().insert(cluster.clone(), (now, known.clone()));
        }
        Ok(known)
    }

    /// Reads it again next time.
    pub(crate) fn forget(&self, cluster: &ClusterKey) {
        self.known.lock().remove(cluster);
    }
}

/// A token nobody can guess, as text.
///
/// # Errors
/// When the machine gives no random bytes.
pub(crate) fn random() -> Result<String, Error> {
    let mut bytes = [0; BYTES];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| Error::Bug(format!("cannot read /dev/urandom: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{Server, on_runtime};
    use rmq_testkit::clock::FakeClock;
    use serde_json::{Value, json};

    fn secret(token: &str) -> Value {
        let data = if token.is_empty() { json!({}) } else { json!({"token": token}) };
        json!({"apiVersion": "v1", "kind": "Secret", "data": data,
               "metadata": {"name": "c-control-token", "namespace": "ns", "uid": "u"}})
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (one, other) = (random().expect("random"), random().expect("random"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
    }

    #[test]
    fn a_token_is_read_once_a_minute_and_a_missing_one_each_time() {
        on_runtime(async {
            let clock = Arc::new(FakeClock::default());
            let tokens = Tokens::new(Arc::clone(&clock) as Arc<dyn Clock>);
            let (client, mut server) = Server::new();
            let path = "/api/v1/namespaces/ns/secrets/c-control-token";
            let cluster = ClusterKey::new("ns", "c");
            let script = async {
                server.expect("GET", path).not_found().await;
                server.expect("GET", path).reply(secret("")).await;
                server.expect("GET", path).reply(secret("c2VjcmV0")).await;
                server.expect("GET", path).reply(secret("c2VjcmV0")).await;
                server.expect("GET", path).status(403, "Forbidden", "no").await;
                server.nothing_more().await;
            };
            let work = async {
                let read = async || tokens.of(&client, &cluster, "c-control-token", "token").await;
                let none = read().await.expect("answered");
                assert!(none.secret.is_none() && none.bearer.is_none());
                let empty = read().await.expect("answered");
                assert!(empty.secret.is_some() && empty.bearer.is_none());
                for _ in 0..3 {
                    let known = read().await.expect("answered");
                    assert!(known.bearer.is_some());
                    let secret = known.secret.expect("it is there");
                    assert_eq!(secret.data, None, "what is kept for plans tells nothing");
                }
                clock.advance(AGE_MAX);
                assert!(read().await.expect("answered").bearer.is_some());
                tokens.forget(&cluster);
                assert_eq!(read().await.expect_err("refused").code(), Some(403));
                drop(client);
            };
            tokio::join!(script, work);
        });
    }
}
