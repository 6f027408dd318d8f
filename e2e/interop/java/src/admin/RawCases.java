import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyRemotingClient;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/** Requests that no client sends of itself: the edges of the protocol. */
final class RawCases {
    private static NettyRemotingClient client;

    private RawCases() {
    }

    static void register(Cases cases) {
        cases.add("raw.unknownCodes", RawCases::unknownCodes);
        cases.add("raw.send", RawCases::send);
        cases.add("raw.pull", RawCases::pull);
        cases.add("raw.offsets", RawCases::offsets);
        cases.add("raw.clients", RawCases::clients);
        cases.add("raw.missing", RawCases::missing);
        cases.add("raw.names", RawCases::names);
        cases.add("raw.namesrv", RawCases::namesrv);
    }

    private static synchronized NettyRemotingClient client() {
        if (client == null) {
            client = new NettyRemotingClient(new NettyClientConfig());
            client.start();
        }
        return client;
    }

    private static RemotingCommand call(String addr, int code, byte[] body, Object... pairs) throws Exception {
        RemotingCommand command = RemotingCommand.createRequestCommand(code, null);
        HashMap<String, String> ext = new HashMap<String, String>();
        for (int i = 0; i < pairs.length; i += 2) {
            ext.put(String.valueOf(pairs[i]), String.valueOf(pairs[i + 1]));
        }
        command.setExtFields(ext);
        command.setBody(body);
        return client().invokeSync(addr, command, 25000);
    }

    private static void fact(Case c, String step, RemotingCommand answer, String... shown) {
        StringBuilder out = new StringBuilder();
        Map<String, String> ext = answer.getExtFields() == null ? new HashMap<String, String>() : answer.getExtFields();
        for (String name : shown) {
            out.append(name).append(':').append(ext.get(name)).append(';');
        }
        c.fact(step, "code", answer.getCode(), "ext", Text.sorted(ext.keySet()), "shown", out, "body", answer.getBody() != null);
    }

    private static void ask(Case c, String step, int code, byte[] body, Object... pairs) {
        try {
            fact(c, step, call(Env.broker, code, body, pairs));
        } catch (Exception error) {
            c.fact(step, "error", Text.error(error));
        }
    }

    private static void unknownCodes(Case c) throws Exception {
        for (int code : new int[] {13, 22, 23, 27, 47, 50, 51, 54, 99, 209, 213, 301, 302, 9999, -1}) {
            RemotingCommand answer = call(Env.broker, code, null);
            c.fact("broker." + code, "code", answer.getCode(), "remark", answer.getRemark());
        }
        for (int code : new int[] {10, 11, 34, 9999}) {
            RemotingCommand answer = call(Env.namesrv, code, null);
            c.fact("namesrv." + code, "code", answer.getCode(), "remark", answer.getRemark());
        }
    }

    private static Map<String, Object> sendFields(String topic) {
        Map<String, Object> fields = new TreeMap<String, Object>();
        fields.put("a", "raw_producers");
        fields.put("b", topic);
        fields.put("c", "TBW102");
        fields.put("d", 4);
        fields.put("e", 0);
        fields.put("f", 0);
        fields.put("g", System.currentTimeMillis());
        fields.put("h", 0);
        fields.put("i", "");
        fields.put("j", 0);
        fields.put("k", false);
        fields.put("m", false);
        return fields;
    }

    private static Object[] pairs(Map<String, Object> fields) {
        Object[] pairs = new Object[fields.size() * 2];
        int i = 0;
        for (Map.Entry<String, Object> entry : fields.entrySet()) {
            pairs[i++] = entry.getKey();
            pairs[i++] = entry.getValue();
        }
        return pairs;
    }

    private static void sendWith(Case c, String step, String topic, byte[] body, Object... changes) {
        Map<String, Object> fields = sendFields(topic);
        for (int i = 0; i < changes.length; i += 2) {
            if (changes[i + 1] == null) {
                fields.remove(changes[i]);
            } else {
                fields.put((String) changes[i], changes[i + 1]);
            }
        }
        try {
            fact(c, step, call(Env.broker, 310, body, pairs(fields)), "queueId", "queueOffset", "MSG_REGION", "TRACE_ON");
        } catch (Exception error) {
            c.fact(step, "error", Text.error(error));
        }
    }

