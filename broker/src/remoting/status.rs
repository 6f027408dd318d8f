//! How the broker is: 28, 315, 306, 316, 329, 43 and 45, and its part in replication: 906 and 907.

use super::body;
use super::front::{Answer, Call};
use super::refusal::Refusal;
use crate::replication::{OURS, Side};
use crate::service::Broker;
use rmq_delivery::stats::Window;
use rmq_model::Millis;
use rmq_model::peer::ProtocolVersion;
use rmq_remoting::Command;
use rmq_remoting::body::{
    BrokerStatsData, BrokerStatsItem, HaClientRuntimeInfo, HaConnectionInfo, HaRuntimeInfo, KvTable,
};
use rmq_remoting::code::response;
use rmq_remoting::header::ViewBrokerStats;
use rmq_replica::Phase;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

fn done(result: io::Result<()>) -> Answer {
    match result {
        Ok(()) => Ok(Command::response(response::SUCCESS)),
        Err(error) => Err(Refusal::internal(error.to_string())),
    }
}

/// The table of request 28. Keys that tools parse are all there; those of machinery that does not
/// exist here (thread pools, the page cache lock) are 0, which is what they amount to.
pub(super) fn runtime_info(call: &Call<'_>) -> Answer {
    Ok(body::success(&KvTable { table: runtime_table(call.broker()) }))
}

fn runtime_table(broker: &Broker) -> BTreeMap<Arc<str>, String> {
    let now = broker.now();
    let status = broker.store.status();
    let settings = broker.settings();
    let mut table = BTreeMap::new();
    let mut put = |key: &str, value: String| {
        table.insert(key.into(), value);
    };
    put("brokerVersionDesc", ProtocolVersion::CURRENT_NAME.to_owned());
    put("brokerVersion", ProtocolVersion::CURRENT.0.to_string());
    put("brokerActive", status.refused.is_none().to_string());
    put("bootTimestamp", broker.started().to_string());
    put("runtime", running_for(now.saturating_sub(broker.started())));
    put(
        "startAcceptSendRequestTimeStamp",
        settings.start_accept_send_request_time_stamp.to_string(),
    );

    let (totals, today, yesterday) = {
        let rates = broker.traffic.rates();
        put("putTps", rates.put_tps(now).to_string());
        put("getTransferredTps", rates.transferred_tps(now).to_string());
        // The spelling of releases before 5.0, whose tools look for nothing else.
        put("getTransferedTps", rates.transferred_tps(now).to_string());
        put("getFoundTps", rates.found_tps(now).to_string());
        put("getMissTps", rates.missed_tps(now).to_string());
        put("getTotalTps", rates.read_tps(now).to_string());
        (rates.totals(), rates.today_morning(), rates.yesterday_morning())
    };
    put("msgPutTotalYesterdayMorning", yesterday.put.to_string());
    put("msgPutTotalTodayMorning", today.put.to_string());
    put("msgPutTotalTodayNow", totals.put.to_string());
    put("msgGetTotalYesterdayMorning", yesterday.transferred.to_string());
    put("msgGetTotalTodayMorning", today.transferred.to_string());
    put("msgGetTotalTodayNow", totals.transferred.to_string());
    put("putMessageTimesTotal", totals.put.to_string());
    put("putMessageFailedTimes", broker.traffic.put_failures().to_string());
    put("putMessageSizeTotal", broker.traffic.put_bytes().to_string());
    let average = broker.traffic.put_bytes().checked_div(totals.put).unwrap_or(0);
    put("putMessageAverageSize", average.to_string());
    let latency = broker.traffic.put_latency();
    put("putLatency99", latency.percentile(99.0).to_string());
    put("putLatency999", latency.percentile(99.9).to_string());
    put("putMessageDistributeTime", latency.to_string());

    put("sendThreadPoolQueueSize", status.inbox_puts.to_string());
    for pool in ["pull", "query", "litePull", "ack"] {
        put(&format!("{pool}ThreadPoolQueueSize"), "0".to_owned());
    }
    for pool in ["send", "pull", "query", "litePull", "ack"] {
        put(&format!("{pool}ThreadPoolQueueHeadWaitTimeMills"), "0".to_owned());
        put(
            &format!("{pool}ThreadPoolQueueCapacity"),
            broker.store.config().inbox.puts_max.to_string(),
        );
    }
    for key in [
        "EndTransactionQueueSize",
        "EndTransactionThreadPoolQueueCapacity",
        "pageCacheLockTimeMills",
        "putMessageEntireTimeMax",
        "getMessageEntireTimeMax",
        "dispatchMaxBuffer",
        "remainTransientStoreBufferNumbs",
        "timerReadBehind",
        "timerOffsetBehind",
        "timerCongestNum",
    ] {
        put(key, "0".to_owned());
    }
    put("timerEnqueueTps", "0.0".to_owned());
    put("timerDequeueTps", "0.0".to_owned());

    let first = broker.store.earliest_log_time().ok().flatten().unwrap_or(-1);
    put("earliestMessageTimeStamp", first.to_string());
    put("commitLogDiskRatio", ratio(status.log_disk_percent));
    put(
        &format!("commitLogDiskRatio_{}", settings.store_path_commit_log),
        ratio(status.log_disk_percent),
    );
    put("consumeQueueDiskRatio", ratio(status.queue_disk_percent));
    put("commitLogMinOffset", status.log_min.to_string());
    put("commitLogMaxOffset", status.log_max.to_string());
    put("commitLogDirCapacity", capacity(&settings.store_path_commit_log));
    put("dispatchBehindBytes", status.dispatch_behind_bytes.to_string());
    put("remainHowManyDataToFlush", status.flush_behind_bytes.to_string());
    for (level, delivered, end) in broker.delay_queues() {
        put(&format!("scheduleMessageOffset_{level}"), format!("{delivered},{end}"));
    }
    table
}

