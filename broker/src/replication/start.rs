//! Setting up the broker's side.

use super::{FilesError, Growth, MasterSide, Side, SlaveSide, Versions, is_slave};
use crate::config::Config;
use crate::service::Broker;
use rmq_host::Tasks;
use rmq_model::Clock;
use rmq_net::BindError;
use rmq_store::{Observers, OpenError, OsDisk, RawLog, Store, StoreConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Opens the store as the role wants it: a replica's log belongs to who copies.
pub(crate) fn open_store(
    config: &Config,
    store: StoreConfig,
    clock: Arc<dyn Clock>,
    observers: Observers,
) -> Result<(Store, Option<RawLog>), OpenError> {
    if is_slave(&config.settings) {
        let (store, raw) = Store::open_replica(store, OsDisk, clock, observers)?;
        return Ok((store, Some(raw)));
    }
    Ok((Store::open(store, OsDisk, clock, observers)?, None))
}

/// Makes the broker's side, before the first request: a master begins its term here.
pub(crate) fn prepare(broker: &Arc<Broker>, growth: &Arc<Growth>) -> Result<(), FilesError> {
    let settings = &broker.config.settings;
    let clock = Arc::clone(&broker.clock);
    let side = if is_slave(settings) {
        Side::Slave(Arc::new(SlaveSide::new(settings, clock)))
    } else {
        let (root, store) = (broker.config.root(), broker.store.clone());
        let side = MasterSide::new(settings, root, store, clock, Arc::clone(growth))?;
        Side::Master(Arc::new(side))
    };
    broker.set_side(side);
    Ok(())
}

/// Listens for replicas, or follows the master. `port` is that of requests; returns the port of
/// replication.
pub(crate) async fn start(
    broker: &Arc<Broker>,
    raw: Option<RawLog>,
    tasks: &Tasks,
    port: u16,
) -> Result<u16, StartSideError> {
    let config = &broker.config;
    let settings = &config.settings;
    let next = match (config.listen.port(), settings.ha_listen_port) {
        (0, _) => 0, // any, as for requests
        (_, 0) => port.saturating_add(1),
        (_, port) => port,
    };
    match (broker.side(), raw) {
        (Some(Side::Master(side)), _) => {
            let addr = SocketAddr::new(config.listen.ip(), next);
            let failed = |source| StartSideError::Bind(BindError::Io { addr, source });
            let listener = TcpListener::bind(addr).await.map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?.port();
            let versions: Arc<dyn Versions> = Arc::<Broker>::clone(broker);
            side.start(listener, tasks, &versions);
            Ok(bound)
        }
        (Some(Side::Slave(side)), Some(raw)) => {
            let (root, store) = (config.root(), broker.store.clone());
            side.start(settings, root, raw, store, tasks)?;
            super::tables::start(side, broker, tasks);
            Ok(next)
        }
        // Prepared and opened by the same role.
        (Some(Side::Slave(_)) | None, _) => Ok(next),
    }
}

/// Why replication does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartSideError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Bind(#[from] BindError),
}
