//! Request codes and response codes.
//!
//! Source: RocketMQ 5.x `RequestCode`, `ResponseCode`.

macro_rules! request_codes {
    ($($name:ident $lower:literal = $code:literal)*) => {
        /// Request codes.
        pub mod request {
            $(
                #[doc = concat!("`", $lower, "`")]
                pub const $name: i32 = $code;
            )*
        }

        /// Every known request code with its name in lower case.
        pub const REQUESTS: &[(i32, &str)] = &[$(($code, $lower)),*];

        /// Lower-case name, for logs and as a bounded metric label; `None` for unknown codes.
        pub fn request_name(code: i32) -> Option<&'static str> {
            match code {
                $($code => Some($lower),)*
                _ => None,
            }
        }
    };
}

macro_rules! response_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal)*) => {
        /// Response codes.
        pub mod response {
            $($(#[$doc])* pub const $name: i32 = $code;)*
        }

        /// Name as the reference implementation spells it; `None` for unknown codes.
        pub fn response_name(code: i32) -> Option<&'static str> {
            match code {
                $($code => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

request_codes! {
    SEND_MESSAGE "send_message" = 10
    PULL_MESSAGE "pull_message" = 11
    QUERY_MESSAGE "query_message" = 12
    QUERY_BROKER_OFFSET "query_broker_offset" = 13
    QUERY_CONSUMER_OFFSET "query_consumer_offset" = 14
    UPDATE_CONSUMER_OFFSET "update_consumer_offset" = 15
    UPDATE_AND_CREATE_TOPIC "update_and_create_topic" = 17
    UPDATE_AND_CREATE_TOPIC_LIST "update_and_create_topic_list" = 18
    GET_ALL_TOPIC_CONFIG "get_all_topic_config" = 21
    GET_TOPIC_CONFIG_LIST "get_topic_config_list" = 22
    GET_TOPIC_NAME_LIST "get_topic_name_list" = 23
    UPDATE_BROKER_CONFIG "update_broker_config" = 25
    GET_BROKER_CONFIG "get_broker_config" = 26
    TRIGGER_DELETE_FILES "trigger_delete_files" = 27
    GET_BROKER_RUNTIME_INFO "get_broker_runtime_info" = 28
    SEARCH_OFFSET_BY_TIMESTAMP "search_offset_by_timestamp" = 29
    GET_MAX_OFFSET "get_max_offset" = 30
    GET_MIN_OFFSET "get_min_offset" = 31
    GET_EARLIEST_MSG_STORETIME "get_earliest_msg_storetime" = 32
    VIEW_MESSAGE_BY_ID "view_message_by_id" = 33
    HEART_BEAT "heart_beat" = 34
    UNREGISTER_CLIENT "unregister_client" = 35
    CONSUMER_SEND_MSG_BACK "consumer_send_msg_back" = 36
    END_TRANSACTION "end_transaction" = 37
    GET_CONSUMER_LIST_BY_GROUP "get_consumer_list_by_group" = 38
    CHECK_TRANSACTION_STATE "check_transaction_state" = 39
    NOTIFY_CONSUMER_IDS_CHANGED "notify_consumer_ids_changed" = 40
    LOCK_BATCH_MQ "lock_batch_mq" = 41
    UNLOCK_BATCH_MQ "unlock_batch_mq" = 42
    GET_ALL_CONSUMER_OFFSET "get_all_consumer_offset" = 43
    GET_ALL_DELAY_OFFSET "get_all_delay_offset" = 45
    CHECK_CLIENT_CONFIG "check_client_config" = 46
    GET_CLIENT_CONFIG "get_client_config" = 47
    UPDATE_AND_CREATE_ACL_CONFIG "update_and_create_acl_config" = 50
    DELETE_ACL_CONFIG "delete_acl_config" = 51
    GET_BROKER_CLUSTER_ACL_INFO "get_broker_cluster_acl_info" = 52
    UPDATE_GLOBAL_WHITE_ADDRS_CONFIG "update_global_white_addrs_config" = 53
    GET_BROKER_CLUSTER_ACL_CONFIG "get_broker_cluster_acl_config" = 54
    GET_TIMER_CHECK_POINT "get_timer_check_point" = 60
    GET_TIMER_METRICS "get_timer_metrics" = 61
    PUT_KV_CONFIG "put_kv_config" = 100
    GET_KV_CONFIG "get_kv_config" = 101
    DELETE_KV_CONFIG "delete_kv_config" = 102
    REGISTER_BROKER "register_broker" = 103
    UNREGISTER_BROKER "unregister_broker" = 104
    GET_ROUTEINFO_BY_TOPIC "get_routeinfo_by_topic" = 105
    GET_BROKER_CLUSTER_INFO "get_broker_cluster_info" = 106
    UPDATE_AND_CREATE_SUBSCRIPTIONGROUP "update_and_create_subscriptiongroup" = 200
    GET_ALL_SUBSCRIPTIONGROUP_CONFIG "get_all_subscriptiongroup_config" = 201
    GET_TOPIC_STATS_INFO "get_topic_stats_info" = 202
    GET_CONSUMER_CONNECTION_LIST "get_consumer_connection_list" = 203
    GET_PRODUCER_CONNECTION_LIST "get_producer_connection_list" = 204
    WIPE_WRITE_PERM_OF_BROKER "wipe_write_perm_of_broker" = 205
    GET_ALL_TOPIC_LIST_FROM_NAMESERVER "get_all_topic_list_from_nameserver" = 206
    DELETE_SUBSCRIPTIONGROUP "delete_subscriptiongroup" = 207
    GET_CONSUME_STATS "get_consume_stats" = 208
    SUSPEND_CONSUMER "suspend_consumer" = 209
    RESUME_CONSUMER "resume_consumer" = 210
    RESET_CONSUMER_OFFSET_IN_CONSUMER "reset_consumer_offset_in_consumer" = 211
    RESET_CONSUMER_OFFSET_IN_BROKER "reset_consumer_offset_in_broker" = 212
    ADJUST_CONSUMER_THREAD_POOL "adjust_consumer_thread_pool" = 213
    WHO_CONSUME_THE_MESSAGE "who_consume_the_message" = 214
    DELETE_TOPIC_IN_BROKER "delete_topic_in_broker" = 215
    DELETE_TOPIC_IN_NAMESRV "delete_topic_in_namesrv" = 216
    REGISTER_TOPIC_IN_NAMESRV "register_topic_in_namesrv" = 217
    GET_KVLIST_BY_NAMESPACE "get_kvlist_by_namespace" = 219
    RESET_CONSUMER_CLIENT_OFFSET "reset_consumer_client_offset" = 220
    GET_CONSUMER_STATUS_FROM_CLIENT "get_consumer_status_from_client" = 221
    INVOKE_BROKER_TO_RESET_OFFSET "invoke_broker_to_reset_offset" = 222
    INVOKE_BROKER_TO_GET_CONSUMER_STATUS "invoke_broker_to_get_consumer_status" = 223
    GET_TOPICS_BY_CLUSTER "get_topics_by_cluster" = 224
    UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST "update_and_create_subscriptiongroup_list" = 225
    QUERY_TOPIC_CONSUME_BY_WHO "query_topic_consume_by_who" = 300
    REGISTER_FILTER_SERVER "register_filter_server" = 301
    REGISTER_MESSAGE_FILTER_CLASS "register_message_filter_class" = 302
    QUERY_CONSUME_TIME_SPAN "query_consume_time_span" = 303
    GET_SYSTEM_TOPIC_LIST_FROM_NS "get_system_topic_list_from_ns" = 304
    GET_SYSTEM_TOPIC_LIST_FROM_BROKER "get_system_topic_list_from_broker" = 305
    CLEAN_EXPIRED_CONSUMEQUEUE "clean_expired_consumequeue" = 306
    GET_CONSUMER_RUNNING_INFO "get_consumer_running_info" = 307
    QUERY_CORRECTION_OFFSET "query_correction_offset" = 308
    CONSUME_MESSAGE_DIRECTLY "consume_message_directly" = 309
    SEND_MESSAGE_V2 "send_message_v2" = 310
    GET_UNIT_TOPIC_LIST "get_unit_topic_list" = 311
    GET_HAS_UNIT_SUB_TOPIC_LIST "get_has_unit_sub_topic_list" = 312
    GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST "get_has_unit_sub_ununit_topic_list" = 313
    CLONE_GROUP_OFFSET "clone_group_offset" = 314
    VIEW_BROKER_STATS_DATA "view_broker_stats_data" = 315
    CLEAN_UNUSED_TOPIC "clean_unused_topic" = 316
    GET_BROKER_CONSUME_STATS "get_broker_consume_stats" = 317
    UPDATE_NAMESRV_CONFIG "update_namesrv_config" = 318
    GET_NAMESRV_CONFIG "get_namesrv_config" = 319
    SEND_BATCH_MESSAGE "send_batch_message" = 320
    QUERY_CONSUME_QUEUE "query_consume_queue" = 321
    QUERY_DATA_VERSION "query_data_version" = 322
    RESUME_CHECK_HALF_MESSAGE "resume_check_half_message" = 323
    SEND_REPLY_MESSAGE "send_reply_message" = 324
    SEND_REPLY_MESSAGE_V2 "send_reply_message_v2" = 325
    PUSH_REPLY_MESSAGE_TO_CLIENT "push_reply_message_to_client" = 326
    ADD_WRITE_PERM_OF_BROKER "add_write_perm_of_broker" = 327
    GET_ALL_PRODUCER_INFO "get_all_producer_info" = 328
    DELETE_EXPIRED_COMMITLOG "delete_expired_commitlog" = 329
    QUERY_TOPICS_BY_CONSUMER "query_topics_by_consumer" = 343
    QUERY_SUBSCRIPTION_BY_CONSUMER "query_subscription_by_consumer" = 345
    GET_TOPIC_CONFIG "get_topic_config" = 351
    GET_SUBSCRIPTIONGROUP_CONFIG "get_subscriptiongroup_config" = 352
    UPDATE_AND_GET_GROUP_FORBIDDEN "update_and_get_group_forbidden" = 353
    CHECK_ROCKSDB_CQ_WRITE_PROGRESS "check_rocksdb_cq_write_progress" = 354
    EXPORT_ROCKSDB_CONFIG_TO_JSON "export_rocksdb_config_to_json" = 355
    LITE_PULL_MESSAGE "lite_pull_message" = 361
    RECALL_MESSAGE "recall_message" = 370
    QUERY_ASSIGNMENT "query_assignment" = 400
    SET_MESSAGE_REQUEST_MODE "set_message_request_mode" = 401
    GET_ALL_MESSAGE_REQUEST_MODE "get_all_message_request_mode" = 402
    UPDATE_AND_CREATE_STATIC_TOPIC "update_and_create_static_topic" = 513
    GET_BROKER_MEMBER_GROUP "get_broker_member_group" = 901
    ADD_BROKER "add_broker" = 902
    REMOVE_BROKER "remove_broker" = 903
    BROKER_HEARTBEAT "broker_heartbeat" = 904
    NOTIFY_MIN_BROKER_ID_CHANGE "notify_min_broker_id_change" = 905
    EXCHANGE_BROKER_HA_INFO "exchange_broker_ha_info" = 906
    GET_BROKER_HA_STATUS "get_broker_ha_status" = 907
    RESET_MASTER_FLUSH_OFFSET "reset_master_flush_offset" = 908
    CONTROLLER_ALTER_SYNC_STATE_SET "controller_alter_sync_state_set" = 1001
    CONTROLLER_ELECT_MASTER "controller_elect_master" = 1002
    CONTROLLER_REGISTER_BROKER "controller_register_broker" = 1003
    CONTROLLER_GET_REPLICA_INFO "controller_get_replica_info" = 1004
    CONTROLLER_GET_METADATA_INFO "controller_get_metadata_info" = 1005
    CONTROLLER_GET_SYNC_STATE_DATA "controller_get_sync_state_data" = 1006
    GET_BROKER_EPOCH_CACHE "get_broker_epoch_cache" = 1007
    NOTIFY_BROKER_ROLE_CHANGED "notify_broker_role_changed" = 1008
    UPDATE_CONTROLLER_CONFIG "update_controller_config" = 1009
    GET_CONTROLLER_CONFIG "get_controller_config" = 1010
    CLEAN_BROKER_DATA "clean_broker_data" = 1011
    CONTROLLER_GET_NEXT_BROKER_ID "controller_get_next_broker_id" = 1012
    CONTROLLER_APPLY_BROKER_ID "controller_apply_broker_id" = 1013
    UPDATE_COLD_DATA_FLOW_CTR_CONFIG "update_cold_data_flow_ctr_config" = 2001
    REMOVE_COLD_DATA_FLOW_CTR_CONFIG "remove_cold_data_flow_ctr_config" = 2002
    GET_COLD_DATA_FLOW_CTR_INFO "get_cold_data_flow_ctr_info" = 2003
    SET_COMMITLOG_READ_MODE "set_commitlog_read_mode" = 2004
    AUTH_CREATE_USER "auth_create_user" = 3001
    AUTH_UPDATE_USER "auth_update_user" = 3002
    AUTH_DELETE_USER "auth_delete_user" = 3003
    AUTH_GET_USER "auth_get_user" = 3004
    AUTH_LIST_USER "auth_list_user" = 3005
    AUTH_CREATE_ACL "auth_create_acl" = 3006
    AUTH_UPDATE_ACL "auth_update_acl" = 3007
    AUTH_DELETE_ACL "auth_delete_acl" = 3008
    AUTH_GET_ACL "auth_get_acl" = 3009
    AUTH_LIST_ACL "auth_list_acl" = 3010
    POP_MESSAGE "pop_message" = 200050
    ACK_MESSAGE "ack_message" = 200051
    PEEK_MESSAGE "peek_message" = 200052
    CHANGE_MESSAGE_INVISIBLETIME "change_message_invisibletime" = 200053
    NOTIFICATION "notification" = 200054
    POLLING_INFO "polling_info" = 200055
    POP_ROLLBACK "pop_rollback" = 200056
    BATCH_ACK_MESSAGE "batch_ack_message" = 200151
}

response_codes! {
    /// Done.
    SUCCESS = 0
    /// Any internal failure; Java producers try another queue.
    SYSTEM_ERROR = 1
    /// Flow control; producers try another queue.
    SYSTEM_BUSY = 2
    /// Unknown request code.
    REQUEST_CODE_NOT_SUPPORTED = 3
    /// Unused by this project.
    TRANSACTION_FAILED = 4
    /// Stored; the disk has not confirmed in time.
    FLUSH_DISK_TIMEOUT = 10
    /// Stored; no replica in reach.
    SLAVE_NOT_AVAILABLE = 11
    /// Stored; the replica has not confirmed in time.
    FLUSH_SLAVE_TIMEOUT = 12
    /// Body, properties or delay break a rule.
    MESSAGE_ILLEGAL = 13
    /// The store takes no writes.
    SERVICE_NOT_AVAILABLE = 14
    /// Unused by this project.
    VERSION_NOT_SUPPORTED = 15
    /// Permission bits, access control or a blacklist.
    NO_PERMISSION = 16
    /// No such topic.
    TOPIC_NOT_EXIST = 17
    /// Unused by this project.
    TOPIC_EXIST_ALREADY = 18
    /// Nothing new.
    PULL_NOT_FOUND = 19
    /// Nothing matched; pull again from the next offset.
    PULL_RETRY_IMMEDIATELY = 20
    /// The offset is out of range.
    PULL_OFFSET_MOVED = 21
    /// No hit.
    QUERY_NOT_FOUND = 22
    /// The filter expression is wrong.
    SUBSCRIPTION_PARSE_FAILED = 23
    /// The group has no subscription for the topic.
    SUBSCRIPTION_NOT_EXIST = 24
    /// The consumer knows a newer subscription.
    SUBSCRIPTION_NOT_LATEST = 25
    /// No such group.
    SUBSCRIPTION_GROUP_NOT_EXIST = 26
    /// The SQL92 filter is not compiled.
    FILTER_DATA_NOT_EXIST = 27
    /// The compiled SQL92 filter is older.
    FILTER_DATA_NOT_LATEST = 28
    /// A header field is out of range.
    INVALID_PARAMETER = 29
    /// Unused by this project.
    NO_BUYER_ID = 204
    /// Unused by this project.
    NOT_IN_CURRENT_UNIT = 205
    /// The group has no connected member.
    CONSUMER_NOT_ONLINE = 206
    /// The client did not answer in time.
    CONSUME_MSG_TIMEOUT = 207
    /// The offset to acknowledge is out of range.
    NO_MESSAGE = 208
    /// Too many parked requests.
    POLLING_FULL = 209
    /// Nothing came while the request was parked.
    POLLING_TIMEOUT = 210
    /// No such broker.
    BROKER_NOT_EXIST = 211
    /// Queues and index lag behind the log.
    BROKER_DISPATCH_NOT_COMPLETE = 212
    /// Not for broadcasting groups.
    BROADCAST_CONSUMPTION = 213
    /// Flow control of pulls.
    FLOW_CONTROL = 215
    /// Another broker leads the logical queue.
    NOT_LEADER_FOR_QUEUE = 501
    /// Too late, or not for this message.
    ILLEGAL_OPERATION = 604
    /// Shutting down; reconnect elsewhere.
    GO_AWAY = 1500
    /// Controller.
    CONTROLLER_FENCED_MASTER_EPOCH = 2000
    /// Controller.
    CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH = 2001
    /// Controller.
    CONTROLLER_INVALID_MASTER = 2002
    /// Controller.
    CONTROLLER_INVALID_REPLICAS = 2003
    /// Controller.
    CONTROLLER_MASTER_NOT_AVAILABLE = 2004
    /// Controller.
    CONTROLLER_INVALID_REQUEST = 2005
    /// Controller.
    CONTROLLER_BROKER_NOT_ALIVE = 2006
    /// Controller.
    CONTROLLER_NOT_LEADER = 2007
    /// Controller.
    CONTROLLER_BROKER_METADATA_NOT_EXIST = 2008
    /// Controller.
    CONTROLLER_INVALID_CLEAN_BROKER_METADATA = 2009
    /// Controller.
    CONTROLLER_BROKER_NEED_TO_BE_REGISTERED = 2010
    /// Controller.
    CONTROLLER_MASTER_STILL_EXIST = 2011
    /// Controller.
    CONTROLLER_ELECT_MASTER_FAILED = 2012
    /// Controller.
    CONTROLLER_ALTER_SYNC_STATE_SET_FAILED = 2013
    /// Controller.
    CONTROLLER_BROKER_ID_INVALID = 2014
    /// No such user.
    USER_NOT_EXIST = 3001
    /// No such policy.
    POLICY_NOT_EXIST = 3002
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_name() {
        for pair in REQUESTS.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{pair:?}");
        }
        for (code, name) in REQUESTS {
            assert_eq!(request_name(*code), Some(*name));
        }
        assert_eq!(request_name(-1), None);
        assert_eq!(request_name(request::SEND_MESSAGE_V2), Some("send_message_v2"));
        assert_eq!(response_name(response::TOPIC_NOT_EXIST), Some("TOPIC_NOT_EXIST"));
        assert_eq!(response_name(5), None);
    }
}
