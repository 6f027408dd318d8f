//! The metrics endpoint, and the series that are worked out when somebody asks for them.

use crate::presence::Presence;
use crate::remoting::Front;
use crate::replication::Side;
use crate::service::Broker;
use crate::service::traffic::flag;
use rmq_host::Tasks;
use rmq_host::http::{HttpConfig, HttpServer, Metrics};
use rmq_host::metrics::{Kind, Samples};
use rmq_model::Millis;
use rmq_model::name::{is_retry_topic, is_system_group, is_system_topic};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Groups and topics whose lag is shown; further ones are left out.
const LAGS_MAX: usize = 20_000;

/// Serves probes and metrics, if a port is configured.
///
/// # Errors
/// When the port cannot be had.
pub(crate) async fn serve(
    presence: &Arc<Presence>,
    tasks: &Tasks,
) -> io::Result<Option<SocketAddr>> {
    let Some(address) = presence.config.metrics else { return Ok(None) };
    let text = Arc::clone(presence);
    let metrics: Metrics = Arc::new(move || text.metrics());
    let http = HttpConfig::at(address);
    let server = HttpServer::bind(&http, Arc::clone(presence) as _, metrics).await?;
    let address = server.local_addr()?;
    tasks.spawn("metrics", |stop| async move { Ok(server.run(stop).await?) });
    Ok(Some(address))
}

/// Adds the series that are worked out when somebody asks for them.
pub(crate) fn describe(broker: &Arc<Broker>, front: &Front) {
    let registry = &broker.traffic.registry;
    // The registry belongs to the broker: a strong handle would keep both alive for ever.
    let weak = Arc::downgrade(broker);
    registry.collect(move |out| {
        if let Some(broker) = weak.upgrade() {
            gauges(&broker, out);
            storage(&broker, out);
            clients(&broker, out);
            replication(&broker, out);
            lags(&broker, out);
        }
    });
    let jobs = front.inner().jobs.clone();
    registry.collect(move |out| {
        out.begin("rmq_blocking_jobs", "Jobs that run or wait for a thread.", Kind::Gauge);
        out.sample(&[], jobs.len());
    });
}

fn gauges(broker: &Broker, out: &mut Samples<'_>) {
    out.begin("rocketmq_broker_permission", "Permission bits of the broker.", Kind::Gauge);
    out.sample(&[], broker.settings().broker_permission);
    out.begin("rocketmq_topic_number", "Topics on the broker.", Kind::Gauge);
    out.sample(&[], broker.topics.all().iter().len());
    out.begin("rocketmq_consumer_group_number", "Groups on the broker.", Kind::Gauge);
    out.sample(&[], broker.groups.all().iter().len());
    out.begin("rmq_parked_pulls", "Pulls that wait for messages.", Kind::Gauge);
    out.sample(&[], broker.waiting.len());
}

fn storage(broker: &Broker, out: &mut Samples<'_>) {
    let labels = &[("storage_type", "local"), ("storage_medium", "disk")];
    let status = broker.store.status();
    out.begin("rocketmq_storage_flush_behind_bytes", "Written, not flushed.", Kind::Gauge);
    out.sample(labels, status.flush_behind_bytes);
    out.begin("rocketmq_storage_dispatch_behind_bytes", "Written, not in queues.", Kind::Gauge);
    out.sample(labels, status.dispatch_behind_bytes);
    let help = "Bytes in use on the file system of the store.";
    out.begin("rocketmq_storage_size_bytes", help, Kind::Gauge);
    out.sample(labels, status.disk_used_bytes);
    let help = "Places of the log where reads found no record; 256 stands for all above.";
    out.begin("rmq_storage_damaged_places", help, Kind::Gauge);
    out.sample(labels, status.damaged_places);
    out.begin("rmq_storage_log_bytes", "Bytes of the commit log.", Kind::Gauge);
    out.sample(labels, status.log_max.0.saturating_sub(status.log_min.0));
    out.begin("rmq_storage_disk_used_percent", "Used share of the log's disk.", Kind::Gauge);
    out.sample(labels, status.log_disk_percent);
    out.begin("rmq_storage_waiting_puts", "Puts that wait for the log.", Kind::Gauge);
    out.sample(labels, status.inbox_puts);
    if let Ok(Some(first)) = broker.store.earliest_log_time() {
        let name = "rocketmq_storage_message_reserve_time_milliseconds";
        out.begin(name, "Age of the oldest message.", Kind::Gauge);
        out.sample(labels, broker.now().saturating_sub(first).max(0));
    }
}

fn clients(broker: &Broker, out: &mut Samples<'_>) {
    let mut producers: BTreeMap<(String, String), u64> = BTreeMap::new();
    for member in broker.all_producers().values().flatten() {
        let client = &member.client;
        let key = (client.language.to_string(), client.version.0.to_string());
        *producers.entry(key).or_default() += 1;
    }
    out.begin("rocketmq_producer_connections", "Producer connections.", Kind::Gauge);
    for ((language, version), count) in &producers {
        let labels =
            [("language", &**language), ("version", version), ("protocol_type", "remoting")];
        out.sample(&labels, count);
    }
    out.begin("rocketmq_consumer_connections", "Consumer connections.", Kind::Gauge);
    for (group, view) in broker.group_views() {
        let mut members: BTreeMap<(String, String), u64> = BTreeMap::new();
        for member in &view.members {
            let client = &member.client;
            let key = (client.language.to_string(), client.version.0.to_string());
            *members.entry(key).or_default() += 1;
        }
        for ((language, version), count) in &members {
            let labels = [
                ("consumer_group", &*group),
                ("language", language),
                ("version", version),
                ("consume_mode", view.consume_type.name()),
                ("protocol_type", "remoting"),
                ("is_system", flag(is_system_group(&group))),
            ];
            out.sample(&labels, count);
        }
    }
}

