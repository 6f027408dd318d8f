//! Pure resolution of a RocketMQCluster into processes.
