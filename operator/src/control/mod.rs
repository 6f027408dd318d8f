//! Calls to the control API of brokers and name servers.
//!
//! Connections are kept while their pods live, up to a bound, and each call ends in time whatever the
//! other side does.

mod convert;

use crate::cache::ClusterKey;
use crate::metrics::Metrics;
use parking_lot::Mutex;
use rmq_control::Bearer;
use rmq_control::tonic::service::interceptor::InterceptedService;
use rmq_control::tonic::transport::{Channel, Endpoint};
use rmq_control::tonic::{Code, Response, Status};
use rmq_control::v1;
use rmq_control::v1::broker_client::BrokerClient;
use rmq_control::v1::name_server_client::NameServerClient;
use rmq_model::Clock;
use rmq_operator_plan::control::{BrokerView, DrainView, NameServerView, Target, Unreachable};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What one call may take, connecting included.
pub(crate) const CALL: Duration = Duration::from_secs(2);
/// Connections kept at a time. Clusters that are settled are asked every few minutes: theirs go
/// first, and are made anew.
const CONNECTIONS_MAX: usize = 256;
/// An idle connection is not kept longer than this.
const IDLE_MAX: Duration = Duration::from_mins(2);
/// Bytes in flight per connection: a status is a few KiB.
const WINDOW_BYTES: u32 = 256 * 1024;

/// Where a process answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) cluster: ClusterKey,
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) address: SocketAddr,
}

/// All connections. Clones share them.
#[derive(Clone)]
pub(crate) struct Controls {
    connections: Arc<Mutex<HashMap<String, Connection>>>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    max: usize,
}

impl std::fmt::Debug for Controls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controls")
            .field("open", &self.connections.lock().len())
            .finish_non_exhaustive()
    }
}

/// Filed under the pod's UID: a new pod at an old address is another process.
struct Connection {
    cluster: ClusterKey,
    address: SocketAddr,
    channel: Channel,
    used: Duration,
}

/// A client with the cluster's token.
type Authorized = InterceptedService<Channel, Bearer>;

impl Controls {
    /// None open yet.
    pub(crate) fn new(clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self { connections: Arc::default(), clock, metrics, max: CONNECTIONS_MAX }
    }

    /// Closes the connections of `cluster` to pods that are not among `live`.
    pub(crate) fn keep_only(&self, cluster: &ClusterKey, live: &BTreeSet<&str>) {
        let mut connections = self.connections.lock();
        connections.retain(|uid, one| one.cluster != *cluster || live.contains(uid.as_str()));
    }

    /// What the broker says of itself.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    pub(crate) async fn broker(
        &self,
        peer: &Peer,
        bearer: &Bearer,
    ) -> Result<BrokerView, Unreachable> {
        let mut client = self.broker_client(peer, bearer)?;
        let call = client.get_status(v1::GetStatusRequest {});
        convert::broker(self.bounded("GetStatus", peer, call).await?)
    }

    /// What the name server says of itself.
    ///
    /// # Errors
    /// As [`Controls::broker`].
    pub(crate) async fn name_server(
        &self,
        peer: &Peer,
        bearer: &Bearer,
    ) -> Result<NameServerView, Unreachable> {
        let channel = self.channel(peer)?;
        let mut client = NameServerClient::with_interceptor(channel, bearer.clone());
        let call = client.get_status(v1::GetStatusRequest {});
        convert::name_server(self.bounded("GetStatus", peer, call).await?)
    }

    /// What is left to consume.
    ///
    /// # Errors
    /// As [`Controls::broker`].
    pub(crate) async fn drain(
        &self,
        peer: &Peer,
        bearer: &Bearer,
        request: v1::DrainStatusRequest,
    ) -> Result<DrainView, Unreachable> {
        let mut client = self.broker_client(peer, bearer)?;
        let call = client.drain_status(request);
        Ok(convert::drain(self.bounded("DrainStatus", peer, call).await?))
    }

    /// Makes the broker read its files again.
    ///
    /// # Errors
    /// As [`Controls::broker`]; also when another process answers there.
    pub(crate) async fn reload(
        &self,
        peer: &Peer,
        bearer: &Bearer,
        target: &Target,
    ) -> Result<(), Unreachable> {
        let mut client = self.broker_client(peer, bearer)?;
        let request = v1::ReloadConfigRequest { target: Some(convert::target(target)) };
        self.bounded("ReloadConfig", peer, client.reload_config(request)).await.map(drop)
    }

    /// Says what clients may do.
    ///
    /// # Errors
    /// As [`Controls::reload`].
    pub(crate) async fn set_permission(
        &self,
        peer: &Peer,
        bearer: &Bearer,
        target: &Target,
        perm: u32,
        reason: &str,
    ) -> Result<(), Unreachable> {
        let mut client = self.broker_client(peer, bearer)?;
        let target = Some(convert::target(target));
        let request = v1::SetPermissionRequest { target, perm, reason: reason.to_owned() };
        self.bounded("SetPermission", peer, client.set_permission(request)).await.map(drop)
    }

    fn broker_client(
        &self,
        peer: &Peer,
        bearer: &Bearer,
    ) -> Result<BrokerClient<Authorized>, Unreachable> {
        Ok(BrokerClient::with_interceptor(self.channel(peer)?, bearer.clone()))
    }

    /// The kept connection, or a new one that connects when it is used.
    fn channel(&self, peer: &Peer) -> Result<Channel, Unreachable> {
        let now = self.clock.monotonic();
        let mut connections = self.connections.lock();
        connections.retain(|_, one| now.saturating_sub(one.used) < IDLE_MAX);
        if let Some(one) = connections.get_mut(&peer.uid)
            && one.address == peer.address
        {
            one.used = now;
            return Ok(one.channel.clone());
        }
        if self.max <= connections.len() {
            let oldest = connections.iter().min_by_key(|(_, one)| one.used);
            if let Some(uid) = oldest.map(|(uid, _)| uid.clone()) {
                connections.remove(&uid);
            }
        }
        let endpoint = Endpoint::from_shared(format!("http://{}", peer.address))
            .map_err(|error| Unreachable(format!("{} is no address: {error}", peer.address)))?
            .connect_timeout(CALL)
            .initial_connection_window_size(WINDOW_BYTES)
            .initial_stream_window_size(WINDOW_BYTES);
        let channel = endpoint.connect_lazy();
        let (cluster, address) = (peer.cluster.clone(), peer.address);
        let connection = Connection { cluster, address, channel: channel.clone(), used: now };
        connections.insert(peer.uid.clone(), connection);
        Ok(channel)
    }

    async fn bounded<T>(
        &self,
        method: &'static str,
        peer: &Peer,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Unreachable> {
        let began = self.clock.monotonic();
        let result = tokio::time::timeout(CALL, call).await;
        let took = self.clock.monotonic().saturating_sub(began);
        self.metrics.called(method, matches!(result, Ok(Ok(_))), took);
        let reason = match result {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => words(&status),
            Err(_elapsed) => format!("no answer within {} s", CALL.as_secs()),
        };
        Err(Unreachable(format!("{} at {}: {reason}", peer.pod, peer.address)))
    }
}

/// What a person can do something with.
fn words(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    if status.code() == Code::Unauthenticated {
        return format!("it refuses our token: {text}");
    }
    if text.is_empty() { status.code().description().to_owned() } else { text }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
