//! The control API of a broker: a thin adapter over [`Presence`] and the service.

mod status;

use crate::presence::{Presence, StopMode};
use crate::service::drain::{Ignored, Left};
use futures_util::{Stream, StreamExt as _};
use rmq_control::tonic::{Request, Response, Status, async_trait};
use rmq_control::v1::broker_server::{Broker, BrokerServer};
use rmq_control::v1::shutdown_request::Mode;
use rmq_control::v1::{
    Behind, BrokerStatus, ConfigStatus, DrainStatus, DrainStatusRequest, GetStatusRequest,
    PermissionStatus, Phase, ReloadConfigRequest, SetPermissionRequest, ShutdownReply,
    ShutdownRequest, Target, WatchStatusRequest,
};
use rmq_control::{REASON_CHARS_MAX, check_target};
use rmq_host::Tasks;
use rmq_host::grpc::{self, ControlConfig};
use rmq_host::http::Health as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A watcher is told at least this often.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Between two looks for a change.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Most names of one list in a request.
const NAMES_MAX: usize = 10_000;

/// Takes the control port and serves it as one of `tasks`.
///
/// # Errors
/// When the port cannot be had.
pub(crate) async fn serve(
    config: &ControlConfig,
    presence: &Arc<Presence>,
    tasks: &Tasks,
) -> io::Result<SocketAddr> {
    let control = Control { presence: Arc::clone(presence), stop: tasks.token().clone() };
    grpc::serve(config, BrokerServer::new(control), tasks).await
}

/// The service behind the control port.
#[derive(Debug)]
struct Control {
    presence: Arc<Presence>,
    /// Cancelled when the port is to be left: who watches then is no reason to wait.
    stop: CancellationToken,
}

impl Control {
    /// The parts of a broker that serves.
    fn serving(&self) -> Result<&crate::presence::Serving, Status> {
        self.presence.serving().ok_or_else(|| {
            let why = self.presence.starting().unwrap_or_default();
            Status::unavailable(format!("the broker does not serve yet: {why}"))
        })
    }

    fn check(&self, target: Option<&Target>) -> Result<(), Status> {
        check_target(target, &status::identity(&self.presence))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(error.to_string()))
}

#[async_trait]
impl Broker for Control {
    async fn get_status(
        &self,
        _request: Request<GetStatusRequest>,
    ) -> Result<Response<BrokerStatus>, Status> {
        Ok(Response::new(status::broker(&self.presence)))
    }

    type WatchStatusStream = Pin<Box<dyn Stream<Item = Result<BrokerStatus, Status>> + Send>>;

    async fn watch_status(
        &self,
        _request: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let presence = Arc::clone(&self.presence);
        let none: Option<BrokerStatus> = None;
        let stream = futures_util::stream::unfold((presence, none), async |(presence, told)| {
            let next = next_status(&presence, told.as_ref()).await;
            Some((Ok(next.clone()), (presence, Some(next))))
        });
        Ok(Response::new(Box::pin(stream.take_until(self.stop.clone().cancelled_owned()))))
    }

    async fn reload_config(
        &self,
        request: Request<ReloadConfigRequest>,
    ) -> Result<Response<ConfigStatus>, Status> {
        self.check(request.get_ref().target.as_ref())?;
        let Some(follower) = self.serving()?.follower.clone() else {
            let why = "this broker has no mounted files: it was not started as a pod";
            return Err(Status::failed_precondition(why));
        };
        let applied = blocking(move || follower.reload()).await?;
        Ok(Response::new(status::config(applied)))
    }

    async fn set_permission(
        &self,
        request: Request<SetPermissionRequest>,
    ) -> Result<Response<PermissionStatus>, Status> {
        let SetPermissionRequest { target, perm, reason } = request.into_inner();
        self.check(target.as_ref())?;
        if !matches!(perm, 0 | 2 | 4 | 6) {
            return Err(Status::invalid_argument(format!("perm {perm} is none of 0, 2, 4 and 6")));
        }
        let broker = Arc::clone(&self.serving()?.broker);
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        broker.set_permission(perm, &reason);
        Ok(Response::new(status::permission(&broker)))
    }

    async fn drain_status(
        &self,
        request: Request<DrainStatusRequest>,
    ) -> Result<Response<DrainStatus>, Status> {
        let DrainStatusRequest { ignore_groups, ignore_topics } = request.into_inner();
        if NAMES_MAX < ignore_groups.len() + ignore_topics.len() {
            let text = format!("at most {NAMES_MAX} groups and topics can be ignored");
            return Err(Status::invalid_argument(text));
        }
        let broker = Arc::clone(&self.serving()?.broker);
        let ignored = Ignored {
            groups: ignore_groups.into_iter().collect(),
            topics: ignore_topics.into_iter().collect(),
        };
        let left = blocking(move || broker.left_to_consume(&ignored)).await?;
        Ok(Response::new(drained(left)))
    }

    async fn shutdown(
        &self,
        request: Request<ShutdownRequest>,
    ) -> Result<Response<ShutdownReply>, Status> {
        let request = request.into_inner();
        self.check(request.target.as_ref())?;
        let (mode, phase) = match request.mode() {
            Mode::Handover => (StopMode::Orderly, Phase::Draining),
            Mode::Fast => (StopMode::Fast, Phase::Stopping),
            Mode::Unspecified => return Err(Status::invalid_argument("the call names no mode")),
        };
        tracing::info!(?mode, "asked to stop by the control API");
        self.presence.ask_to_stop(mode);
        Ok(Response::new(ShutdownReply { phase: phase.into() }))
    }
}

/// The status, once it differs from what was told or the time is over.
async fn next_status(presence: &Arc<Presence>, told: Option<&BrokerStatus>) -> BrokerStatus {
    let Some(told) = told.map(status::essence) else { return status::broker(presence) };
    let begun = presence.clock.monotonic();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = status::broker(presence);
        let waited = presence.clock.monotonic().saturating_sub(begun);
        if TELL_EVERY <= waited || status::essence(&now) != told {
            return now;
        }
    }
}

fn drained(left: Left) -> DrainStatus {
    let behind = left.behind.into_iter().map(|one| Behind {
        topic: one.topic.to_string(),
        group: one.group.to_string(),
        messages: one.messages,
    });
    DrainStatus {
        empty: left.empty_for.is_some(),
        empty_for_ms: left.empty_for.map_or(0, status::ms),
        behind: behind.collect(),
        behind_pairs: left.behind_pairs,
        behind_messages: left.behind_messages,
        unconsumed_topics: left.unconsumed.iter().map(ToString::to_string).collect(),
        unconsumed_total: left.unconsumed_total,
        delayed_messages: left.delayed,
        // Neither transactions nor pop consumption exist here: their messages are refused.
        half_messages: 0,
        pop_messages: 0,
    }
}