    private static void send(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        byte[] body = Text.bytes("raw");
        sendWith(c, "plain", topic, body);
        sendWith(c, "noBody", topic, null);
        sendWith(c, "queueBeyond", topic, body, "e", 2);
        sendWith(c, "queueHigh", topic, body, "e", 1);
        sendWith(c, "badName", "a b", body);
        sendWith(c, "noName", "", body);
        sendWith(c, "longName", SendCases.repeat('x', 128), body);
        sendWith(c, "notSendable", "SCHEDULE_TOPIC_XXXX", body);
        sendWith(c, "halfTopic", "RMQ_SYS_TRANS_HALF_TOPIC", body);
        sendWith(c, "noTemplate", c.unique("never"), body, "c", "no_such_template");
        sendWith(c, "fewQueues", c.unique("few"), body, "d", 2);
        sendWith(c, "retryTopic", "%RETRY%" + c.unique("g"), body, "c", "no_such_template");
        sendWith(c, "textQueue", topic, body, "e", "zero");
        sendWith(c, "noQueue", topic, body, "e", null);
        sendWith(c, "noTopic", topic, body, "b", null);
        sendWith(c, "noGroup", Env.topic(c, "groupless", 1), body, "a", null); // stored by the original
        String readOnly = Env.topic(c, "read", 1, 4);
        sendWith(c, "readOnly", readOnly, body);
        sendWith(c, "delayFar", topic, body, "i", "DELAY\u000199\u0002");
        // The original answers this one 1 and stores it: a topic of its own keeps that apart.
        sendWith(c, "delayText", Env.topic(c, "text", 1), body, "i", "DELAY\u0001soon\u0002");
        sendWith(c, "propertyTail", topic, body, "i", "KEYS\u0001k\u0002TAGS\u0001");
        fact(c, "v1", call(Env.broker, 10, body, "producerGroup", "raw", "topic", topic, "defaultTopic", "TBW102", "defaultTopicQueueNums", 4, "queueId", 0, "sysFlag", 0,
            "bornTimestamp", 1, "flag", 0), "queueId", "queueOffset");
        Thread.sleep(1000); // the original shows an end only when its queues have followed the log
        c.fact("ends", "queue0", Env.admin().maxOffset(Env.queue(topic, 0)), "queue1", Env.admin().maxOffset(Env.queue(topic, 1)));
        c.fact("few", "write", Env.admin().examineTopicConfig(Env.broker, c.unique("few")).getWriteQueueNums());
    }

    private static void pullWith(Case c, String step, String topic, String group, int queue, long offset, int flag, Object... more) {
        Map<String, Object> fields = new TreeMap<String, Object>();
        fields.put("consumerGroup", group);
        fields.put("topic", topic);
        fields.put("queueId", queue);
        fields.put("queueOffset", offset);
        fields.put("maxMsgNums", 32);
        fields.put("sysFlag", flag);
        fields.put("commitOffset", 0);
        fields.put("suspendTimeoutMillis", 500);
        fields.put("subVersion", 0);
        fields.put("subscription", "*");
        fields.put("expressionType", "TAG");
        for (int i = 0; i < more.length; i += 2) {
            fields.put((String) more[i], more[i + 1]);
        }
        try {
            RemotingCommand answer = call(Env.broker, 11, null, pairs(fields));
            fact(c, step, answer, "nextBeginOffset", "minOffset", "maxOffset", "suggestWhichBrokerId", "forbiddenType");
            c.fact(step + ".remark", "text", answer.getCode() == 19 || answer.getCode() == 21 || answer.getCode() == 20 || answer.getCode() == 0 ? answer.getRemark() : "-");
        } catch (Exception error) {
            c.fact(step, "error", Text.error(error));
        }
    }

    private static void pull(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        DefaultMQProducer producer = Env.producer(c);
        String group = c.unique("cg");
        pullWith(c, "emptyAt0", topic, group, 0, 0, 4);
        pullWith(c, "emptyAt3", topic, group, 0, 3, 4);
        pullWith(c, "emptyNegative", topic, group, 0, -1, 4);
        Env.fill(producer, topic, 1, 5, "m");
        pullWith(c, "found", topic, group, 0, 0, 4);
        pullWith(c, "negative", topic, group, 0, -1, 4);
        pullWith(c, "atEnd", topic, group, 0, 5, 4);
        pullWith(c, "atEndSuspended", topic, group, 0, 5, 6);
        pullWith(c, "beyond", topic, group, 0, 6, 4);
        pullWith(c, "noRegistration", topic, group, 0, 0, 0);
        pullWith(c, "queueBeyond", topic, group, 2, 0, 4);
        pullWith(c, "queueNegative", topic, group, -1, 0, 4);
        pullWith(c, "noTopic", c.unique("none"), group, 0, 0, 4);
        pullWith(c, "badGroup", topic, "no good", 0, 0, 4);
        pullWith(c, "zeroMessages", topic, group, 0, 0, 4, "maxMsgNums", 0);
        pullWith(c, "commits", topic, group, 0, 5, 5, "commitOffset", 4);
        fact(c, "committed", call(Env.broker, 14, null, "consumerGroup", group, "topic", topic, "queueId", 0), "offset");
        pullWith(c, "commitWithoutFlag", topic, group, 0, 5, 4, "commitOffset", 2);
        fact(c, "unchanged", call(Env.broker, 14, null, "consumerGroup", group, "topic", topic, "queueId", 0), "offset");
        pullWith(c, "sqlOff", topic, group, 0, 0, 4, "subscription", "a > 1", "expressionType", "SQL92");
        fact(c, "lite", call(Env.broker, 361, null, "consumerGroup", group, "topic", topic, "queueId", 0, "queueOffset", 0, "maxMsgNums", 2, "sysFlag", 20, "commitOffset", 0,
            "suspendTimeoutMillis", 0, "subVersion", 0, "subscription", "*"), "nextBeginOffset");
    }