fn replication(broker: &Broker, out: &mut Samples<'_>) {
    let (role, epoch) = match broker.side() {
        Some(Side::Master(side)) => ("master", side.epoch()),
        Some(Side::Slave(side)) => ("slave", side.view().epoch),
        None => return,
    };
    out.begin("rocketmq_ha_role", "1 for the role the broker has.", Kind::Gauge);
    out.sample(&[("role", role)], 1);
    out.begin("rocketmq_ha_epoch", "Term of the master whose log is written.", Kind::Gauge);
    out.sample(&[], epoch);
    match broker.side() {
        Some(Side::Master(side)) => {
            out.begin(
                "rocketmq_ha_in_sync_replicas",
                "Copies in sync, this included.",
                Kind::Gauge,
            );
            out.sample(&[], side.in_sync());
            out.begin("rmq_ha_waiting_sends", "Sends that wait for replicas.", Kind::Gauge);
            out.sample(&[], side.waiting());
            let help = "Time that sends waited for replicas.";
            out.begin("rmq_ha_ack_latency_milliseconds", help, Kind::Histogram);
            out.histogram(&[], side.waited());
            let help = "Bytes of the log that were sent to replicas.";
            out.begin("rmq_ha_sent_bytes_total", help, Kind::Counter);
            out.sample(&[], side.sent());
            // As many as a master takes connections of replicas.
            let replicas = side.replicas();
            let names: Vec<String> = replicas.iter().map(|r| r.addr.ip().to_string()).collect();
            out.begin("rocketmq_ha_lag_bytes", "Bytes that a replica lacks.", Kind::Gauge);
            for (replica, name) in replicas.iter().zip(&names) {
                out.sample(&[("replica", name)], replica.behind);
            }
            let help = "Time since a replica had all there was, seconds; -1 if it never had.";
            out.begin("rocketmq_ha_lag_seconds", help, Kind::Gauge);
            for (replica, name) in replicas.iter().zip(&names) {
                let behind = replica.peer.behind_for.map_or(-1.0, |time| time.as_secs_f64());
                out.sample(&[("replica", name)], behind);
            }
        }
        Some(Side::Slave(side)) => {
            let view = side.view();
            out.begin("rmq_ha_following", "1 while the master's log is copied.", Kind::Gauge);
            out.sample(&[], u8::from(side.is_following()));
            let behind = view.master_end.bytes_since(view.end).unwrap_or(0);
            out.begin("rmq_ha_behind_bytes", "Bytes that are missing here.", Kind::Gauge);
            out.sample(&[], behind);
            let help = "Bytes of the log that were received.";
            out.begin("rmq_ha_received_bytes_total", help, Kind::Counter);
            out.sample(&[], side.received());
        }
        None => {}
    }
}

fn lags(broker: &Broker, out: &mut Samples<'_>) {
    let mut lags = Vec::new();
    for (group, topic) in broker.consuming_pairs().into_iter().take(LAGS_MAX) {
        if let Some(config) = broker.topics.get(&topic) {
            let lag = broker.lag_of(&group, &config);
            lags.push((group, topic, lag));
        }
    }
    let now = broker.now();
    let labels = |group: &str, topic: &str| {
        [
            ("consumer_group".to_owned(), group.to_owned()),
            ("topic".to_owned(), topic.to_owned()),
            ("is_retry".to_owned(), flag(is_retry_topic(topic)).to_owned()),
            (
                "is_system".to_owned(),
                flag(is_system_group(group) || is_system_topic(topic)).to_owned(),
            ),
        ]
    };
    let mut series = |name, help, value: &dyn Fn(&rmq_delivery::runtime::Lag) -> i64| {
        out.begin(name, help, Kind::Gauge);
        for (group, topic, lag) in &lags {
            let labels = labels(group, topic);
            let borrowed: Vec<(&str, &str)> =
                labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            out.sample(&borrowed, value(lag));
        }
    };
    series("rocketmq_consumer_lag_messages", "Stored and not committed.", &|lag| lag.messages);
    series("rocketmq_consumer_inflight_messages", "Delivered and not committed.", &|lag| {
        lag.in_flight
    });
    series("rocketmq_consumer_ready_messages", "Stored and not delivered.", &|lag| lag.ready);
    series(
        "rocketmq_consumer_lag_latency_milliseconds",
        "Age of the oldest message that is not committed.",
        &|lag| age(now, lag.oldest),
    );
    series(
        "rocketmq_consumer_queueing_latency_milliseconds",
        "Age of the oldest message that is not delivered.",
        &|lag| age(now, lag.oldest_ready),
    );
}

/// 0 without a message.
fn age(now: Millis, stored: Option<Millis>) -> Millis {
    stored.map_or(0, |stored| now.saturating_sub(stored).max(0))
}
