//! The control API of a name server.

use crate::mounted::Mounts;
use crate::service::{Known, NameServer};
use rmq_control::check_target;
use rmq_control::tonic::{Request, Response, Status, async_trait};
use rmq_control::v1::name_server_server::{NameServer as Api, NameServerServer};
use rmq_control::v1::shutdown_request::Mode;
use rmq_control::v1::{
    ConfigStatus, GetStatusRequest, Identity, KnownBroker, NameServerStatus, Phase,
    RejectedSetting, ShutdownReply, ShutdownRequest,
};
use rmq_host::Tasks;
use rmq_host::grpc::{self, ControlConfig};
use rmq_host::http::Health as _;
use rmq_host::ids::random_id;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Takes the control port and serves it as one of `tasks`; `asked` is cancelled by a call that
/// asks the name server to stop.
///
/// # Errors
/// When the port cannot be had.
pub(crate) async fn serve(
    config: &ControlConfig,
    server: &Arc<NameServer>,
    mounts: Option<Mounts>,
    asked: &CancellationToken,
    tasks: &Tasks,
) -> io::Result<SocketAddr> {
    let control = Control {
        server: Arc::clone(server),
        mounts,
        incarnation: random_id(),
        asked: asked.clone(),
    };
    grpc::serve(config, NameServerServer::new(control), tasks).await
}

#[derive(Debug)]
struct Control {
    server: Arc<NameServer>,
    mounts: Option<Mounts>,
    incarnation: String,
    asked: CancellationToken,
}

impl Control {
    fn identity(&self) -> Identity {
        let mut identity = Identity {
            incarnation: self.incarnation.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Identity::default()
        };
        if let Some(mounts) = &self.mounts {
            let place = mounts.place();
            mounts.cluster_uid().clone_into(&mut identity.cluster_uid);
            mounts.cluster_name().clone_into(&mut identity.cluster);
            identity.namespace.clone_from(&place.namespace);
            identity.ordinal = place.ordinal;
            identity.pod.clone_from(&place.name);
            identity.pod_uid.clone_from(&place.uid);
        }
        identity
    }

    fn phase(&self) -> Phase {
        if self.asked.is_cancelled() { Phase::Stopping } else { Phase::Serving }
    }

    fn config(&self) -> Option<ConfigStatus> {
        let applied = self.mounts.as_ref()?.applied();
        let rejected = applied.rejected.map(|(key, reason)| RejectedSetting { key, reason });
        Some(ConfigStatus {
            file_hash: applied.file_hash,
            applied_hash: applied.applied_hash,
            restart_hash: applied.restart_hash,
            pending: applied.pending,
            rejected,
            // A name server registers nowhere.
            name_servers_file_hash: String::new(),
        })
    }
}

#[async_trait]
impl Api for Control {
    async fn get_status(
        &self,
        _request: Request<GetStatusRequest>,
    ) -> Result<Response<NameServerStatus>, Status> {
        let known = |known: Known| KnownBroker {
            cluster: known.cluster.to_string(),
            name: known.name.to_string(),
            id: known.id,
            address: known.addr.to_string(),
        };
        let ms = self.server.uptime().as_millis();
        Ok(Response::new(NameServerStatus {
            identity: Some(self.identity()),
            phase: self.phase().into(),
            started_ms_ago: u64::try_from(ms).unwrap_or(u64::MAX),
            brokers: self.server.known_brokers().into_iter().map(known).collect(),
            config: self.config(),
            not_ready: self.server.not_ready(),
        }))
    }

    async fn shutdown(
        &self,
        request: Request<ShutdownRequest>,
    ) -> Result<Response<ShutdownReply>, Status> {
        let request = request.into_inner();
        check_target(request.target.as_ref(), &self.identity())?;
        if request.mode() == Mode::Unspecified {
            return Err(Status::invalid_argument("the call names no mode"));
        }
        tracing::info!("asked to stop by the control API");
        self.asked.cancel();
        Ok(Response::new(ShutdownReply { phase: self.phase().into() }))
    }
}
