//! Connections of replicas: who may, and what they say.

use super::{Link, MasterSide, Order, STATE_EVERY, Versions};
use crate::replication::meter::Meter;
use bytes::BytesMut;
use rmq_host::Tasks;
use rmq_remoting::ha::{self, FromSlave, HelloFrame, WireEpoch};
use rmq_replica::{ConnId, Entry, Epoch, Epochs, Hello, MasterInput, StoreId};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

impl MasterSide {
    pub(super) async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        tasks: &Tasks,
        versions: &Arc<dyn Versions>,
        stop: &CancellationToken,
    ) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, addr)) if self.allowed.contains(addr.ip()) => {
                    self.open(stream, addr, tasks, versions, stop);
                }
                Ok((_, addr)) => {
                    tracing::warn!(%addr, "a replica that haAllowedPeers does not name was refused");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept replicas");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(STATE_EVERY) => {}
                    }
                }
            }
        }
    }

    fn open(
        self: &Arc<Self>,
        stream: TcpStream,
        addr: SocketAddr,
        tasks: &Tasks,
        versions: &Arc<dyn Versions>,
        stop: &CancellationToken,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%addr, %error, "a replica's connection is gone");
            return;
        }
        let conn = ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed));
        let (orders, inbox) = mpsc::channel(4);
        let stop = stop.child_token();
        let sent = Arc::new(Meter::default());
        let link = Link { orders, stop: stop.clone(), addr, native: false, sent, broker_id: None };
        self.links.lock().insert(conn, link);
        let (read, write) = stream.into_split();
        let (reader, writer) = (Arc::clone(self), Arc::clone(self));
        let versions = Arc::clone(versions);
        let stopped = stop.clone();
        tasks.spawn("from replica", move |_| async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                why = reader.read(conn, read) => {
                    if let Some(why) = why {
                        tracing::warn!(%addr, why, "a replica's connection is closed");
                    }
                }
            }
            reader.gone(conn);
            Ok(())
        });
        tasks.spawn("to replica", move |_| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                why = writer.write(conn, addr, write, inbox, &*versions) => {
                    tracing::debug!(%addr, why, "nothing more is sent to a replica");
                }
            }
            writer.gone(conn);
            Ok(())
        });
        let host: IpAddr = addr.ip();
        self.step(MasterInput::Opened { conn, host });
    }

    fn gone(&self, conn: ConnId) {
        if let Some(link) = self.links.lock().remove(&conn) {
            link.stop.cancel();
        }
        self.step(MasterInput::Closed { conn });
    }

    /// Reads what a replica says, until it ends or says nonsense.
    async fn read(&self, conn: ConnId, mut read: OwnedReadHalf) -> Option<String> {
        let mut buf = BytesMut::with_capacity(4096);
        let mut native = None;
        loop {
            match read.read_buf(&mut buf).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            if native.is_none() {
                let Some(first) = buf.first_chunk::<8>() else { continue };
                let ours = *first == ha::MAGIC;
                if ours {
                    drop(buf.split_to(ha::MAGIC.len()));
                    if let Some(link) = self.links.lock().get_mut(&conn) {
                        link.native = true;
                    }
                }
                native = Some(ours);
            }
            let heard = if native == Some(true) {
                self.heard_native(conn, &mut buf)
            } else {
                ha::take_java_report(&mut buf)
                    .map(|report| {
                        if let Some(end) = report {
                            self.step(MasterInput::JavaReport { conn, end });
                        }
                    })
                    .map_err(|error| error.to_string())
            };
            if let Err(why) = heard {
                return Some(why);
            }
        }
    }

    fn heard_native(&self, conn: ConnId, buf: &mut BytesMut) -> Result<(), String> {
        while let Some(frame) = FromSlave::take(buf).map_err(|error| error.to_string())? {
            match frame {
                FromSlave::Hello(frame) => match self.check(&frame) {
                    Ok(hello) => {
                        if let Some(link) = self.links.lock().get_mut(&conn) {
                            link.broker_id = Some(frame.broker_id);
                        }
                        self.step(MasterInput::Hello { conn, hello });
                    }
                    Err(why) => self.order(conn, Order::Refuse(why)),
                },
                FromSlave::Report { received, synced } => {
                    self.step(MasterInput::Report { conn, received, synced });
                }
            }
        }
        Ok(())
    }

    fn check(&self, hello: &HelloFrame) -> Result<Hello, String> {
        if (&*self.cluster, &*self.broker) != (&*hello.cluster, &*hello.broker) {
            return Err(format!(
                "this is broker {} of cluster {}, not {} of {}",
                self.broker, self.cluster, hello.broker, hello.cluster
            ));
        }
        let entry = |known: &WireEpoch| {
            let epoch = Epoch::new(known.epoch).ok_or("an epoch has an impossible number")?;
            Ok(Entry { epoch, start: known.start })
        };
        let entries: Result<Vec<Entry>, &str> = hello.epochs.iter().map(entry).collect();
        let epochs = Epochs::of(entries?).map_err(|error| error.to_string())?;
        let (min, end) = (hello.min, hello.end);
        Ok(Hello { store: StoreId(hello.store), epochs, min, end })
    }
}
