import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Producers. */
final class SendCases {
    private SendCases() {
    }

    static void register(Cases cases) {
        cases.add("send.sync", SendCases::sync);
        cases.add("send.async", SendCases::async);
        cases.add("send.oneway", SendCases::oneway);
        cases.add("send.batch", SendCases::batch);
        cases.add("send.size", SendCases::size);
        cases.add("send.names", SendCases::names);
        cases.add("send.autocreate", SendCases::autocreate);
        cases.add("send.selector", SendCases::selector);
        cases.add("send.compressed", SendCases::compressed);
        cases.add("send.properties", SendCases::properties);
        cases.add("send.perm", SendCases::perm);
        cases.add("send.request", SendCases::request);
    }

    private static void sync(Case c) throws Exception {
        String topic = Env.topic(c, "t", 4);
        DefaultMQProducer producer = Env.producer(c);
        for (int round = 0; round < 2; round++) {
            for (int queue = 0; queue < 4; queue += 3) {
                SendResult result = producer.send(Env.message(topic, "A", "hello"), Env.queue(topic, queue));
                c.fact("round" + round + "queue" + queue, "status", result.getSendStatus(),
                    "queue", result.getMessageQueue().getQueueId(), "offset", result.getQueueOffset(),
                    "idLength", result.getMsgId().length(), "offsetIdLength", result.getOffsetMsgId().length(),
                    "transactionId", result.getTransactionId() == null ? "null" : "same:" + result.getTransactionId().equals(result.getMsgId()),
                    "region", result.getRegionId(), "trace", result.isTraceOn());
            }
        }
        TreeSet<Integer> queues = new TreeSet<Integer>();
        for (int i = 0; i < 8; i++) {
            queues.add(producer.send(Env.message(topic, "A", "turn" + i)).getMessageQueue().getQueueId());
        }
        c.fact("turns", "queues", Text.list(queues));
        c.outcome("queueBeyond", () -> producer.send(Env.message(topic, "A", "x"), Env.queue(topic, 4)).getSendStatus());
        c.outcome("noSuchBroker", () -> producer.send(Env.message(topic, "A", "x"), new MessageQueue(topic, "nobody", 0)).getSendStatus());
    }

    private static void async(Case c) throws Exception {
        String topic = Env.topic(c, "t", 4);
        DefaultMQProducer producer = Env.producer(c);
        final int count = 200;
        final CountDownLatch done = new CountDownLatch(count);
        final TreeMap<String, Integer> seen = new TreeMap<String, Integer>();
        SendCallback callback = new SendCallback() {
            public void onSuccess(SendResult result) {
                note(result.getSendStatus().toString());
            }

            public void onException(Throwable error) {
                note(Text.error(error));
            }

            private void note(String what) {
                synchronized (seen) {
                    Integer before = seen.get(what);
                    seen.put(what, before == null ? 1 : before + 1);
                }
                done.countDown();
            }
        };
        for (int i = 0; i < count; i++) {
            producer.send(Env.message(topic, "A", "async" + i), Env.queue(topic, i % 4), callback);
        }
        boolean all = done.await(30, TimeUnit.SECONDS);
        synchronized (seen) {
            c.fact("answers", "all", all, "seen", Text.sorted(seen));
        }
        List<Long> ends = new ArrayList<Long>();
        for (int i = 0; i < 4; i++) {
            ends.add(Env.end(Env.queue(topic, i), 50));
        }
        c.fact("stored", "ends", Text.list(ends));
    }

    private static void oneway(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        for (int i = 0; i < 50; i++) {
            producer.sendOneway(Env.message(topic, "A", "oneway" + i), Env.queue(topic, 0));
        }
        MessageQueue queue = Env.queue(topic, 0);
        boolean came = Case.await(10000, () -> Env.admin().maxOffset(queue) == 50);
        c.fact("stored", "all", came, "end", Env.admin().maxOffset(queue));
    }