/// Replication as it stands (907).
pub(super) fn ha_status(call: &Call<'_>) -> Answer {
    let broker = call.broker();
    let end = broker.store.log_range().end.to_wire();
    let info = match broker.side() {
        Some(Side::Master(side)) => {
            let replicas = side.replicas();
            let info = replicas.iter().map(|replica| HaConnectionInfo {
                addr: replica.addr.to_string().into(),
                broker_id: replica.broker_id,
                diff: i64::try_from(replica.behind).unwrap_or(i64::MAX),
                in_sync: replica.peer.in_sync,
                lag_ms: replica
                    .peer
                    .behind_for
                    .map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
                slave_ack_offset: replica.peer.received.to_wire(),
                transfer_from_where: replica.peer.received.to_wire(),
                transferred_byte_in_second: i64::try_from(replica.rate).unwrap_or(i64::MAX),
            });
            HaRuntimeInfo {
                ha_connection_info: info.collect(),
                in_sync_slave_nums: i32::try_from(side.in_sync().saturating_sub(1))
                    .unwrap_or(i32::MAX),
                master: true,
                master_commit_log_max_offset: end,
                ..HaRuntimeInfo::default()
            }
        }
        Some(Side::Slave(side)) => {
            let view = side.view();
            let (now, wall) = (broker.clock.monotonic(), broker.now());
            let at = |time: Duration| {
                let ago = now.saturating_sub(time).as_millis();
                wall.saturating_sub(Millis::try_from(ago).unwrap_or(wall))
            };
            HaRuntimeInfo {
                ha_client_runtime_info: HaClientRuntimeInfo {
                    following: Some(view.phase == Phase::Following),
                    last_read_timestamp: at(view.heard),
                    last_write_timestamp: at(view.told),
                    master_addr: Some(view.master.ha_address.unwrap_or_default()),
                    master_flush_offset: view.master_end.to_wire(),
                    max_offset: view.end.to_wire(),
                    transferred_byte_in_second: i64::try_from(side.rate()).unwrap_or(i64::MAX),
                },
                master_commit_log_max_offset: view.master_end.to_wire(),
                ..HaRuntimeInfo::default()
            }
        }
        None => HaRuntimeInfo {
            master: true,
            master_commit_log_max_offset: end,
            ..HaRuntimeInfo::default()
        },
    };
    Ok(body::success(&info))
}

