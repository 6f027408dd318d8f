//! Keys of the reference implementation that are no setting here, and what a file that has them
//! is told.

/// What a key without meaning here calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// Tunes machinery that does not exist here: nothing is said.
    Tuning,
    /// Turns on something that is missing: a warning when it is on.
    Missing(&'static str),
    /// Turns on something that data or access depends on: the broker does not start with it.
    Refused(&'static str),
}

const MISSING: &[(&str, &str)] = &[
    ("enableLmq", "light queues are not available yet"),
    ("enableMultiDispatch", "light queues are not available yet"),
    ("enableConsumeQueueExt", "queue extension files are not written"),
    ("enableCalcFilterBitMap", "SQL92 filters are not available yet"),
    ("enableRemoteEscape", "replicas do not write to other brokers"),
    ("enablePopBatchAck", "POP consumption is not available yet"),
    ("enablePopBufferMerge", "POP consumption is not available yet"),
    ("enableRetryTopicV2", "POP consumption is not available yet"),
    ("popConsumerKVServiceEnable", "POP consumption is not available yet"),
    ("recallMessageEnable", "timer messages are not available yet"),
    ("disableConsumeIfConsumerReadSlowly", "slow readers are not cut off"),
    ("coldDataFlowControlEnable", "cold reads have their own threads instead"),
    ("fetchNamesrvAddrByAddressServer", "name servers come from namesrvAddr"),
    ("fetchNameSrvAddrByDnsLookup", "host names in namesrvAddr are looked up in any case"),
    ("enableSingleTopicRegister", "changed topics are registered with request 103"),
    ("compressedRegister", "registrations are sent uncompressed"),
    ("filterSupportRetry", "SQL92 filters are not available yet"),
    ("enableProxy", "the gRPC proxy is not available yet"),
];

const REFUSED: &[(&str, &str)] = &[
    ("enableControllerMode", "automatic failover is not available yet"),
    ("duplicationEnable", "use brokerRole=SLAVE for a replica"),
    ("enableDLegerCommitLog", "DLedger stores cannot be opened"),
    ("aclEnable", "access control is not available yet"),
    ("authenticationEnabled", "access control is not available yet"),
    ("authorizationEnabled", "access control is not available yet"),
    ("useTLS", "TLS is not available yet"),
    ("rocksdbCQDoubleWriteEnable", "RocksDB queue stores are not available"),
];

const TUNING: &[&str] = &[
    "accessMessageInMemoryHotRatio",
    "asyncLearner",
    "asyncSendEnable",
    "autoMessageVersionOnTopicLen",
    "bitMapLengthConsumeQueueExt",
    "brokerConfigPath",
    "brokerElectionPriority",
    "brokerFastFailureEnable",
    "brokerHeartbeatInterval",
    "brokerNotActiveTimeoutMillis",
    "checkCRCOnRecover",
    "checkSyncStateSetPeriod",
    "checkTransactionMessageEnable",
    "coldDataScanEnable",
    "commercialBaseCount",
    "commercialEnable",
    "commercialTimerCount",
    "commercialTransCount",
    "commitCommitLogLeastPages",
    "commitCommitLogThoroughInterval",
    "commitIntervalCommitLog",
    "compatibleWithOldNameSrv",
    "configManagerVersion",
    "consumerFallbehindThreshold",
    "consumerOffsetUpdateVersionStep",
    "controllerAddr",
    "controllerHeartBeatTimeoutMills",
    "dLegerGroup",
    "dLegerPeers",
    "dLegerSelfId",
    "dataReadAheadEnable",
    "debugLockEnable",
    "defaultPopShareQueueNum",
    "delayOffsetUpdateVersionStep",
    "deleteCommitLogFilesInterval",
    "deleteConsumeQueueFilesInterval",
    "destroyMapedFileIntervalForcibly",
    "disappearTimeAfterStart",
    "enableAcceleratedRecovery",
    "enableBroadcastOffsetStore",
    "enableBuildConsumeQueueConcurrently",
    "enableCompaction",
    "enableConnectionMetrics",
    "enableDetailStat",
    "enableLagAndDlqMetrics",
    "enableMessageStoreMetrics",
    "enablePopLog",
    "enablePopMessageThreshold",
    "enablePopMetrics",
    "enableRemotingMetrics",
    "enableRequestMetrics",
    "enableRunningFlagsInFlush",
    "enableScheduleAsyncDeliver",
    "enableScheduleMessageStats",
    "enableStatsMetrics",
    "enableTransactionMetrics",
    "expectConsumerNumUseFilter",
    "fastFailIfNoBufferInStorePool",
    "fetchControllerAddrByDnsLookup",
    "filterDataCleanTimeSpan",
    "filterServerNums",
    "flushCommitLogLeastPages",
    "flushCommitLogThoroughInterval",
    "flushCommitLogTimed",
    "flushConsumeQueueLeastPages",
    "flushConsumeQueueThoroughInterval",
    "flushIntervalConsumeQueue",
    "flushLeastPagesWhenWarmMapedFile",
    "forceVerifyPropCRC",
    "globalColdReadThreshold",
    "cgColdReadThreshold",
    "haFlowControlEnable",
    "haSlaveFallbehindMax",
    "highSpeedMode",
    "lockInStrictMode",
    "longPollingEnableInSlave",
    "mappedFileSizeConsumeQueueExt",
    "mappedFileSizeTimerLog",
    "mapperFileSizeBatchConsumeQueue",
    "maxDelayTime",
    "maxErrorRateOfBloomFilter",
    "maxHaTransferByteInSecond",
    "maxLmqConsumeQueueNum",
    "maxPopPollingSize",
    "maxRecoveryCommitlogFiles",
    "maxTopicLength",
    "messageIndexSafe",
    "messageStorePlugIn",
    "metricGrpcExporterIntervalInMills",
    "metricGrpcExporterTimeOutInMills",
    "metricLoggingExporterIntervalInMills",
    "metricsGrpcExporterHeader",
    "metricsGrpcExporterTarget",
    "metricsInDelta",
    "metricsOtelCardinalityLimit",
    "osPageCacheBusyTimeOutMills",
    "popCkStayBufferTime",
    "popCkStayBufferTimeOut",
    "popConsumerFSServiceInit",
    "popConsumerKVServiceInit",
    "popFromRetryProbability",
    "popInflightMessageThreshold",
    "popPollingMapSize",
    "popPollingSize",
    "preferredLeaderId",
    "putMessageTimeout",
    "putMsgIndexHightWater",
    "readOnlyCommitLogStorePaths",
    "readUnCommitted",
    "recheckReputOffsetFromCq",
    "recoverConcurrently",
    "redeleteHangedFileInterval",
    "rejectTransactionMessage",
    "replicasPerDiskPartition",
    "retrieveMessageFromPopRetryTopicV1",
    "reviveAckWaitMs",
    "reviveInterval",
    "reviveMaxSlow",
    "reviveScanTime",
    "rocketmqHome",
    "serverPooledByteBufAllocatorEnable",
    "serverSocketBacklog",
    "serverSocketRcvBufSize",
    "serverSocketSndBufSize",
    "shortPollingTimeMillsInSlave",
    "skipPreOnline",
    "storePathBrokerIdentity",
    "storePathDLedgerCommitLog",
    "storePathEpochFile",
    "subscriptionExpiredTimeout",
    "syncBrokerMemberGroupPeriod",
    "syncBrokerMetadataPeriod",
    "syncControllerMetadataPeriod",
    "syncFromLastFile",
    "syncMasterFlushOffsetWhenStartup",
    "timerFlushIntervalMs",
    "timerMaxDelaySec",
    "timerPrecisionMs",
    "timerRollWindowSlot",
    "timerWheelEnable",
    "topicQueueLockNum",
    "transactionCheckInterval",
    "transactionCheckMax",
    "transactionOpBatchInterval",
    "transactionOpMsgMaxSize",
    "transactionTimeOut",
    "transferMsgByHeap",
    "transientStorePoolEnable",
    "transientStorePoolSize",
    "useEpollNativeSelector",
    "useReentrantLockWhenPutMessage",
    "waitTimeMillsInHeartbeatQueue",
    "waitTimeMillsInPullQueue",
    "waitTimeMillsInSendQueue",
    "waitTimeMillsInTransactionQueue",
    "warmMapedFileEnable",
    "writeWithoutMmap",
    "zoneName",
    "zonePerm",
];

const TUNING_SUFFIXES: &[&str] = &[
    "ThreadPoolNums",
    "ThreadPoolQueueCapacity",
    "ThreadPoolNum",
    "ThreadNums",
    "ThreadPoolQueueSize",
    "SelectorThreads",
    "WorkerThreads",
    "CallbackExecutorThreads",
    "SemaphoreValue",
];

/// What is known about `name`; `None` for a key nobody knows.
pub fn other(name: &str) -> Option<Other> {
    let find = |table: &'static [(&str, &'static str)]| {
        table.iter().find_map(|(key, why)| (*key == name).then_some(*why))
    };
    if let Some(why) = find(REFUSED) {
        return Some(Other::Refused(why));
    }
    if let Some(why) = find(MISSING) {
        return Some(Other::Missing(why));
    }
    let tuning = TUNING.contains(&name) || TUNING_SUFFIXES.iter().any(|end| name.ends_with(end));
    tuning.then_some(Other::Tuning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::KEYS;

    #[test]
    fn keys_are_told_apart() {
        for (name, known) in [
            ("sendMessageThreadPoolNums", Some(Other::Tuning)),
            ("destroyMapedFileIntervalForcibly", Some(Other::Tuning)),
            (
                "enableControllerMode",
                Some(Other::Refused("automatic failover is not available yet")),
            ),
            ("enableLmq", Some(Other::Missing("light queues are not available yet"))),
            ("brokerNaem", None),
        ] {
            assert_eq!(other(name), known, "{name}");
        }
    }

    #[test]
    fn no_setting_is_also_refused_or_missing() {
        for key in KEYS {
            assert!(!MISSING.iter().chain(REFUSED).any(|(name, _)| *name == key.name));
        }
    }
}