    private static void batch(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        producer.send(Env.message(topic, "A", "before"), Env.queue(topic, 0));
        List<Message> messages = new ArrayList<Message>();
        for (int i = 0; i < 5; i++) {
            messages.add(new Message(topic, "T" + i, "key" + i, Text.bytes("batch" + i)));
        }
        SendResult result = producer.send(messages, Env.queue(topic, 0));
        c.fact("answer", "status", result.getSendStatus(), "offset", result.getQueueOffset(),
            "ids", result.getMsgId().split(",").length, "offsetIds", result.getOffsetMsgId().split(",").length,
            "distinctOffsetIds", new TreeSet<String>(Arrays.asList(result.getOffsetMsgId().split(","))).size());
        SendResult after = producer.send(Env.message(topic, "A", "after"), Env.queue(topic, 0));
        c.fact("next", "offset", after.getQueueOffset());
        List<MessageExt> found = pullAll(c, topic, 7);
        List<String> bodies = new ArrayList<String>();
        List<String> tags = new ArrayList<String>();
        List<Long> offsets = new ArrayList<Long>();
        TreeSet<String> ids = new TreeSet<String>();
        for (MessageExt message : found) {
            bodies.add(Text.text(message.getBody()));
            tags.add(message.getTags());
            offsets.add(message.getQueueOffset());
            if (message.getTags().startsWith("T")) {
                ids.add(message.getMsgId());
            }
        }
        c.fact("stored", "bodies", Text.list(bodies), "tags", Text.list(tags), "offsets", Text.list(offsets));
        c.fact("ids", "distinct", ids.size());
        c.fact("properties", "names", Text.sorted(found.get(1).getProperties().keySet()), "keys", found.get(1).getKeys());
        for (String id : result.getOffsetMsgId().split(",")) {
            MessageExt message = Env.admin().viewMessage(topic, id);
            c.fact("view." + message.getQueueOffset(), "body", Text.text(message.getBody()));
        }
        List<Message> mixed = new ArrayList<Message>();
        mixed.add(Env.message(topic, "A", "x"));
        mixed.add(Env.message(topic + "2", "A", "x"));
        c.outcome("mixedTopics", () -> producer.send(mixed).getSendStatus());
        List<Message> huge = new ArrayList<Message>();
        for (int i = 0; i < 5; i++) {
            huge.add(new Message(topic, new byte[1024 * 1024]));
        }
        producer.setMaxMessageSize(16 * 1024 * 1024);
        c.outcome("over4MiB", () -> producer.send(huge, Env.queue(topic, 0)).getSendStatus());
        c.fact("end", "offset", Env.end(Env.queue(topic, 0), 7));
    }

    /** Messages of queue 0 from its beginning. */
    static List<MessageExt> pullAll(Case c, String topic, int count) throws Exception {
        DefaultMQPullConsumer consumer = PullCases.puller(c);
        List<MessageExt> found = new ArrayList<MessageExt>();
        long offset = 0;
        for (int turn = 0; turn < 100 && found.size() < count; turn++) {
            PullResult result = consumer.pull(Env.queue(topic, 0), "*", offset, 32);
            if (result.getMsgFoundList() != null) {
                found.addAll(result.getMsgFoundList());
            }
            offset = result.getNextBeginOffset();
        }
        return found;
    }

    private static void size(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        c.outcome("empty", () -> producer.send(new Message(topic, new byte[0])).getSendStatus());
        c.outcome("none", () -> producer.send(new Message(topic, null)).getSendStatus());
        producer.setMaxMessageSize(16 * 1024 * 1024);
        producer.setCompressMsgBodyOverHowmuch(32 * 1024 * 1024);
        producer.setRetryTimesWhenSendFailed(0);
        int limit = 4 * 1024 * 1024;
        c.outcome("atLimit", () -> producer.send(new Message(topic, new byte[limit])).getSendStatus());
        c.outcome("overLimit", () -> producer.send(new Message(topic, new byte[limit + 1])).getSendStatus());
        Message long1 = Env.message(topic, "A", "x");
        long1.putUserProperty("long", repeat('p', 30000));
        c.outcome("properties30000", () -> producer.send(long1).getSendStatus());
        Message long2 = Env.message(topic, "A", "x");
        long2.putUserProperty("long", repeat('p', 33000));
        c.outcome("properties33000", () -> producer.send(long2).getSendStatus());
        c.fact("end", "offset", Env.end(Env.queue(topic, 0), 2));
    }

