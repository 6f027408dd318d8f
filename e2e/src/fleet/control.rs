//! What brokers and name servers answer that have nothing to do: who is asked is known by the
//! address that was called.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use rmq_control::tonic::transport::Server;
use rmq_control::tonic::transport::server::TcpIncoming;
use rmq_control::tonic::{Request, Response, Status, async_trait};
use rmq_control::v1::broker_server::{Broker, BrokerServer};
use rmq_control::v1::name_server_server::{NameServer, NameServerServer};
use rmq_control::{control_port, v1};
use rmq_host::Tasks;
use rmq_pod::{files, properties};

use super::pods::Pods;

const BROKER_PORT: u16 = 10_911;
const NAME_SERVER_PORT: u16 = 9_876;
/// As if all had run for ten minutes.
const AGE_MS: u64 = 600_000;

/// Serves the control ports of all pods.
///
/// # Errors
/// When a port is taken.
pub(super) fn serve(tasks: &Tasks, pods: &Pods) -> anyhow::Result<()> {
    let bind = |listen: u16| {
        let port = control_port(listen).unwrap_or_default();
        TcpIncoming::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
    };
    let (brokers, servers) = (bind(BROKER_PORT)?, bind(NAME_SERVER_PORT)?);
    let answers = Answers(pods.clone());
    tasks.spawn("brokers", move |stop| async move {
        let service = BrokerServer::new(answers);
        let stop = async move { stop.cancelled().await };
        Ok(Server::builder().serve_with_incoming_shutdown(service, brokers, stop).await?)
    });
    let answers = Answers(pods.clone());
    tasks.spawn("name servers", move |stop| async move {
        let service = NameServerServer::new(answers);
        let stop = async move { stop.cancelled().await };
        Ok(Server::builder().serve_with_incoming_shutdown(service, servers, stop).await?)
    });
    Ok(())
}

struct Answers(Pods);

type Answer<T> = Result<Response<T>, Status>;

impl Answers {
    fn pod<T>(&self, request: &Request<T>) -> Result<Pod, Status> {
        let address = request.local_addr().map(|address| address.ip());
        let pod = address.and_then(|address| self.0.at(address));
        pod.ok_or_else(|| Status::unavailable("there is no such pod"))
    }

    /// The settings of a pod's file, as their hash.
    fn config(&self, map: &str, file: &str) -> v1::ConfigStatus {
        let text = self.0.file(map, file).unwrap_or_default();
        let parsed = properties::parse(text.as_bytes()).unwrap_or_default();
        let settings = files::settings_of(&parsed);
        let pairs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let hash = files::settings_hash(pairs);
        v1::ConfigStatus { file_hash: hash.clone(), applied_hash: hash, ..Default::default() }
    }
}

fn identity(pod: &Pod) -> v1::Identity {
    let uid = pod.uid().unwrap_or_default();
    v1::Identity {
        broker_name: pod.labels().get("rocketmq.rs/broker-name").cloned().unwrap_or_default(),
        store_id: uid.clone(),
        incarnation: uid.clone(),
        pod: pod.name_any(),
        pod_uid: uid,
        ..v1::Identity::default()
    }
}

/// Name of the set, and of the ConfigMap that its pods mount.
fn set(pod: &Pod) -> String {
    let name = pod.name_any();
    name.rsplit_once('-').map_or(name.clone(), |(set, _)| set.to_owned())
}

#[async_trait]
impl Broker for Answers {
    async fn get_status(&self, request: Request<v1::GetStatusRequest>) -> Answer<v1::BrokerStatus> {
        let pod = self.pod(&request)?;
        let map = set(&pod);
        let list = self.0.file(&map, files::NAMESRV_ADDRS).unwrap_or_default();
        let addresses = files::name_servers(&list).unwrap_or_default();
        let registrations = addresses.iter().map(|address| v1::Registration {
            address: address.clone(),
            ok: true,
            age_ms: Some(1_000),
            error: String::new(),
        });
        let ip = self.0.service(&pod.name_any()).unwrap_or_default();
        Ok(Response::new(v1::BrokerStatus {
            identity: Some(identity(&pod)),
            phase: v1::Phase::Serving.into(),
            role: v1::Role::AsyncMaster.into(),
            in_sync: vec![0],
            registrations: registrations.collect(),
            name_servers: Some(v1::NameServerList {
                hash: files::name_servers_hash(&addresses),
                addresses,
            }),
            config: Some(self.config(&map, files::BROKER_CONF)),
            permission: Some(v1::PermissionStatus {
                perm: 6,
                since_ms: AGE_MS,
                reason: String::new(),
            }),
            disk: Some(v1::Disk { used_ratio: 0.1, writable: true, reason: String::new() }),
            recovery: Some(v1::Recovery { done: true, ..v1::Recovery::default() }),
            advertised: format!("{ip}:{BROKER_PORT}"),
            started_ms_ago: AGE_MS,
            ..v1::BrokerStatus::default()
        }))
    }

    type WatchStatusStream =
        Pin<Box<dyn futures_util::Stream<Item = Result<v1::BrokerStatus, Status>> + Send>>;

    async fn watch_status(
        &self,
        _request: Request<v1::WatchStatusRequest>,
    ) -> Answer<Self::WatchStatusStream> {
        Err(Status::unimplemented("the operator does not watch"))
    }

    async fn reload_config(
        &self,
        request: Request<v1::ReloadConfigRequest>,
    ) -> Answer<v1::ConfigStatus> {
        let pod = self.pod(&request)?;
        Ok(Response::new(self.config(&set(&pod), files::BROKER_CONF)))
    }

    async fn set_permission(
        &self,
        _request: Request<v1::SetPermissionRequest>,
    ) -> Answer<v1::PermissionStatus> {
        Err(Status::failed_precondition("nothing calls for it"))
    }

    async fn drain_status(
        &self,
        _request: Request<v1::DrainStatusRequest>,
    ) -> Answer<v1::DrainStatus> {
        Err(Status::failed_precondition("nothing calls for it"))
    }

    async fn shutdown(&self, _request: Request<v1::ShutdownRequest>) -> Answer<v1::ShutdownReply> {
        Err(Status::failed_precondition("nothing calls for it"))
    }
}

#[async_trait]
impl NameServer for Answers {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Answer<v1::NameServerStatus> {
        let pod = self.pod(&request)?;
        Ok(Response::new(v1::NameServerStatus {
            identity: Some(identity(&pod)),
            phase: v1::Phase::Serving.into(),
            started_ms_ago: AGE_MS,
            config: Some(self.config(&set(&pod), files::NAMESRV_CONF)),
            ..v1::NameServerStatus::default()
        }))
    }

    async fn shutdown(&self, _request: Request<v1::ShutdownRequest>) -> Answer<v1::ShutdownReply> {
        Err(Status::failed_precondition("nothing calls for it"))
    }
}
