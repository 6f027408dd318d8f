import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.apache.rocketmq.remoting.protocol.admin.TopicOffset;
import org.apache.rocketmq.remoting.protocol.admin.TopicStatsTable;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.body.Connection;
import org.apache.rocketmq.remoting.protocol.body.ConsumeMessageDirectlyResult;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerRunningInfo;
import org.apache.rocketmq.remoting.protocol.body.QueryConsumeQueueResponseBody;
import org.apache.rocketmq.remoting.protocol.body.ProducerConnection;
import org.apache.rocketmq.remoting.protocol.heartbeat.SubscriptionData;
import org.apache.rocketmq.remoting.protocol.route.QueueData;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What the admin tool's library reads and changes. */
final class AdminCases {
    private AdminCases() {
    }

    static void register(Cases cases) {
        cases.add("admin.topic", AdminCases::topic);
        cases.add("admin.topicNames", AdminCases::topicNames);
        cases.add("admin.topicLists", AdminCases::topicLists);
        cases.add("admin.topicStats", AdminCases::topicStats);
        cases.add("admin.group", AdminCases::group);
        cases.add("admin.connections", AdminCases::connections);
        cases.add("admin.progress", AdminCases::progress);
        cases.add("admin.offsets", AdminCases::offsets);
        cases.add("admin.boundaries", AdminCases::boundaries);
        cases.add("admin.direct", AdminCases::direct);
        cases.add("admin.cluster", AdminCases::cluster);
        cases.add("admin.config", AdminCases::config);
        cases.add("admin.kv", AdminCases::kv);
        cases.add("admin.consumeQueue", AdminCases::consumeQueue);
        cases.add("admin.forbidden", AdminCases::forbidden);
        cases.add("admin.consumeDisabled", AdminCases::consumeDisabled);
        cases.add("admin.deleteWhileUsed", AdminCases::deleteWhileUsed);
        cases.add("admin.track", AdminCases::track);
        cases.add("admin.stats", AdminCases::stats);
        cases.add("admin.clean", AdminCases::clean);
    }

    private static String queueData(TopicRouteData route) {
        StringBuilder out = new StringBuilder();
        for (QueueData data : route.getQueueDatas()) {
            out.append(data.getBrokerName()).append(":r").append(data.getReadQueueNums()).append(":w").append(data.getWriteQueueNums())
                .append(":p").append(data.getPerm()).append(":f").append(data.getTopicSysFlag()).append(';');
        }
        return out.toString();
    }