    private static void offsets(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        Env.fill(Env.producer(c), topic, 1, 5, "m");
        String group = c.unique("cg");
        fact(c, "newGroup", call(Env.broker, 14, null, "consumerGroup", group, "topic", topic, "queueId", 0), "offset");
        fact(c, "newGroupStrict", call(Env.broker, 14, null, "consumerGroup", group, "topic", topic, "queueId", 0, "setZeroIfNotFound", "false"), "offset");
        fact(c, "noTopic", call(Env.broker, 14, null, "consumerGroup", group, "topic", c.unique("none"), "queueId", 0), "offset");
        fact(c, "storeUnknownGroup", call(Env.broker, 15, null, "consumerGroup", group, "topic", topic, "queueId", 0, "commitOffset", 3));
        fact(c, "max", call(Env.broker, 30, null, "topic", topic, "queueId", 0), "offset");
        fact(c, "min", call(Env.broker, 31, null, "topic", topic, "queueId", 0), "offset");
        fact(c, "maxBeyond", call(Env.broker, 30, null, "topic", topic, "queueId", 7), "offset");
        fact(c, "maxNoTopic", call(Env.broker, 30, null, "topic", c.unique("none"), "queueId", 0), "offset");
        fact(c, "minNoTopic", call(Env.broker, 31, null, "topic", c.unique("none"), "queueId", 0), "offset");
        fact(c, "earliestEmpty", call(Env.broker, 32, null, "topic", topic, "queueId", 1), "timestamp");
        fact(c, "searchNoTopic", call(Env.broker, 29, null, "topic", c.unique("none"), "queueId", 0, "timestamp", 0), "offset");
        ask(c, "searchUpper", 29, null, "topic", topic, "queueId", 0, "timestamp", 0, "boundaryType", "UPPER");
        ask(c, "searchBadBoundary", 29, null, "topic", topic, "queueId", 0, "timestamp", 0, "boundaryType", "SIDEWAYS");
        ask(c, "viewNothing", 33, null, "offset", 99999999999L);
        ask(c, "viewNegative", 33, null, "offset", -1);
        ask(c, "queryNothing", 12, null, "topic", topic, "key", "none", "maxNum", 32, "beginTimestamp", 0, "endTimestamp", Long.MAX_VALUE);
    }

    private static void clients(Case c) throws Exception {
        String group = c.unique("cg");
        ask(c, "listUnknown", 38, null, "consumerGroup", group);
        ask(c, "unregisterUnknown", 35, null, "clientID", "nobody@1", "consumerGroup", group);
        byte[] heartbeat = Text.bytes("{\"clientID\":\"raw@" + Env.RUN + "\",\"producerDataSet\":[{\"groupName\":\"" + c.unique("pg") + "\"}],\"consumerDataSet\":[{\"groupName\":\"" + group
            + "\",\"consumeType\":1,\"messageModel\":1,\"consumeFromWhere\":0,\"subscriptionDataSet\":[{\"topic\":\"T\",\"subString\":\"*\",\"subVersion\":\"12\"}]}]}");
        RemotingCommand answer = call(Env.broker, 34, heartbeat);
        fact(c, "heartbeat", answer, "IS_SUPPORT_HEART_BEAT_V2", "IS_SUB_CHANGE");
        c.fact("heartbeatVersion", "current", answer.getVersion() >= 232, "language", answer.getLanguage());
        answer = call(Env.broker, 38, null, "consumerGroup", group);
        c.fact("list", "code", answer.getCode(), "body", Text.text(answer.getBody()));
        ask(c, "retryTopic", 351, null, "topic", "%RETRY%" + group);
        ask(c, "badHeartbeat", 34, Text.bytes("{not json"));
        ask(c, "noHeartbeatBody", 34, null);
        byte[] lock = Text.bytes("{\"clientId\":\"raw@1\",\"consumerGroup\":\"" + group + "\",\"mqSet\":[{\"brokerName\":\"broker-a\",\"queueId\":0,\"topic\":\"T\"}]}");
        answer = call(Env.broker, 41, lock);
        c.fact("lock", "code", answer.getCode(), "body", Text.text(answer.getBody()));
        byte[] other = Text.bytes(Text.text(lock).replace("raw@1", "raw@2"));
        answer = call(Env.broker, 41, other);
        c.fact("lockOther", "code", answer.getCode(), "body", Text.text(answer.getBody()));
        ask(c, "unlockOther", 42, other);
        answer = call(Env.broker, 41, other);
        c.fact("stillLocked", "code", answer.getCode(), "body", Text.text(answer.getBody()));
        ask(c, "unlock", 42, lock);
        answer = call(Env.broker, 41, other);
        c.fact("lockFreed", "code", answer.getCode(), "body", Text.text(answer.getBody()));
        ask(c, "sendBackUnknownGroup", 36, null, "offset", 0, "group", "no good", "delayLevel", 0);
        ask(c, "sendBackNothing", 36, null, "offset", 99999999999L, "group", group, "delayLevel", 0);
        ask(c, "checkConfig", 46, Text.bytes("{\"clientId\":\"raw@1\",\"group\":\"" + group + "\",\"subscriptionData\":{\"topic\":\"T\",\"subString\":\"*\",\"expressionType\":\"TAG\"}}"));
        ask(c, "assignment", 400, Text.bytes("{\"clientId\":\"raw@" + Env.RUN + "\",\"consumerGroup\":\"" + group + "\",\"messageModel\":\"CLUSTERING\",\"strategyName\":\"AVG\",\"topic\":\"" + c.unique("none") + "\"}"));
        ask(c, "runningUnknown", 307, null, "consumerGroup", group, "clientId", "nobody");
        ask(c, "unregister", 35, null, "clientID", "raw@" + Env.RUN, "consumerGroup", group, "producerGroup", c.unique("pg"));
        ask(c, "listGone", 38, null, "consumerGroup", group);
    }