/// What brokers ask each other about replication (906).
pub(super) fn ha_info(call: &Call<'_>) -> Answer {
    let broker = call.broker();
    let answer = Command::response(response::SUCCESS);
    Ok(match broker.side() {
        Some(Side::Master(side)) => answer
            .with_ext("masterFlushOffset", side.start_end().to_string())
            .with_ext("masterAddress", broker.store_host().to_string())
            .with_ext(OURS, "1"),
        Some(Side::Slave(side)) => {
            let view = side.view();
            let text = |known: Option<&str>| known.unwrap_or("").to_owned();
            answer
                .with_ext("masterFlushOffset", view.master_end.to_string())
                .with_ext(
                    "masterHaAddress",
                    view.master.ha_address.as_deref().unwrap_or("").to_owned(),
                )
                .with_ext("masterAddress", text(view.master.address.as_deref()))
        }
        None => answer,
    })
}

/// Epochs exist only under a controller (1007).
pub(super) fn epochs(_call: &Call<'_>) -> Answer {
    Err(Refusal::internal("this broker is not in controller mode, so it has no epochs"))
}

/// `[ 0 days, 1 hours, 2 minutes, 3 seconds ]`
fn running_for(ms: Millis) -> String {
    let seconds = ms.max(0) / 1_000;
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {seconds} seconds ]")
}

fn ratio(percent: u8) -> String {
    format!("{}.{:02}", percent / 100, percent % 100)
}

/// `Total : 100.0 GiB, Free : 50.0 GiB.`
fn capacity(path: &str) -> String {
    let Ok(stat) = rustix::fs::statvfs(path) else { return "Total : 0 B, Free : 0 B.".into() };
    let bytes = |blocks: u64| size(blocks.saturating_mul(stat.f_frsize));
    format!("Total : {}, Free : {}.", bytes(stat.f_blocks), bytes(stat.f_bavail))
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes;
    let mut tenths = 0;
    let mut unit = 0;
    while 1_024 <= value && unit + 1 < UNITS.len() {
        tenths = value % 1_024 * 10 / 1_024;
        value /= 1_024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("B");
    if unit == 0 { format!("{value} {name}") } else { format!("{value}.{tenths} {name}") }
}

pub(super) fn item(call: &Call<'_>) -> Answer {
    let header: ViewBrokerStats = call.command.decode()?;
    let Some(data) = call.broker().stats_item(&header.stats_name, &header.stats_key) else {
        let (name, key) = (&header.stats_name, &header.stats_key);
        let remark = format!("The stats <{name}> <{key}> not exist");
        return Err(Refusal::internal(remark));
    };
    let window = |window: Window| BrokerStatsItem {
        avgpt: window.avgpt,
        sum: i64::try_from(window.sum).unwrap_or(i64::MAX),
        tps: window.tps,
    };
    Ok(body::success(&BrokerStatsData {
        stats_day: window(data.day),
        stats_hour: window(data.hour),
        stats_minute: window(data.minute),
    }))
}

/// Queue files below the beginning of the log go with the log's own files; nothing is ever left
/// for this request but what the log has just let go of.
pub(super) fn clean_queues(call: &Call<'_>) -> Answer {
    done(call.broker().store.clean_expired().map(drop))
}

pub(super) fn clean_topics(call: &Call<'_>) -> Answer {
    done(call.broker().clean_unused_topics())
}

pub(super) fn clean_log(call: &Call<'_>) -> Answer {
    done(call.broker().store.clean_expired().map(drop))
}

pub(super) fn all_offsets(call: &Call<'_>) -> Answer {
    Ok(body::success(&call.broker().stored_offsets()))
}

pub(super) fn all_delays(call: &Call<'_>) -> Answer {
    Ok(body::success(&call.broker().delay_progress()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_tools_read_them() {
        assert_eq!(running_for(3_723_000), "[ 0 days, 1 hours, 2 minutes, 3 seconds ]");
        assert_eq!(running_for(90_061_999), "[ 1 days, 1 hours, 1 minutes, 1 seconds ]");
        for (percent, want) in [(0, "0.00"), (7, "0.07"), (75, "0.75"), (100, "1.00")] {
            assert_eq!(ratio(percent), want);
        }
        for (bytes, want) in
            [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (100 << 30, "100.0 GiB")]
        {
            assert_eq!(size(bytes), want);
        }
        assert!(capacity("/").starts_with("Total : "));
    }
}
