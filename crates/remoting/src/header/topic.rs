//! Topics, groups and what a tool asks about them: 17 to 353.

use crate::header::fields::headers;
use crate::text::ByteStr;

headers! {
    /// 17, 513.
    CreateTopic {
        /// Topic.
        topic: ByteStr = "topic",
        /// Template; without effect on the broker.
        default_topic: Option<ByteStr> = "defaultTopic",
        /// Queues that consumers see.
        read_queue_nums: i32 = "readQueueNums",
        /// Queues that producers see.
        write_queue_nums: i32 = "writeQueueNums",
        /// Permission bits.
        perm: i32 = "perm",
        /// `SINGLE_TAG` or `MULTI_TAG`; some clients leave it out.
        topic_filter_type: Option<ByteStr> = "topicFilterType",
        /// Unit bits.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// Order topic.
        order: bool = "order" or false,
        /// `+name=value,-name`.
        attributes: Option<ByteStr> = "attributes",
        /// Static topics: also when it is there.
        force: bool = "force" or false,
    }

    /// 215, 202, 300, 217, 105 without its switches: just a topic.
    OfTopic {
        /// Topic.
        topic: ByteStr = "topic",
    }

    /// 21.
    GetAllTopicConfig {
        /// First topic of the page.
        topic_seq: Option<i32> = "topicSeq",
        /// Version the caller has, JSON.
        data_version: Option<ByteStr> = "dataVersion",
        /// Topics of the page.
        max_topic_num: Option<i32> = "maxTopicNum",
    }

    /// Answer to 21.
    GetAllTopicConfigResponse {
        /// Topics in all.
        total_topic_num: Option<i32> = "totalTopicNum",
    }

    /// 351.
    GetTopicConfig {
        /// Topic.
        topic: ByteStr = "topic",
        /// `true`: with the mapping of a static topic.
        logical: Option<bool> = "lo",
    }

    /// 201.
    GetAllGroupConfig {
        /// First group of the page.
        group_seq: Option<i32> = "groupSeq",
        /// Version the caller has, JSON.
        data_version: Option<ByteStr> = "dataVersion",
        /// Groups of the page.
        max_group_num: Option<i32> = "maxGroupNum",
    }

    /// Answer to 201.
    GetAllGroupConfigResponse {
        /// Groups in all.
        total_group_num: Option<i32> = "totalGroupNum",
    }

    /// 352, 343: just a group.
    OfGroup {
        /// Group.
        group: ByteStr = "group",
    }

    /// 207.
    DeleteGroup {
        /// Group.
        group_name: ByteStr = "groupName",
        /// Its offsets too.
        clean_offset: bool = "cleanOffset" or false,
    }

    /// 353.
    GroupForbidden {
        /// Group.
        group: ByteStr = "group",
        /// Topic.
        topic: ByteStr = "topic",
        /// New state; absent: only ask.
        readable: Option<bool> = "readable",
    }

    /// 208.
    GetConsumeStats {
        /// Consumer group.
        consumer_group: ByteStr = "consumerGroup",
        /// Only this topic.
        topic: Option<ByteStr> = "topic",
        /// Only these, separated by `;`.
        topic_list: Option<ByteStr> = "topicList",
    }

    /// 317.
    GetBrokerConsumeStats {
        /// Order topics or the others.
        is_order: bool = "isOrder" or false,
    }

    /// 222.
    ResetOffset {
        /// Topic.
        topic: ByteStr = "topic",
        /// Consumer group.
        group: ByteStr = "group",
        /// Milliseconds; negative: the end.
        timestamp: i64 = "timestamp",
        /// Also forwards.
        is_force: bool = "isForce",
        /// Only this queue; -1 all.
        queue_id: i32 = "queueId" or -1,
        /// To this offset; -1 by time.
        offset: i64 = "offset" or -1,
    }

    /// 223.
    GetConsumerStatus {
        /// Topic.
        topic: ByteStr = "topic",
        /// Consumer group.
        group: ByteStr = "group",
        /// Only this client.
        client_addr: Option<ByteStr> = "clientAddr",
    }

    /// 345, 303: a topic and a group.
    OfTopicAndGroup {
        /// Topic.
        topic: ByteStr = "topic",
        /// Consumer group.
        group: ByteStr = "group",
    }

    /// 308.
    QueryCorrectionOffset {
        /// Groups, separated by commas.
        filter_groups: Option<ByteStr> = "filterGroups",
        /// Group to compare with.
        compare_group: ByteStr = "compareGroup",
        /// Topic.
        topic: Option<ByteStr> = "topic",
    }

    /// 314.
    CloneGroupOffset {
        /// From.
        src_group: ByteStr = "srcGroup",
        /// To.
        dest_group: ByteStr = "destGroup",
        /// Only this topic.
        topic: Option<ByteStr> = "topic",
        /// Also if the target is offline.
        offline: bool = "offline" or false,
    }

    /// 321.
    QueryConsumeQueue {
        /// Topic.
        topic: ByteStr = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// First entry.
        index: i64 = "index",
        /// Most entries.
        count: i32 = "count",
        /// Evaluate this group's filter.
        consumer_group: Option<ByteStr> = "consumerGroup",
    }
}