    static String repeat(char what, int times) {
        char[] all = new char[times];
        Arrays.fill(all, what);
        return new String(all);
    }

    private static void names(Case c) throws Exception {
        DefaultMQProducer producer = Env.producer(c);
        String[] bad = {"", "a b", "topic.with.dots", "\u00fcml", repeat('x', 128), "SCHEDULE_TOPIC_XXXX", "a/b"};
        for (int i = 0; i < bad.length; i++) {
            String topic = bad[i];
            c.outcome("topic" + i, () -> producer.send(Env.message(topic, "A", "x")).getSendStatus());
        }
        String[] groups = {"", "a b", "DEFAULT_PRODUCER", repeat('g', 256)};
        for (int i = 0; i < groups.length; i++) {
            String group = groups[i];
            c.outcome("group" + i, () -> {
                Env.producer(c, group);
                return "started";
            });
        }
    }

    private static void autocreate(Case c) throws Exception {
        DefaultMQProducer producer = Env.producer(c);
        String topic = c.unique("made");
        c.outcome("first", () -> producer.send(Env.message(topic, "A", "x")).getSendStatus());
        Env.routed(topic);
        c.fact("queues", "publish", Env.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getWriteQueueNums(),
            "subscribe", Env.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getReadQueueNums(),
            "perm", Env.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0).getPerm());
        DefaultMQProducer wide = Env.producer(c);
        wide.setDefaultTopicQueueNums(16);
        String broad = c.unique("broad");
        c.outcome("wide", () -> wide.send(Env.message(broad, "A", "x")).getSendStatus());
        Env.routed(broad);
        c.fact("wideQueues", "publish", Env.admin().examineTopicRouteInfo(broad).getQueueDatas().get(0).getWriteQueueNums());
        DefaultMQProducer strict = Env.producer(c);
        strict.setCreateTopicKey("no_such_template");
        c.outcome("noTemplate", () -> strict.send(Env.message(c.unique("never"), "A", "x")).getSendStatus());
    }

    private static void selector(Case c) throws Exception {
        String topic = Env.topic(c, "t", 8);
        DefaultMQProducer producer = Env.producer(c);
        List<Integer> chosen = new ArrayList<Integer>();
        for (int i = 0; i < 12; i++) {
            chosen.add(producer.send(Env.message(topic, "A", "s" + i), (queues, message, arg) -> {
                List<MessageQueue> sorted = new ArrayList<MessageQueue>(queues);
                Collections.sort(sorted);
                return sorted.get((Integer) arg % sorted.size());
            }, i).getMessageQueue().getQueueId());
        }
        c.fact("queues", "chosen", Text.list(chosen));
    }

    private static void compressed(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        String body = repeat('z', 4097) + "end";
        SendResult small = producer.send(Env.message(topic, "A", repeat('z', 4000)));
        SendResult large = producer.send(Env.message(topic, "A", body));
        MessageExt first = Env.admin().viewMessage(topic, small.getOffsetMsgId());
        MessageExt second = Env.admin().viewMessage(topic, large.getOffsetMsgId());
        c.fact("plain", "length", first.getBody().length, "flag", first.getSysFlag() & 1);
        c.fact("compressed", "same", Text.text(second.getBody()).equals(body), "flag", second.getSysFlag() & 1,
            "smaller", second.getStoreSize() < 1000);
        MessageExt pulled = pullAll(c, topic, 2).get(1);
        c.fact("pulled", "same", Text.text(pulled.getBody()).equals(body), "flag", pulled.getSysFlag() & 1);
    }

    private static void properties(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        Message sent = new Message(topic, "tag", "k1 k2", 42, Text.bytes("\u00e4\u4e2d"), true);
        sent.putUserProperty("user", "value with = and blanks");
        sent.putUserProperty("other", "\u4e2d\u6587");
        sent.setBuyerId("buyer");
        SendResult result = producer.send(sent);
        MessageExt pulled = pullAll(c, topic, 1).get(0);
        c.fact("pulled", "body", Text.text(pulled.getBody()).equals("\u00e4\u4e2d"), "flag", pulled.getFlag(), "tags", pulled.getTags(),
            "keys", pulled.getKeys(), "user", pulled.getUserProperty("user"), "other", pulled.getUserProperty("other").length(),
            "buyer", pulled.getBuyerId(), "id", pulled.getMsgId().equals(result.getMsgId()),
            "sysFlag", pulled.getSysFlag(), "reconsumed", pulled.getReconsumeTimes(), "prepared", pulled.getPreparedTransactionOffset());
        c.fact("names", "pulled", Text.sorted(pulled.getProperties().keySet()), "cluster", pulled.getProperty("CLUSTER"),
            "region", pulled.getProperty("MSG_REGION"), "trace", pulled.getProperty("TRACE_ON"));
        MessageExt viewed = Env.admin().viewMessage(topic, result.getOffsetMsgId());
        c.fact("viewed", "names", Text.sorted(viewed.getProperties().keySet()), "queue", viewed.getQueueId(), "offset", viewed.getQueueOffset(),
            "storeHost", viewed.getStoreHost().toString().replace("/", ""), "bornBeforeStored", viewed.getBornTimestamp() <= viewed.getStoreTimestamp() + 5);
        DefaultMQProducer unit = new DefaultMQProducer(c.unique("pg"));
        c.fact("empty", "value", producer.getRetryTimesWhenSendFailed() == unit.getRetryTimesWhenSendFailed());
    }

    private static void perm(Case c) throws Exception {
        DefaultMQProducer producer = Env.producer(c);
        String readOnly = Env.topic(c, "read", 2, 4);
        c.outcome("readOnly", () -> producer.send(Env.message(readOnly, "A", "x")).getSendStatus());
        String writeOnly = Env.topic(c, "write", 2, 2);
        c.outcome("writeOnly", () -> producer.send(Env.message(writeOnly, "A", "x"), Env.queue(writeOnly, 0)).getSendStatus());
        c.outcome("pullWriteOnly", () -> PullCases.puller(c).pull(Env.queue(writeOnly, 0), "*", 0, 32).getPullStatus());
        c.outcome("pullReadOnly", () -> PullCases.puller(c).pull(Env.queue(readOnly, 0), "*", 0, 32).getPullStatus());
        c.outcome("subscribeQueues", () -> producer.fetchPublishMessageQueues(writeOnly).size());
    }

    private static void request(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        DefaultMQProducer replier = Env.producer(c);
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        final AtomicInteger answered = new AtomicInteger();
        final List<String> replies = Collections.synchronizedList(new ArrayList<String>());
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                if (Text.text(message.getBody()).equals("silence")) {
                    continue;
                }
                try {
                    Message reply = MessageUtil.createReplyMessage(message, Text.bytes("re:" + Text.text(message.getBody())));
                    SendResult sent = replier.send(reply, 5000);
                    replies.add(reply.getTopic() + ":" + sent.getSendStatus());
                    answered.incrementAndGet();
                } catch (Exception error) {
                    replies.add(Text.error(error));
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        // A requester is known to the broker by its heartbeat, which a first send brings about.
        producer.send(Env.message(topic, "A", "silence"), Env.queue(topic, 0));
        Thread.sleep(6000);
        // The blocking calls of client 5.3.3 give up as soon as the request is sent: its fault, seen with every broker.
        List<String> answers = Collections.synchronizedList(new ArrayList<String>());
        for (String question : new String[] {"question", "silence"}) {
            producer.request(Env.message(topic, "A", question), Env.queue(topic, 0), new RequestCallback() {
                public void onSuccess(Message answer) {
                    answers.add(Text.text(answer.getBody()) + "/" + answer.getProperty("MSG_TYPE"));
                }

                public void onException(Throwable error) {
                    answers.add(question + ":" + Text.error(error));
                }
            }, 4000);
        }
        Case.await(10000, () -> answers.size() == 2);
        c.fact("answers", "all", Text.sorted(answers));
        c.outcome("blocking", () -> Text.text(producer.request(Env.message(topic, "A", "again"), Env.queue(topic, 0), 8000).getBody()));
        Case.await(5000, () -> answered.get() == 2);
        c.fact("replies", "sent", Text.list(replies), "answered", answered.get());
    }
}
