//! Every key of a broker's properties file that has a meaning here: one table gives the typed
//! struct, the checks, the printed configuration and the reference page.

use super::rule::{Rule, Value};
use std::sync::Arc;

/// When a change of a setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At the next start; request 25 refuses it.
    Restart,
    /// At once; request 25 accepts it.
    Live,
}

/// One key of the file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Heading of the reference page it stands under.
    pub section: &'static str,
    /// As written in the file.
    pub name: &'static str,
    /// Older spellings that are read as well.
    pub aliases: &'static [&'static str],
    /// As it would be written; empty means that the start works it out.
    pub default: &'static str,
    /// What the value must be.
    pub rule: Rule,
    /// When a change takes effect.
    pub change: Change,
    /// What it does.
    pub about: &'static str,
}

impl Key {
    /// Settings that `-m` prints: those that say who the broker is and where its data lies.
    pub fn is_important(&self) -> bool {
        matches!(self.section, "Identity and network")
            || matches!(
                self.name,
                "storePathRootDir"
                    | "storePathCommitLog"
                    | "brokerRole"
                    | "flushDiskType"
                    | "autoCreateTopicEnable"
                    | "autoCreateSubscriptionGroup"
                    | "fileReservedTime"
                    | "deleteWhen"
            )
    }
}

/// Finds a key by its name or by an older spelling.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name || key.aliases.contains(&name))
}

