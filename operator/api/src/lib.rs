//! RocketMQCluster: the resource types and their rules.