    private static void awaitQueues(String topic, int read, int write, int perm) throws Exception {
        Case.await(10000, () -> {
            try {
                QueueData data = Env.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0);
                return data.getReadQueueNums() == read && data.getWriteQueueNums() == write && data.getPerm() == perm;
            } catch (Exception error) {
                return false;
            }
        });
    }

    private static void topic(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = c.unique("t");
        c.outcome("unknown", () -> admin.examineTopicRouteInfo(topic).getQueueDatas().size());
        c.outcome("unknownConfig", () -> admin.examineTopicConfig(Env.broker, topic).getPerm());
        admin.createAndUpdateTopicConfig(Env.broker, new TopicConfig(topic, 3, 2, 6));
        awaitQueues(topic, 3, 2, 6);
        TopicRouteData route = admin.examineTopicRouteInfo(topic);
        c.fact("created", "queues", queueData(route), "brokers", route.getBrokerDatas().size(),
            "cluster", route.getBrokerDatas().get(0).getCluster(), "addrs", Text.sorted(route.getBrokerDatas().get(0).getBrokerAddrs()),
            "order", route.getOrderTopicConf() == null ? "null" : route.getOrderTopicConf());
        TopicConfig config = admin.examineTopicConfig(Env.broker, topic);
        c.fact("config", "read", config.getReadQueueNums(), "write", config.getWriteQueueNums(), "perm", config.getPerm(),
            "filter", config.getTopicFilterType(), "order", config.isOrder(), "flag", config.getTopicSysFlag(), "attributes", Text.sorted(config.getAttributes()));
        admin.createAndUpdateTopicConfig(Env.broker, new TopicConfig(topic, 4, 4, 4));
        awaitQueues(topic, 4, 4, 4);
        c.fact("changed", "queues", queueData(admin.examineTopicRouteInfo(topic)));
        TopicConfig typed = new TopicConfig(c.unique("typed"), 1, 1, 6);
        typed.setAttributes(new TreeMap<String, String>(Collections.singletonMap("+message.type", "FIFO")));
        c.outcome("typed", () -> {
            admin.createAndUpdateTopicConfig(Env.broker, typed);
            return Text.sorted(admin.examineTopicConfig(Env.broker, typed.getTopicName()).getAttributes());
        });
        TopicConfig wrong = new TopicConfig(c.unique("wrong"), 1, 1, 6);
        wrong.setAttributes(new TreeMap<String, String>(Collections.singletonMap("+no.such.key", "x")));
        c.outcome("wrongAttribute", () -> {
            admin.createAndUpdateTopicConfig(Env.broker, wrong);
            return "made";
        });
        c.outcome("permZero", () -> make(c.unique("zero"), 1, 1, 0));
        c.outcome("queuesZero", () -> make(c.unique("none"), 0, 0, 6));
        admin.deleteTopicInBroker(new HashSet<String>(Collections.singleton(Env.broker)), topic);
        c.outcome("deletedInBroker", () -> admin.examineTopicConfig(Env.broker, topic).getPerm());
        admin.deleteTopicInNameServer(new HashSet<String>(Collections.singleton(Env.namesrv)), Env.cluster, topic);
        c.outcome("deletedRoute", () -> admin.examineTopicRouteInfo(topic).getQueueDatas().size());
        c.outcome("deleteUnknown", () -> {
            admin.deleteTopicInBroker(new HashSet<String>(Collections.singleton(Env.broker)), c.unique("unknown"));
            return "fine";
        });
    }

    private static String make(String name, int read, int write, int perm) throws Exception {
        Env.admin().createAndUpdateTopicConfig(Env.broker, new TopicConfig(name, read, write, perm));
        return "made";
    }

    private static void topicNames(Case c) throws Exception {
        String[] names = {"", "a b", "dot.ted", "\u00fcml", SendCases.repeat('x', 127), SendCases.repeat('y', 128), "TBW102", "SCHEDULE_TOPIC_XXXX",
            "RMQ_SYS_TRANS_HALF_TOPIC", "rmq_sys_mine", "%RETRY%" + c.unique("g"), "%DLQ%" + c.unique("g"), "ns%" + c.unique("t"), "a|b-c_" + c.unique("t"), "DefaultCluster"};
        for (int i = 0; i < names.length; i++) {
            String name = names[i];
            c.outcome("create" + i, () -> make(name, 1, 1, 6));
        }
        String[] kept = {"TBW102", "DefaultCluster", "broker-a", "BenchmarkTest", "OFFSET_MOVED_EVENT"};
        for (String name : kept) {
            c.outcome("builtin." + name, () -> {
                TopicConfig config = Env.admin().examineTopicConfig(Env.broker, name);
                return config.getReadQueueNums() + "/" + config.getWriteQueueNums() + "/" + config.getPerm();
            });
        }
        c.outcome("deleteSystem", () -> {
            Env.admin().deleteTopicInBroker(new HashSet<String>(Collections.singleton(Env.broker)), "TBW102");
            return "deleted";
        });
    }

    private static void topicLists(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQAdminExt admin = Env.admin();
        c.fact("all", "has", admin.fetchAllTopicList().getTopicList().contains(topic), "system",
            admin.fetchAllTopicList().getTopicList().containsAll(Arrays.asList("TBW102", "SCHEDULE_TOPIC_XXXX", "DefaultCluster", "broker-a")));
        c.fact("cluster", "has", admin.fetchTopicsByCLuster("DefaultCluster").getTopicList().contains(topic), "other", admin.fetchTopicsByCLuster("nowhere").getTopicList().size());
        c.fact("clusters", "of", Text.sorted(admin.getTopicClusterList(topic)));
        c.outcome("clusterOfUnknown", () -> Text.sorted(admin.getTopicClusterList(c.unique("unknown"))));
        c.fact("allConfigs", "has", admin.getAllTopicConfig(Env.broker, 5000).getTopicConfigTable().containsKey(topic));
        TreeSet<String> builtin = new TreeSet<String>();
        for (String name : admin.getAllTopicConfig(Env.broker, 5000).getTopicConfigTable().keySet()) {
            if (!name.contains("it_") && !name.startsWith("cpp_") && !name.startsWith("go_") && !name.startsWith("%") && !name.startsWith("xxx")) {
                builtin.add(name);
            }
        }
        c.fact("builtin", "topics", Text.list(builtin));
        c.fact("userConfigs", "has", admin.getUserTopicConfig(Env.broker, false, 5000).getTopicConfigTable().containsKey(topic),
            "system", admin.getUserTopicConfig(Env.broker, false, 5000).getTopicConfigTable().containsKey("TBW102"));
    }

    private static void topicStats(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        DefaultMQAdminExt admin = Env.admin();
        Env.fill(Env.producer(c), topic, 1, 3, "m");
        TopicStatsTable table = admin.examineTopicStats(topic);
        TreeMap<MessageQueue, TopicOffset> sorted = new TreeMap<MessageQueue, TopicOffset>(table.getOffsetTable());
        for (Map.Entry<MessageQueue, TopicOffset> entry : sorted.entrySet()) {
            c.fact("queue" + entry.getKey().getQueueId(), "min", entry.getValue().getMinOffset(), "max", entry.getValue().getMaxOffset(),
                "updated", entry.getValue().getLastUpdateTimestamp() > 0);
        }
        c.outcome("unknown", () -> admin.examineTopicStats(c.unique("unknown")).getOffsetTable().size());
        c.outcome("unknownAtBroker", () -> admin.examineTopicStats(Env.broker, c.unique("unknown")).getOffsetTable().size());
    }

    private static void group(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String group = c.unique("g");
        c.outcome("unknown", () -> String.valueOf(admin.examineSubscriptionGroupConfig(Env.broker, group)));
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setRetryMaxTimes(3);
        config.setRetryQueueNums(2);
        config.setConsumeBroadcastEnable(false);
        admin.createAndUpdateSubscriptionGroupConfig(Env.broker, config);
        SubscriptionGroupConfig read = admin.examineSubscriptionGroupConfig(Env.broker, group);
        c.fact("created", "retry", read.getRetryMaxTimes(), "queues", read.getRetryQueueNums(), "enable", read.isConsumeEnable(), "fromMin", read.isConsumeFromMinEnable(),
            "broadcast", read.isConsumeBroadcastEnable(), "orderly", read.isConsumeMessageOrderly(), "broker", read.getBrokerId(), "which", read.getWhichBrokerWhenConsumeSlowly(),
            "notify", read.isNotifyConsumerIdsChangedEnable(), "timeout", read.getConsumeTimeoutMinute(), "flag", read.getGroupSysFlag(), "attributes", Text.sorted(read.getAttributes()));
        config.setRetryMaxTimes(5);
        config.setConsumeEnable(false);
        admin.createAndUpdateSubscriptionGroupConfig(Env.broker, config);
        read = admin.examineSubscriptionGroupConfig(Env.broker, group);
        c.fact("changed", "retry", read.getRetryMaxTimes(), "enable", read.isConsumeEnable());
        c.fact("all", "has", admin.getAllSubscriptionGroup(Env.broker, 5000).getSubscriptionGroupTable().containsKey(group),
            "user", admin.getUserSubscriptionGroup(Env.broker, 5000).getSubscriptionGroupTable().containsKey(group),
            "builtin", admin.getAllSubscriptionGroup(Env.broker, 5000).getSubscriptionGroupTable().keySet().containsAll(Arrays.asList("TOOLS_CONSUMER", "SELF_TEST_C_GROUP", "CID_RMQ_SYS_TRANS")));
        TreeSet<String> builtin = new TreeSet<String>();
        for (String name : admin.getAllSubscriptionGroup(Env.broker, 5000).getSubscriptionGroupTable().keySet()) {
            if (!name.contains("it_") && !name.startsWith("cpp_") && !name.startsWith("go_") && !name.contains("-")) {
                builtin.add(name);
            }
        }
        c.fact("builtin", "groups", Text.list(builtin));
        String[] bad = {"", "a b", SendCases.repeat('g', 121), SendCases.repeat('h', 256)};
        for (int i = 0; i < bad.length; i++) {
            SubscriptionGroupConfig wrong = new SubscriptionGroupConfig();
            wrong.setGroupName(bad[i]);
            c.outcome("bad" + i, () -> {
                admin.createAndUpdateSubscriptionGroupConfig(Env.broker, wrong);
                return "made";
            });
        }
        admin.deleteSubscriptionGroup(Env.broker, group, true);
        c.fact("deleted", "has", admin.getAllSubscriptionGroup(Env.broker, 5000).getSubscriptionGroupTable().containsKey(group));
        c.outcome("deleteUnknown", () -> {
            admin.deleteSubscriptionGroup(Env.broker, c.unique("unknown"), true);
            return "fine";
        });
    }

    private static void connections(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 2);
        String group = c.unique("cg");
        String producers = c.unique("pg");
        c.outcome("offline", () -> admin.examineConsumerConnectionInfo(group, Env.broker).getConnectionSet().size());
        c.outcome("noProducer", () -> admin.examineProducerConnectionInfo(producers, topic).getConnectionSet().size());
        DefaultMQProducer producer = Env.producer(c, producers);
        producer.send(Env.message(topic, "A", "m"));
        DefaultMQPushConsumer consumer = Env.consumer(c, group);
        consumer.subscribe(topic, "A || B");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        Case.await(20000, () -> {
            try {
                return admin.examineConsumerConnectionInfo(group, Env.broker).getSubscriptionTable().size() == 2;
            } catch (Exception error) {
                return false;
            }
        });
        ConsumerConnection connection = admin.examineConsumerConnectionInfo(group, Env.broker);
        c.fact("consumer", "type", connection.getConsumeType(), "model", connection.getMessageModel(), "where", connection.getConsumeFromWhere(), "count", connection.getConnectionSet().size());
        for (SubscriptionData data : new TreeMap<String, SubscriptionData>(connection.getSubscriptionTable()).values()) {
            c.fact("subscription." + (data.getTopic().startsWith("%") ? "retry" : "topic"), "expression", data.getSubString(), "type", data.getExpressionType(),
                "tags", Text.sorted(data.getTagsSet()), "codes", Text.sorted(data.getCodeSet()), "class", data.isClassFilterMode());
        }
        for (Connection one : connection.getConnectionSet()) {
            c.fact("client", "language", one.getLanguage(), "version", one.getVersion() > 0, "addr", one.getClientAddr().startsWith("127.0.0.1:"),
                "id", one.getClientId().contains(c.name));
        }
        Case.await(15000, () -> {
            try {
                return admin.examineProducerConnectionInfo(producers, topic).getConnectionSet().size() == 1;
            } catch (Exception error) {
                return false;
            }
        });
        ProducerConnection made = admin.examineProducerConnectionInfo(producers, topic);
        for (Connection one : made.getConnectionSet()) {
            c.fact("producer", "language", one.getLanguage(), "id", one.getClientId().contains(c.name));
        }
        c.fact("producers", "has", admin.getAllProducerInfo(Env.broker).getData().containsKey(producers));
        ConsumerRunningInfo info = admin.getConsumerRunningInfo(group, consumer.buildMQClientId(), true);
        c.fact("running", "subscriptions", info.getSubscriptionSet().size(), "stack", info.getJstack() != null, "group", info.getProperties().containsKey("consumerGroup") || info.getProperties().size() > 10);
        c.outcome("runningUnknown", () -> admin.getConsumerRunningInfo(group, "nobody@1", false).getMqTable().size());
        sink.await(20000, 1);
        c.fact("whoConsumes", "group", Case.await(10000, () -> admin.queryTopicConsumeByWho(topic).getGroupList().contains(group)));
        c.fact("subscribed", "expression", admin.querySubscription(group, topic).getSubString());
        c.outcome("status", () -> {
            Map<String, Map<MessageQueue, Long>> table = admin.getConsumeStatus(topic, group, "");
            return table.size();
        });
    }

    private static void progress(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 2);
        String group = c.unique("cg");
        c.outcome("unknown", () -> admin.examineConsumeStats(group).getOffsetTable().size());
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 2, 10, "m");
        DefaultMQPushConsumer consumer = Env.consumer(c, group);
        consumer.subscribe(topic, "*");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        sink.await(30000, 10);
        Case.await(10000, () -> admin.examineConsumeStats(group, topic).computeTotalDiff() == 0);
        fact(c, "read", admin.examineConsumeStats(group, topic));
        consumer.shutdown();
        Env.fill(producer, topic, 2, 6, "n");
        fact(c, "behind", admin.examineConsumeStats(group, topic));
        ConsumeStats all = admin.examineConsumeStats(group);
        c.fact("allTopics", "queues", all.getOffsetTable().size(), "diff", all.computeTotalDiff());
        c.fact("spans", "count", admin.queryConsumeTimeSpan(topic, group).size());
        c.outcome("spansUnknownTopic", () -> admin.queryConsumeTimeSpan(c.unique("unknown"), group).size());
        c.outcome("topicsOfGroup", () -> Text.sorted(admin.queryTopicsByConsumer(group).getTopicList()));
        c.fact("broker", "has", admin.fetchConsumeStatsInBroker(Env.broker, false, 5000).getConsumeStatsList().toString().contains(group));
    }

    private static void fact(Case c, String step, ConsumeStats stats) {
        TreeMap<MessageQueue, OffsetWrapper> sorted = new TreeMap<MessageQueue, OffsetWrapper>(stats.getOffsetTable());
        StringBuilder out = new StringBuilder();
        for (Map.Entry<MessageQueue, OffsetWrapper> entry : sorted.entrySet()) {
            out.append(entry.getKey().getQueueId()).append(':').append(entry.getValue().getConsumerOffset()).append('/').append(entry.getValue().getBrokerOffset())
                .append(entry.getValue().getLastTimestamp() > 0 ? "t;" : ";");
        }
        c.fact(step, "queues", out, "diff", stats.computeTotalDiff());
    }

    private static void offsets(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 2);
        Env.fill(Env.producer(c), topic, 2, 20, "m");
        String group = c.unique("cg");
        String copy = c.unique("copy");
        for (String name : new String[] {group, copy}) {
            SubscriptionGroupConfig config = new SubscriptionGroupConfig();
            config.setGroupName(name);
            admin.createAndUpdateSubscriptionGroupConfig(Env.broker, config);
        }
        admin.updateConsumeOffset(Env.broker, group, Env.queue(topic, 0), 4);
        admin.updateConsumeOffset(Env.broker, group, Env.queue(topic, 1), 7);
        fact(c, "set", admin.examineConsumeStats(group, topic));
        c.outcome("queueBeyond", () -> {
            admin.updateConsumeOffset(Env.broker, group, Env.queue(topic, 9), 1);
            return "stored";
        });
        c.outcome("beyondEnd", () -> {
            admin.updateConsumeOffset(Env.broker, copy, Env.queue(topic, 0), 1000);
            return "stored";
        });
        c.outcome("unknownTopic", () -> {
            admin.updateConsumeOffset(Env.broker, group, Env.queue(c.unique("unknown"), 0), 1);
            return "stored";
        });
        c.outcome("toStart", () -> Text.sorted(byQueue(admin.resetOffsetByTimestamp(topic, group, 0, true))));
        fact(c, "atStart", admin.examineConsumeStats(group, topic));
        c.outcome("toEnd", () -> Text.sorted(byQueue(admin.resetOffsetByTimestamp(topic, group, -1, true))));
        fact(c, "atEnd", admin.examineConsumeStats(group, topic));
        c.outcome("oneQueue", () -> {
            admin.resetOffsetByQueueId(Env.broker, group, topic, 1, 3);
            return "reset";
        });
        fact(c, "oneMoved", admin.examineConsumeStats(group, topic));
        c.outcome("oneQueueBeyond", () -> {
            admin.resetOffsetByQueueId(Env.broker, group, topic, 1, 3000);
            return "reset";
        });
        c.outcome("old", () -> admin.resetOffsetByTimestampOld(group, topic, 0, true).size());
        c.outcome("unknownGroup", () -> admin.resetOffsetByTimestamp(topic, c.unique("unknown"), 0, true).size());
    }

    private static Map<Integer, Long> byQueue(Map<MessageQueue, Long> table) {
        Map<Integer, Long> out = new TreeMap<Integer, Long>();
        for (Map.Entry<MessageQueue, Long> entry : table.entrySet()) {
            out.put(entry.getKey().getQueueId(), entry.getValue());
        }
        return out;
    }

    private static void boundaries(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        // A batch gives several messages one store time.
        List<Message> batch = new ArrayList<Message>();
        for (int i = 0; i < 4; i++) {
            batch.add(Env.message(topic, "A", "b" + i));
        }
        Env.fill(producer, topic, 1, 1, "m");
        Thread.sleep(50);
        SendResult result = producer.send(batch, Env.queue(topic, 0));
        Thread.sleep(50);
        Env.fill(producer, topic, 1, 1, "n");
        MessageQueue queue = Env.queue(topic, 0);
        long at = admin.viewMessage(topic, result.getOffsetMsgId().split(",")[0]).getStoreTimestamp();
        c.fact("lower", "at", admin.searchLowerBoundaryOffset(queue, at), "before", admin.searchLowerBoundaryOffset(queue, at - 1), "after", admin.searchLowerBoundaryOffset(queue, at + 1));
        c.fact("upper", "at", admin.searchUpperBoundaryOffset(queue, at), "before", admin.searchUpperBoundaryOffset(queue, at - 1), "after", admin.searchUpperBoundaryOffset(queue, at + 1));
        c.fact("outside", "lowerFuture", admin.searchLowerBoundaryOffset(queue, at + 1000000), "upperFuture", admin.searchUpperBoundaryOffset(queue, at + 1000000),
            "lowerPast", admin.searchLowerBoundaryOffset(queue, at - 1000000), "upperPast", admin.searchUpperBoundaryOffset(queue, at - 1000000));
    }

    private static void direct(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 1);
        String group = c.unique("cg");
        DefaultMQProducer producer = Env.producer(c);
        DefaultMQPushConsumer consumer = Env.consumer(c, group);
        consumer.subscribe(topic, "*");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        SendResult result = producer.send(Env.message(topic, "A", "m"));
        sink.await(30000, 1);
        ConsumeMessageDirectlyResult again = admin.consumeMessageDirectly(group, consumer.buildMQClientId(), topic, result.getOffsetMsgId());
        c.fact("again", "result", again.getConsumeResult(), "order", again.isOrder(), "commit", again.isAutoCommit(), "count", sink.got.size());
        c.outcome("nobody", () -> admin.consumeMessageDirectly(group, "nobody@1", topic, result.getOffsetMsgId()).getConsumeResult());
    }

    private static void cluster(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        ClusterInfo info = admin.examineBrokerClusterInfo();
        c.fact("info", "clusters", Text.sorted(info.getClusterAddrTable()), "brokers", Text.sorted(info.getBrokerAddrTable().keySet()),
            "addrs", Text.sorted(info.getBrokerAddrTable().get("broker-a").getBrokerAddrs()));
        TreeMap<String, String> table = new TreeMap<String, String>(admin.fetchBrokerRuntimeStats(Env.broker).getTable());
        TreeSet<String> keys = new TreeSet<String>();
        for (String key : table.keySet()) {
            if (key.startsWith("scheduleMessageOffset_")) {
                continue; // one for each delay level that was used so far
            }
            keys.add(key.startsWith("commitLogDiskRatio_") ? "commitLogDiskRatio_<path>" : key.startsWith("consumeQueueDiskRatio") ? "consumeQueueDiskRatio" : key);
        }
        for (String key : keys) {
            c.fact("runtime." + key, "present", true);
        }
        c.fact("runtimeValues", "active", table.get("brokerActive"), "tps", table.get("putTps") != null && table.get("putTps").matches("[0-9. ]+"),
            "ratio", table.get("commitLogDiskRatio") != null && table.get("commitLogDiskRatio").startsWith("0."));
        c.fact("wipe", "topics", admin.wipeWritePermOfBroker(Env.namesrv, "nobody"));
        c.fact("add", "topics", admin.addWritePermOfBroker(Env.namesrv, "nobody"));
        c.fact("namesrvConfig", "listenPort", admin.getNameServerConfig(Collections.singletonList(Env.namesrv)).get(Env.namesrv).containsKey("listenPort"));
        c.outcome("ha", () -> admin.getBrokerHAStatus(Env.broker).isMaster());
        c.outcome("epochs", () -> admin.getBrokerEpochCache(Env.broker).getEpochList().size());
    }

    private static void config(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        Properties config = admin.getBrokerConfig(Env.broker);
        String[] keys = {"brokerName", "brokerClusterName", "brokerId", "brokerRole", "flushDiskType", "autoCreateTopicEnable", "autoCreateSubscriptionGroup", "defaultTopicQueueNums",
            "maxMessageSize", "brokerPermission", "messageDelayLevel", "fileReservedTime", "deleteWhen", "mappedFileSizeConsumeQueue", "slaveReadEnable", "longPollingEnable",
            "maxTransferCountOnMessageInMemory", "enablePropertyFilter", "traceTopicEnable", "regionId", "diskMaxUsedSpaceRatio", "messageIndexEnable", "transactionCheckInterval",
            "transactionTimeOut", "transactionCheckMax", "haSendHeartbeatInterval", "timerWheelEnable", "listenPort", "osPageCacheBusyTimeOutMills"};
        for (String key : keys) {
            c.fact("key." + key, "value", config.getProperty(key) == null ? "null" : key.equals("listenPort") ? "set" : config.getProperty(key));
        }
        c.outcome("change", () -> {
            Properties change = new Properties();
            change.setProperty("maxTransferCountOnMessageInMemory", "31");
            admin.updateBrokerConfig(Env.broker, change);
            String read = admin.getBrokerConfig(Env.broker).getProperty("maxTransferCountOnMessageInMemory");
            change.setProperty("maxTransferCountOnMessageInMemory", "32");
            admin.updateBrokerConfig(Env.broker, change);
            return read;
        });
        c.outcome("blacklisted", () -> {
            Properties change = new Properties();
            change.setProperty("brokerConfigPath", "/nowhere");
            admin.updateBrokerConfig(Env.broker, change);
            return "accepted";
        });
        c.outcome("unknownKey", () -> {
            Properties change = new Properties();
            change.setProperty("noSuchKey", "1");
            admin.updateBrokerConfig(Env.broker, change);
            return "accepted";
        });
        c.outcome("badValue", () -> {
            Properties change = new Properties();
            change.setProperty("fileReservedTime", "many");
            admin.updateBrokerConfig(Env.broker, change);
            return "accepted, now " + admin.getBrokerConfig(Env.broker).getProperty("fileReservedTime");
        });
    }

    private static void kv(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String space = c.unique("ns");
        c.outcome("none", () -> admin.getKVConfig(space, "k"));
        admin.createAndUpdateKvConfig(space, "k", "v=1; \u00e4");
        c.outcome("set", () -> admin.getKVConfig(space, "k").equals("v=1; \u00e4"));
        admin.createAndUpdateKvConfig(space, "other", "2");
        c.outcome("list", () -> admin.getKVListByNamespace(space).getTable().size());
        admin.deleteKvConfig(space, "k");
        c.outcome("deleted", () -> admin.getKVConfig(space, "k"));
        c.outcome("listUnknown", () -> admin.getKVListByNamespace(c.unique("no")).getTable().size());
        c.outcome("orderConf", () -> {
            admin.createOrUpdateOrderConf(c.unique("order"), "broker-a:4", true);
            return admin.getKVConfig("ORDER_TOPIC_CONFIG", c.unique("order"));
        });
    }

    private static void consumeQueue(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        for (int i = 0; i < 5; i++) {
            producer.send(Env.message(topic, "T" + i, "m"), Env.queue(topic, 0));
        }
        c.outcome("entries", () -> {
            QueryConsumeQueueResponseBody body = admin.queryConsumeQueue(Env.broker, topic, 0, 1, 3, null);
            StringBuilder out = new StringBuilder(body.getMinQueueIndex() + "-" + body.getMaxQueueIndex());
            body.getQueueData().forEach(entry -> out.append(',').append(entry.getTagsCode()));
            return out;
        });
        c.outcome("beyond", () -> String.valueOf(admin.queryConsumeQueue(Env.broker, topic, 0, 100, 3, null).getQueueData()));
        c.outcome("noQueue", () -> admin.queryConsumeQueue(Env.broker, topic, 7, 0, 3, null).getMaxQueueIndex());
    }

    private static void forbidden(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 1);
        String group = c.unique("cg");
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        admin.createAndUpdateSubscriptionGroupConfig(Env.broker, config);
        c.outcome("before", () -> admin.updateAndGetGroupReadForbidden(Env.broker, group, topic, null).getReadable());
        c.outcome("forbid", () -> admin.updateAndGetGroupReadForbidden(Env.broker, group, topic, false).getReadable());
        c.outcome("after", () -> admin.updateAndGetGroupReadForbidden(Env.broker, group, topic, null).getReadable());
        c.outcome("allow", () -> admin.updateAndGetGroupReadForbidden(Env.broker, group, topic, true).getReadable());
    }

    private static void consumeDisabled(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 1);
        String group = c.unique("cg");
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setConsumeEnable(false);
        admin.createAndUpdateSubscriptionGroupConfig(Env.broker, config);
        Env.fill(Env.producer(c), topic, 1, 3, "m");
        c.outcome("pull", () -> PullCases.puller(c, group).pull(Env.queue(topic, 0), "*", 0, 32).getPullStatus());
        config.setConsumeEnable(true);
        admin.createAndUpdateSubscriptionGroupConfig(Env.broker, config);
        c.outcome("pullEnabled", () -> PullCases.puller(c, group).pull(Env.queue(topic, 0), "*", 0, 32).getPullStatus());
    }

    private static void deleteWhileUsed(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 1, 3, "old");
        admin.deleteTopicInBroker(new HashSet<String>(Collections.singleton(Env.broker)), topic);
        c.outcome("pull", () -> PullCases.puller(c).pull(Env.queue(topic, 0), "*", 0, 32).getPullStatus());
        admin.createAndUpdateTopicConfig(Env.broker, new TopicConfig(topic, 1, 1, 6));
        c.outcome("again", () -> admin.minOffset(Env.queue(topic, 0)) + "-" + admin.maxOffset(Env.queue(topic, 0)));
        c.outcome("send", () -> producer.send(Env.message(topic, "A", "new"), Env.queue(topic, 0)).getQueueOffset());
    }

    private static void track(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 1);
        String group = c.unique("cg");
        DefaultMQPushConsumer consumer = Env.consumer(c, group);
        consumer.subscribe(topic, "A");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        DefaultMQProducer producer = Env.producer(c);
        SendResult result = producer.send(Env.message(topic, "A", "m"));
        SendResult other = producer.send(Env.message(topic, "B", "n"));
        sink.await(30000, 1);
        Case.await(10000, () -> admin.examineConsumeStats(group, topic).computeTotalDiff() == 0);
        MessageExt message = admin.viewMessage(topic, result.getOffsetMsgId());
        c.outcome("consumed", () -> tracked(message, group));
        MessageExt filtered = admin.viewMessage(topic, other.getOffsetMsgId());
        c.outcome("filtered", () -> tracked(filtered, group));
        consumer.shutdown();
        c.outcome("offline", () -> tracked(message, group));
    }

    private static Object tracked(MessageExt message, String group) throws Exception {
        return Env.admin().messageTrackDetail(message).stream().filter(track -> track.getConsumerGroup().equals(group))
            .map(track -> String.valueOf(track.getTrackType())).findFirst().orElse("none");
    }

    private static void stats(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        String topic = Env.topic(c, "t", 1);
        c.outcome("before", () -> admin.viewBrokerStatsData(Env.broker, "TOPIC_PUT_NUMS", topic).getStatsMinute().getSum());
        Env.fill(Env.producer(c), topic, 1, 5, "m");
        c.outcome("after", () -> admin.viewBrokerStatsData(Env.broker, "TOPIC_PUT_NUMS", topic).getStatsMinute().getSum() >= 0);
        c.outcome("noSuchStats", () -> admin.viewBrokerStatsData(Env.broker, "NO_SUCH", topic).getStatsMinute().getSum());
    }

    private static void clean(Case c) throws Exception {
        DefaultMQAdminExt admin = Env.admin();
        c.outcome("consumeQueues", () -> admin.cleanExpiredConsumerQueueByAddr(Env.broker));
        c.outcome("commitLog", () -> admin.deleteExpiredCommitLogByAddr(Env.broker));
        c.outcome("unusedTopics", () -> admin.cleanUnusedTopicByAddr(Env.broker));
        c.outcome("coldData", () -> admin.getColdDataFlowCtrInfo(Env.broker).startsWith("{"));
        c.outcome("readAhead", () -> admin.setCommitLogReadAheadMode(Env.broker, "0").length() > 0);
        c.outcome("users", () -> admin.listUser(Env.broker, "").size());
    }
}