macro_rules! settings {
    ($($section:literal {
        $($(#[doc = $doc:literal])+
        $field:ident: $type:ty, $name:literal $([$($alias:literal)*])?, $default:literal, $rule:expr, $change:ident;)*
    })*) => {
        /// The settings, typed. Every value keeps the rule of its key.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Settings {
            $($($(#[doc = $doc])+ pub $field: $type,)*)*
        }

        /// All keys, in the order of the reference page.
        pub const KEYS: &[Key] = &[
            $($(Key {
                section: $section,
                name: $name,
                aliases: &[$($($alias),*)?],
                default: $default,
                rule: $rule,
                change: Change::$change,
                about: concat!($($doc),+),
            },)*)*
        ];

        impl Settings {
            /// Takes the text of every key from `text`, which has checked the rule already;
            /// `None` names the first key whose text is not of its type.
            pub(super) fn build<'a>(text: impl Fn(&'static str) -> &'a str) -> Result<Self, &'static str> {
                Ok(Self {
                    $($($field: <$type as Value>::from_text(text($name)).ok_or($name)?,)*)*
                })
            }

            /// The value of a key as it would stand in the file; `None` for unknown keys.
            pub fn text(&self, name: &str) -> Option<String> {
                match key(name)?.name {
                    $($($name => Some(self.$field.to_text()),)*)*
                    _ => None,
                }
            }

            /// Field and name of every setting.
            #[cfg(test)]
            const FIELDS: &[(&str, &str)] = &[$($((stringify!($field), $name),)*)*];
        }
    };
}

const HUGE: i64 = i64::MAX;
const MINUTE: i64 = 60_000;

settings! {
    "Identity and network" {
        /// Cluster the broker belongs to.
        broker_cluster_name: Arc<str>, "brokerClusterName", "DefaultCluster", Rule::Name, Restart;
        /// Name of the broker within the cluster; the host name when empty.
        broker_name: Arc<str>, "brokerName", "", Rule::Text, Restart;
        /// 0 for a master, above 0 for a replica.
        broker_id: i64, "brokerId", "0", Rule::Whole(0, HUGE), Restart;
        /// Role in replication.
        broker_role: Arc<str>, "brokerRole", "ASYNC_MASTER",
            Rule::OneOf(&["ASYNC_MASTER", "SYNC_MASTER", "SLAVE"]), Restart;
        /// Address or DNS name clients reach the broker at, as registered at name servers.
        /// The first address that is not a loopback when empty.
        broker_ip1: Arc<str>, "brokerIP1", "", Rule::Host, Restart;
        /// Address or DNS name replicas reach the broker at; `brokerIP1` when empty.
        broker_ip2: Arc<str>, "brokerIP2", "", Rule::Host, Restart;
        /// Port clients reach the broker at, if something between changes it; `listenPort` when 0.
        advertised_port: u16, "advertisedPort", "0", Rule::Whole(0, 65_535), Restart;
        /// Address in stored messages and in their ids. `brokerIP1` when empty; the first address
        /// that is not a loopback if that is a name.
        store_host: Arc<str>, "storeHost", "", Rule::Address, Restart;
        /// Address to listen on.
        bind_address: Arc<str>, "bindAddress", "0.0.0.0", Rule::Address, Restart;
        /// Port of all requests; two less is the fast port. 0 takes free ports, for tests.
        listen_port: u16, "listenPort", "10911", Rule::Whole(0, 65_535), Restart;
        /// Port of replication; one more than `listenPort` when 0.
        ha_listen_port: u16, "haListenPort", "0", Rule::Whole(0, 65_535), Restart;
        /// Name servers. The environment's NAMESRV_ADDR when empty, `-n` comes before both.
        namesrv_addr: Arc<str>, "namesrvAddr", "", Rule::NameServers, Restart;
        /// What clients may do: 6 read and write, 4 read, 2 write, 0 neither.
        broker_permission: u32, "brokerPermission", "6", Rule::Whole(0, 7), Live;
        /// Time between two registrations, ms; kept within 10,000 and 60,000.
        register_name_server_period: u64, "registerNameServerPeriod", "30000", Rule::Whole(0, HUGE), Restart;
        /// Longest wait for a name server's answer, ms.
        register_broker_timeout_mills: u64, "registerBrokerTimeoutMills", "24000", Rule::Whole(100, 10 * MINUTE), Restart;
        /// Register every period even when no table has changed.
        force_register: bool, "forceRegister", "true", Rule::Flag, Live;
        /// Region in send answers and message properties.
        region_id: Arc<str>, "regionId", "DefaultRegion", Rule::Text, Restart;
        /// Whether clients are told to trace.
        trace_on: bool, "traceOn", "true", Rule::Flag, Live;
        /// Keys that request 25 may not change, besides those that need a restart.
        config_black_list: Arc<str>, "configBlackList", "configBlackList;brokerConfigPath", Rule::Text, Restart;
        /// Epoch ms before which sends are refused with code 1.
        start_accept_send_request_time_stamp: i64, "startAcceptSendRequestTimeStamp", "0", Rule::Whole(0, HUGE), Live;
    }
    "Control and stop" {
        /// Port of the control API, which operators use; 0 is none. On other addresses than
        /// loopback it needs a token.
        control_listen_port: u16, "controlListenPort", "0", Rule::Whole(0, 65_535), Restart;
        /// File with the token that callers of the control API must know.
        control_token_file: Arc<str>, "controlTokenFile", "", Rule::Text, Restart;
        /// How long the broker goes on serving reads after it was asked to stop, while clients
        /// find other brokers for their sends, seconds.
        shutdown_drain_seconds: u32, "shutdownDrainSeconds", "0", Rule::Whole(0, 3_600), Restart;
    }
    "Connections" {
        /// Most connections per port; further ones are closed at once.
        connections_max: u32, "serverMaxConnections", "20000", Rule::Whole(1, 1_000_000), Restart;
        /// A connection without traffic for this long is closed, seconds.
        idle_seconds: u64, "serverChannelMaxIdleTimeSeconds", "120", Rule::Whole(1, 86_400), Restart;
        /// Most requests of one connection that wait for their answer; further ones wait in the socket.
        in_flight_max: u32, "serverMaxInFlightPerConnection", "8192", Rule::Whole(1, 1_000_000), Restart;
        /// Most bytes of requests of one connection that wait for their answer.
        in_flight_bytes_max: u64, "serverMaxInFlightBytesPerConnection", "67108864", Rule::Whole(16_777_216, HUGE), Restart;
        /// Most bytes of requests of all connections that wait for their answer.
        in_flight_bytes_total_max: u64, "serverMaxInFlightBytes", "536870912", Rule::Whole(16_777_216, HUGE), Restart;
        /// Most bytes of answers that wait for a peer to read them; beyond it the connection is closed.
        outbox_bytes_max: u64, "serverMaxOutboxBytesPerConnection", "134217728", Rule::Whole(33_554_432, HUGE), Restart;
        /// Most pull requests that are parked at a time; further ones are answered at once.
        parked_pulls_max: u32, "maxParkedPullRequests", "100000", Rule::Whole(1, 10_000_000), Restart;
        /// A client without heartbeat for this long is forgotten, ms.
        channel_expired_timeout: u64, "channelExpiredTimeout", "120000", Rule::Whole(1_000, HUGE), Live;
    }
    "Topics and groups" {
        /// Queues of a topic made after the template.
        default_topic_queue_nums: u32, "defaultTopicQueueNums", "8", Rule::Whole(1, 65_536), Live;
        /// Sends to unknown topics make them.
        auto_create_topic_enable: bool, "autoCreateTopicEnable", "true", Rule::Flag, Restart;
        /// Use of unknown groups makes them.
        auto_create_subscription_group: bool, "autoCreateSubscriptionGroup", "true", Rule::Flag, Live;
        /// The topic named like the cluster lets new topics inherit from it.
        cluster_topic_enable: bool, "clusterTopicEnable", "true", Rule::Flag, Restart;
        /// The topic named like the broker lets new topics inherit from it.
        broker_topic_enable: bool, "brokerTopicEnable", "true", Rule::Flag, Restart;
        /// Make the topic of the message trace at start.
        trace_topic_enable: bool, "traceTopicEnable", "false", Rule::Flag, Restart;
        /// Topic of the message trace.
        msg_trace_topic_name: Arc<str>, "msgTraceTopicName", "RMQ_SYS_TRACE_TOPIC", Rule::Name, Restart;
        /// Queues of the POP revive topic, which exists for the other implementation's sake.
        revive_queue_num: u32, "reviveQueueNum", "8", Rule::Whole(1, 1_024), Restart;
        /// Page the answers of requests 21 and 201 when asked to.
        enable_split_metadata: bool, "enableSplitMetadata", "true", Rule::Flag, Live;
        /// Entries of such a page.
        split_metadata_size: u32, "splitMetadataSize", "2000", Rule::Whole(1, 100_000), Live;
        /// Register the topics in portions.
        enable_split_registration: bool, "enableSplitRegistration", "false", Rule::Flag, Live;
        /// Topics of such a portion.
        split_registration_size: u32, "splitRegistrationSize", "800", Rule::Whole(2, 100_000), Live;
    }
    "Sending" {
        /// Longest body of a message, bytes.
        max_message_size: u32, "maxMessageSize", "4194304", Rule::Whole(1, 16_000_000), Restart;
        /// Delays of level 1 and up.
        message_delay_level: Arc<str>, "messageDelayLevel",
            "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h", Rule::DelayLevels, Restart;
        /// Time between two writes of the delay levels' progress, ms.
        flush_delay_offset_interval: u64, "flushDelayOffsetInterval", "10000", Rule::Whole(100, HUGE), Restart;
        /// Store replies besides pushing them to the requester.
        store_reply_message_enable: bool, "storeReplyMessageEnable", "true", Rule::Flag, Live;
    }
    "Consuming" {
        /// Park pulls that find nothing for as long as they ask; else for `shortPollingTimeMills`.
        long_polling_enable: bool, "longPollingEnable", "true", Rule::Flag, Live;
        /// Longest parking without long polling, ms.
        short_polling_time_mills: u64, "shortPollingTimeMills", "1000", Rule::Whole(0, 10 * MINUTE), Live;
        /// Serve request 361.
        lite_pull_message_enable: bool, "litePullMessageEnable", "true", Rule::Flag, Live;
        /// Accept SQL92 expressions. They are not available yet: `true` is refused at start.
        enable_property_filter: bool, "enablePropertyFilter", "false", Rule::Flag, Restart;
        /// Most messages a single pull may ask for.
        pull_batch_max_message_count: u32, "pullBatchMaxMessageCount", "160", Rule::Whole(1, 32_768), Live;
        /// Bytes of one answer when the messages are in memory.
        max_transfer_bytes_on_message_in_memory: u32, "maxTransferBytesOnMessageInMemory", "262144", Rule::Whole(1, 16_000_000), Live;
        /// Messages of one answer when they are in memory.
        max_transfer_count_on_message_in_memory: u32, "maxTransferCountOnMessageInMemory", "32", Rule::Whole(1, 32_768), Live;
        /// Bytes of one answer when the messages come from disk.
        max_transfer_bytes_on_message_in_disk: u32, "maxTransferBytesOnMessageInDisk", "65536", Rule::Whole(1, 16_000_000), Live;
        /// Messages of one answer when they come from disk.
        max_transfer_count_on_message_in_disk: u32, "maxTransferCountOnMessageInDisk", "8", Rule::Whole(1, 32_768), Live;
        /// Bytes of queue entries that one filtered pull looks through.
        max_filter_message_size: u32, "maxFilterMessageSize", "16000", Rule::Whole(20, 16_000_000), Live;
        /// Messages further back than this share of memory, in percent, count as on disk.
        access_message_in_memory_max_ratio: u32, "accessMessageInMemoryMaxRatio", "40", Rule::Whole(0, 100), Restart;
        /// Messages of one answer to a query by unique key.
        default_query_max_num: u32, "defaultQueryMaxNum", "32", Rule::Whole(1, 10_000), Live;
        /// Time between two writes of consumer offsets, ms.
        flush_consumer_offset_interval: u64, "flushConsumerOffsetInterval", "5000", Rule::Whole(100, HUGE), Restart;
        /// Tell a group's members at once when one comes or goes.
        notify_consumer_ids_changed_enable: bool, "notifyConsumerIdsChangedEnable", "true", Rule::Flag, Live;
        /// Reset offsets on the broker instead of through the clients.
        use_server_side_reset_offset: bool, "useServerSideResetOffset", "true", Rule::Flag, Live;
        /// Mode that request 400 answers where request 401 has set none. Only PULL is available.
        default_message_request_mode: Arc<str>, "defaultMessageRequestMode", "PULL", Rule::OneOf(&["PULL", "POP"]), Restart;
    }
    "Store" {
        /// Directory of all data; `$HOME/store` when empty.
        store_path_root_dir: Arc<str>, "storePathRootDir", "", Rule::Text, Restart;
        /// Directory of the commit log; `commitlog` in the root when empty.
        store_path_commit_log: Arc<str>, "storePathCommitLog", "", Rule::Text, Restart;
        /// Directory of the consume queues; `consumequeue` in the root when empty.
        store_path_consume_queue: Arc<str>, "storePathConsumeQueue", "", Rule::Text, Restart;
        /// Directory of the index; `index` in the root when empty.
        store_path_index: Arc<str>, "storePathIndex", "", Rule::Text, Restart;
        /// Checkpoint file; `checkpoint` in the root when empty.
        store_checkpoint: Arc<str>, "storeCheckpoint", "", Rule::Text, Restart;
        /// File that is there while the broker runs; `abort` in the root when empty.
        abort_file: Arc<str>, "abortFile", "", Rule::Text, Restart;
        /// Only `default`: RocksDB queue stores cannot be opened.
        store_type: Arc<str>, "storeType", "default", Rule::OneOf(&["default", "defaultRocksDB"]), Restart;
        /// Size of a commit log file, bytes.
        mapped_file_size_commit_log: u64, "mappedFileSizeCommitLog" ["mapedFileSizeCommitLog"], "1073741824", Rule::Whole(65_536, 1 << 40), Restart;
        /// Size of a consume queue file, bytes; made a multiple of 20.
        mapped_file_size_consume_queue: u64, "mappedFileSizeConsumeQueue" ["mapedFileSizeConsumeQueue"], "6000000", Rule::Whole(20, 1 << 30), Restart;
        /// Keep an index by message key.
        message_index_enable: bool, "messageIndexEnable", "true", Rule::Flag, Restart;
        /// Hash slots of an index file.
        max_hash_slot_num: u32, "maxHashSlotNum", "5000000", Rule::Whole(1, 500_000_000), Restart;
        /// Entries of an index file.
        max_index_num: u32, "maxIndexNum", "20000000", Rule::Whole(2, 1_000_000_000), Restart;
        /// Most messages of a query by key.
        max_msgs_num_batch: u32, "maxMsgsNumBatch", "64", Rule::Whole(1, 10_000), Live;
        /// `SYNC_FLUSH`: sends are answered when they are on disk.
        flush_disk_type: Arc<str>, "flushDiskType", "ASYNC_FLUSH", Rule::OneOf(&["ASYNC_FLUSH", "SYNC_FLUSH"]), Restart;
        /// Time between two flushes of the commit log when not synchronous, ms.
        flush_interval_commit_log: u64, "flushIntervalCommitLog", "500", Rule::Whole(1, 10 * MINUTE), Restart;
        /// Longest wait for a synchronous flush, ms.
        sync_flush_timeout: u64, "syncFlushTimeout", "5000", Rule::Whole(1, 10 * MINUTE), Restart;
        /// Append a check value over each whole record.
        enabled_append_prop_crc: bool, "enabledAppendPropCRC", "false", Rule::Flag, Restart;
        /// Hours of the day in which expired files are deleted.
        delete_when: Arc<str>, "deleteWhen", "04", Rule::Hours, Live;
        /// Hours after which a commit log file is expired.
        file_reserved_time: u32, "fileReservedTime", "72", Rule::Whole(0, 1_000_000), Live;
        /// Used disk space beyond which expired files are deleted at any hour, percent.
        disk_max_used_space_ratio: u32, "diskMaxUsedSpaceRatio", "75", Rule::Whole(10, 95), Live;
        /// Used disk space beyond which files are deleted before they expire, percent.
        disk_space_clean_forcibly_ratio: u32, "diskSpaceCleanForciblyRatio", "85", Rule::Whole(30, 95), Live;
        /// Used disk space beyond which sends are refused, percent.
        disk_space_warning_level_ratio: u32, "diskSpaceWarningLevelRatio", "90", Rule::Whole(35, 99), Live;
        /// Delete files before they expire when space is short.
        clean_file_forcibly_enable: bool, "cleanFileForciblyEnable", "true", Rule::Flag, Live;
        /// Time between two looks for expired files, ms.
        clean_resource_interval: u64, "cleanResourceInterval", "10000", Rule::Whole(100, HUGE), Restart;
        /// Most commit log files deleted in one round.
        delete_file_batch_max: u32, "deleteFileBatchMax", "10", Rule::Whole(1, 10_000), Restart;
    }
    "Replication" {
        /// Copies there are to be of each message, the master's included. Only shown.
        total_replicas: u32, "totalReplicas", "1", Rule::Whole(1, 64), Restart;
        /// Copies that a `SYNC_MASTER` waits for before it answers a send, its own included.
        in_sync_replicas: u32, "inSyncReplicas", "1", Rule::Whole(1, 64), Restart;
        /// Copies that must be in sync, the master's included, or a `SYNC_MASTER` refuses sends.
        min_in_sync_replicas: u32, "minInSyncReplicas", "1", Rule::Whole(1, 64), Restart;
        /// Wait for all copies that are in sync, however many.
        all_ack_in_sync_state_set: bool, "allAckInSyncStateSet", "false", Rule::Flag, Restart;
        /// Wait for fewer copies than `inSyncReplicas` while fewer are in sync.
        enable_auto_in_sync_replicas: bool, "enableAutoInSyncReplicas", "false", Rule::Flag, Restart;
        /// Longest wait for replicas, ms; the send is stored all the same.
        slave_timeout: u64, "slaveTimeout", "3000", Rule::Whole(1, 10 * MINUTE), Restart;
        /// Address of the master's replication, `host:port`; name servers are asked when empty.
        ha_master_address: Arc<str>, "haMasterAddress", "", Rule::Text, Restart;
        /// Addresses (`10.0.0.7`) and networks (`10.1.0.0/16`) replicas may connect from, separated
        /// by `,`; from anywhere when empty.
        ha_allowed_peers: Arc<str>, "haAllowedPeers", "", Rule::Peers, Restart;
        /// Silence on a replication connection after which a sign of life is sent, ms.
        ha_send_heartbeat_interval: u64, "haSendHeartbeatInterval", "5000", Rule::Whole(100, MINUTE), Restart;
        /// Silence after which a replication connection is closed, ms.
        ha_housekeeping_interval: u64, "haHousekeepingInterval", "20000", Rule::Whole(1_000, 10 * MINUTE), Restart;
        /// Most bytes of the log in one frame to a Java replica.
        ha_transfer_batch_size: u32, "haTransferBatchSize", "32768", Rule::Whole(1_024, 4_000_000), Restart;
        /// A replica that lacks more bytes is not in sync.
        ha_max_gap_not_in_sync: u64, "haMaxGapNotInSync", "268435456", Rule::Whole(0, HUGE), Restart;
        /// A replica that has not caught up for so long is not in sync, ms.
        ha_max_time_slave_not_catchup: u64, "haMaxTimeSlaveNotCatchup", "15000", Rule::Whole(100, HUGE), Restart;
        /// Let consumers that are far behind read from a replica; on a replica: serve them.
        slave_read_enable: bool, "slaveReadEnable", "false", Rule::Flag, Live;
        /// On a replica: serve reads, locks and offsets while the master is away.
        enable_slave_acting_master: bool, "enableSlaveActingMaster", "false", Rule::Flag, Restart;
        /// On a replica: correct offsets out of range like a master, though it may only be behind.
        offset_check_in_slave: bool, "offsetCheckInSlave", "false", Rule::Flag, Live;
    }
    "Log lines" {
        /// A level, or levels by target: `info,rmq_net=debug`.
        log_level: Arc<str>, "logLevel", "info", Rule::LogFilter, Live;
        /// Form of the lines.
        log_format: Arc<str>, "logFormat", "text", Rule::OneOf(&["text", "json"]), Restart;
        /// Where they go.
        log_stream: Arc<str>, "logStream", "stdout", Rule::OneOf(&["stdout", "stderr"]), Restart;
    }
    "Metrics" {
        /// `PROM` serves metrics over HTTP. A `metricsPromExporterPort` alone does so too.
        metrics_exporter_type: Arc<str>, "metricsExporterType", "DISABLE",
            Rule::OneOf(&["DISABLE", "OTLP_GRPC", "PROM", "LOG", "0", "1", "2", "3"]), Restart;
        /// Port of `/metrics`, `/startupz`, `/livez` and `/readyz`; 0 is none, or 5557 with type `PROM`.
        metrics_prom_exporter_port: u16, "metricsPromExporterPort", "0", Rule::Whole(0, 65_535), Restart;
        /// Address of that port; `bindAddress` when empty.
        metrics_prom_exporter_host: Arc<str>, "metricsPromExporterHost", "", Rule::Address, Restart;
        /// Labels added to every series.
        metrics_label: Arc<str>, "metricsLabel", "", Rule::Labels, Restart;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_default_keeps_its_rule_and_every_name_is_used_once() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            let derived = key.default.is_empty();
            assert!(derived || key.rule.accepts(key.default), "{}", key.name);
            assert!(!key.about.trim().is_empty(), "{}", key.name);
            for name in key.aliases.iter().chain([&key.name]) {
                assert!(seen.insert(*name), "{name} twice");
            }
        }
    }

    /// All of the program's source but this file.
    fn source(folder: &Path) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(folder).expect("the source is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                all += &source(&path);
            } else if !path.ends_with("config/settings.rs") {
                all += &std::fs::read_to_string(&path).expect("readable");
            }
        }
        all
    }

    #[test]
    fn every_setting_has_an_effect() {
        let source = source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words: BTreeSet<&str> = source.split(|c| !is_name(c)).collect();
        // Only shown, as its meaning says; and those that rmq-host takes by their names.
        let elsewhere = ["totalReplicas", "logLevel", "logFormat", "logStream"];
        for (field, name) in Settings::FIELDS {
            assert!(words.contains(field) || elsewhere.contains(name), "nothing looks at {name}");
        }
    }

    #[test]
    fn the_defaults_build_and_print_as_they_are_written() {
        let settings = Settings::build(|name| key(name).map_or("", |key| key.default)).unwrap();
        for key in KEYS {
            assert_eq!(settings.text(key.name).as_deref(), Some(key.default), "{}", key.name);
        }
    }
}
