//! For tests: a broker and a name server that answer the control API as they are told.

use super::Peer;
use crate::cache::ClusterKey;
use parking_lot::Mutex;
use rmq_control::tonic::transport::Server;
use rmq_control::tonic::transport::server::TcpIncoming;
use rmq_control::tonic::{Request, Response, Status, async_trait};
use rmq_control::v1::broker_server::{Broker, BrokerServer};
use rmq_control::v1::name_server_server::{NameServer, NameServerServer};
use rmq_control::{bearer_token, check_target, v1};
use rmq_host::Tasks;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What it answers, and what it was asked.
#[derive(Debug)]
struct State {
    token: String,
    status: v1::BrokerStatus,
    name_server: v1::NameServerStatus,
    drain: v1::DrainStatus,
    calls: Vec<String>,
    silent: bool,
}

/// A process that serves both sides of the control API.
#[derive(Clone, Debug)]
pub(crate) struct FakeBroker {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    tasks: Tasks,
}

impl FakeBroker {
    /// A broker on a free port of this machine: a master nobody uses.
    pub(crate) fn start(token: &str) -> Self {
        Self::start_at(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), token, false)
    }

    /// A name server on a free port of this machine.
    pub(crate) fn start_name_server(token: &str) -> Self {
        Self::start_at(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), token, true)
    }

    pub(crate) fn start_at(address: SocketAddr, token: &str, name_server_kind: bool) -> Self {
        let identity = v1::Identity {
            store_id: "store".to_owned(),
            incarnation: "run".to_owned(),
            ..v1::Identity::default()
        };
        let status = v1::BrokerStatus {
            identity: Some(identity.clone()),
            phase: v1::Phase::Serving.into(),
            role: v1::Role::AsyncMaster.into(),
            in_sync: vec![0],
            config: Some(v1::ConfigStatus::default()),
            permission: Some(v1::PermissionStatus { perm: 6, ..Default::default() }),
            disk: Some(v1::Disk { used_ratio: 0.1, writable: true, reason: String::new() }),
            recovery: Some(v1::Recovery { done: true, ..Default::default() }),
            started_ms_ago: 600_000,
            ..v1::BrokerStatus::default()
        };
        let name_server = v1::NameServerStatus {
            identity: Some(identity),
            phase: v1::Phase::Serving.into(),
            started_ms_ago: 600_000,
            ..v1::NameServerStatus::default()
        };
        let state = Arc::new(Mutex::new(State {
            token: token.to_owned(),
            status,
            name_server,
            drain: v1::DrainStatus::default(),
            calls: Vec::new(),
            silent: false,
        }));
        let incoming = TcpIncoming::bind(address).expect("the address is free");
        let address = incoming.local_addr().expect("it is bound");
        let fake = Self { state, address, tasks: Tasks::new("fake") };
        let served = fake.clone();
        fake.tasks.spawn("serve", move |stop| async move {
            let stop = async move { stop.cancelled().await };
            let server = Server::builder();
            if name_server_kind {
                let service = NameServerServer::new(served);
                server.serve_with_incoming_shutdown(service, incoming, stop).await?;
            } else {
                let service = BrokerServer::new(served);
                server.serve_with_incoming_shutdown(service, incoming, stop).await?;
            }
            Ok(())
        });
        fake
    }

    /// How callers reach it.
    pub(crate) fn peer(&self, cluster: &ClusterKey, pod: &str, uid: &str) -> Peer {
        Peer {
            cluster: cluster.clone(),
            pod: pod.to_owned(),
            uid: uid.to_owned(),
            address: self.address,
        }
    }

    pub(crate) fn store_id(&self) -> String {
        "store".to_owned()
    }

    pub(crate) fn incarnation(&self) -> String {
        "run".to_owned()
    }

    /// What it was told to change, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.state.lock().calls.clone()
    }

    /// From now on it takes calls and answers none.
    pub(crate) fn fall_silent(&self) {
        self.state.lock().silent = true;
    }

    /// Changes what it says of itself.
    pub(crate) fn now_says(&self, change: impl FnOnce(&mut v1::BrokerStatus)) {
        change(&mut self.state.lock().status);
    }

    /// Changes what it says is left to consume.
    pub(crate) fn drain_says(&self, change: impl FnOnce(&mut v1::DrainStatus)) {
        change(&mut self.state.lock().drain);
    }

    pub(crate) async fn stop(&self) {
        self.tasks.shutdown(Duration::from_secs(5)).await;
    }

    async fn allowed<T>(&self, request: &Request<T>) -> Result<(), Status> {
        if self.state.lock().silent {
            std::future::pending::<()>().await;
        }
        let given = bearer_token(request.metadata()).unwrap_or_default();
        if given == self.state.lock().token {
            return Ok(());
        }
        Err(Status::unauthenticated("wrong token"))
    }

    fn meant(&self, target: Option<&v1::Target>) -> Result<(), Status> {
        let identity = self.state.lock().status.identity.clone().unwrap_or_default();
        check_target(target, &identity)
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl Broker for FakeBroker {
    async fn get_status(&self, request: Request<v1::GetStatusRequest>) -> Answer<v1::BrokerStatus> {
        self.allowed(&request).await?;
        Ok(Response::new(self.state.lock().status.clone()))
    }

    type WatchStatusStream =
        Pin<Box<dyn futures_util::Stream<Item = Result<v1::BrokerStatus, Status>> + Send>>;

    async fn watch_status(
        &self,
        _request: Request<v1::WatchStatusRequest>,
    ) -> Answer<Self::WatchStatusStream> {
        Err(Status::unimplemented("the operator asks, it does not watch"))
    }

    async fn reload_config(
        &self,
        request: Request<v1::ReloadConfigRequest>,
    ) -> Answer<v1::ConfigStatus> {
        self.allowed(&request).await?;
        self.meant(request.get_ref().target.as_ref())?;
        let mut state = self.state.lock();
        state.calls.push("reload".to_owned());
        Ok(Response::new(state.status.config.clone().unwrap_or_default()))
    }

    async fn set_permission(
        &self,
        request: Request<v1::SetPermissionRequest>,
    ) -> Answer<v1::PermissionStatus> {
        self.allowed(&request).await?;
        let request = request.into_inner();
        self.meant(request.target.as_ref())?;
        let mut state = self.state.lock();
        state.calls.push(format!("permission {} {}", request.perm, request.reason));
        let now = v1::PermissionStatus { perm: request.perm, reason: request.reason, since_ms: 0 };
        state.status.permission = Some(now.clone());
        Ok(Response::new(now))
    }

    async fn drain_status(
        &self,
        request: Request<v1::DrainStatusRequest>,
    ) -> Answer<v1::DrainStatus> {
        self.allowed(&request).await?;
        Ok(Response::new(self.state.lock().drain.clone()))
    }

    async fn shutdown(&self, request: Request<v1::ShutdownRequest>) -> Answer<v1::ShutdownReply> {
        self.allowed(&request).await?;
        Err(Status::unimplemented("nobody asks for it"))
    }
}

#[async_trait]
impl NameServer for FakeBroker {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Answer<v1::NameServerStatus> {
        self.allowed(&request).await?;
        Ok(Response::new(self.state.lock().name_server.clone()))
    }

    async fn shutdown(&self, request: Request<v1::ShutdownRequest>) -> Answer<v1::ShutdownReply> {
        self.allowed(&request).await?;
        Err(Status::unimplemented("nobody asks for it"))
    }
}