    private static void missing(Case c) throws Exception {
        for (int code : new int[] {11, 12, 14, 15, 17, 29, 30, 31, 32, 33, 36, 38, 41, 200, 202, 203, 204, 207, 208, 215, 222, 300, 303, 307, 309, 315, 321, 345, 351, 352}) {
            try {
                c.fact("code" + code, "answer", call(Env.broker, code, null).getCode() != 0 ? "refused" : "accepted");
            } catch (Exception error) {
                c.fact("code" + code, "error", Text.error(error));
            }
        }
    }

    private static void names(Case c) throws Exception {
        String[] names = {"", "a b", "dot.ted", SendCases.repeat('x', 127), SendCases.repeat('y', 128), "TBW102", "rmq_sys_mine"};
        for (int i = 0; i < names.length; i++) {
            ask(c, "create" + i, 17, null, "topic", names[i], "defaultTopic", "TBW102", "readQueueNums", 1, "writeQueueNums", 1, "perm", 6, "topicFilterType", "SINGLE_TAG");
            ask(c, "delete" + i, 215, null, "topic", names[i]);
        }
    }

    private static void namesrv(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        RemotingCommand known = call(Env.namesrv, 105, null, "topic", topic);
        String body = Text.text(known.getBody());
        c.fact("route", "code", known.getCode(), "body", body);
        known = call(Env.namesrv, 105, null, "topic", topic, "acceptStandardJsonOnly", "true");
        c.fact("standard", "code", known.getCode(), "body", Text.text(known.getBody()));
        fact(c, "unknown", call(Env.namesrv, 105, null, "topic", c.unique("none")));
        fact(c, "noTopic", call(Env.namesrv, 105, null));
        fact(c, "clusterless", call(Env.namesrv, 224, null, "cluster", "nowhere"));
        RemotingCommand cluster = call(Env.namesrv, 106, null);
        c.fact("cluster", "code", cluster.getCode(), "body", Text.text(cluster.getBody()));
        String system = Text.text(call(Env.namesrv, 304, null).getBody());
        c.fact("system", "broker", system.contains("\"brokerAddr\":\"" + Env.broker + "\""), "names", system.contains("\"broker-a\"") && system.contains("\"DefaultCluster\""));
        fact(c, "unit", call(Env.namesrv, 311, null));
        fact(c, "kvNone", call(Env.namesrv, 101, null, "namespace", "none", "key", "none"));
        fact(c, "kvListNone", call(Env.namesrv, 219, null, "namespace", "none"));
        fact(c, "wipeNobody", call(Env.namesrv, 205, null, "brokerName", "nobody"), "wipeTopicCount");
        fact(c, "members", call(Env.namesrv, 901, null, "clusterName", "DefaultCluster", "brokerName", "broker-a"));
        fact(c, "membersNobody", call(Env.namesrv, 901, null, "clusterName", "DefaultCluster", "brokerName", "nobody"));
        TreeSet<Integer> codes = new TreeSet<Integer>();
        codes.add(call(Env.namesrv, 312, null).getCode());
        codes.add(call(Env.namesrv, 313, null).getCode());
        c.fact("units", "codes", codes);
    }
}
