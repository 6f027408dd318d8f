import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** What single consumers are handed, and when again. */
final class ConsumeCases {
    private ConsumeCases() {
    }

    static void register(Cases cases) {
        // The long ones first: they run beside the others.
        cases.add("consume.dlq", ConsumeCases::dlq);
        cases.add("consume.retry", ConsumeCases::retry);
        cases.add("consume.orderlyRetry", ConsumeCases::orderlyRetry);
        cases.add("consume.delay", ConsumeCases::delay);
        cases.add("consume.all", ConsumeCases::all);
        cases.add("consume.tags", ConsumeCases::tags);
        cases.add("consume.sql", ConsumeCases::sql);
        cases.add("consume.first", c -> where(c, ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET));
        cases.add("consume.last", c -> where(c, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET));
        cases.add("consume.timestamp", c -> where(c, ConsumeFromWhere.CONSUME_FROM_TIMESTAMP));
        cases.add("consume.orderly", ConsumeCases::orderly);
        cases.add("consume.batches", ConsumeCases::batches);
        cases.add("consume.late", ConsumeCases::late);
        cases.add("consume.returnBadly", ConsumeCases::returnBadly);
    }

    private static void all(Case c) throws Exception {
        String topic = Env.topic(c, "t", 4);
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 4, 100, "m");
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(topic, "*");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        c.fact("before", "came", sink.await(40000, 100), "count", sink.got.size(), "distinct", sink.distinct());
        Env.fill(producer, topic, 4, 20, "n");
        c.fact("live", "came", sink.await(10000, 120), "count", sink.got.size());
        MessageExt one = sink.got.get(0);
        c.fact("message", "properties", Text.sorted(one.getProperties().keySet()), "reconsumed", one.getReconsumeTimes(),
            "storeHost", one.getStoreHost().toString().replace("/", ""));
    }

    private static void tags(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        DefaultMQProducer producer = Env.producer(c);
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(topic, "A || B");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        String[] tags = {"A", "B", "C", "", "AB", "a"};
        for (int i = 0; i < 30; i++) {
            String tag = tags[i % tags.length];
            producer.send(Env.message(topic, tag, tag + i), Env.queue(topic, i % 2));
        }
        c.fact("got", "came", sink.await(40000, 10), "bodies", sink.set());
    }

    private static void sql(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(topic, MessageSelector.bySql("a > 5"));
        Sink.accepting(consumer);
        c.outcome("refused", () -> {
            consumer.start();
            return "started";
        });
    }

    private static void where(Case c, ConsumeFromWhere from) throws Exception {
        String topic = Env.topic(c, "t", 2);
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 2, 10, "old");
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.setConsumeFromWhere(from);
        consumer.subscribe(topic, "*");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        // Both queues are known to be read once a new message of each has come.
        Case.await(30000, () -> {
            if (sink.byQueue().size() == 2) {
                return true;
            }
            return false;
        });
        Env.fill(producer, topic, 2, 4, "new");
        c.fact("got", "came", sink.await(30000, 14), "bodies", sink.set());
    }

    private static void orderly(Case c) throws Exception {
        String topic = Env.topic(c, "t", 3);
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 3, 60, "m");
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(topic, "*");
        Sink sink = new Sink();
        Map<Integer, AtomicInteger> busy = new ConcurrentHashMap<Integer, AtomicInteger>();
        AtomicInteger overlaps = new AtomicInteger();
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            AtomicInteger inside = busy.computeIfAbsent(messages.get(0).getQueueId(), key -> new AtomicInteger());
            if (inside.incrementAndGet() != 1) {
                overlaps.incrementAndGet();
            }
            sink.got.addAll(messages);
            inside.decrementAndGet();
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        boolean came = sink.await(40000, 60);
        boolean ordered = true;
        for (Map.Entry<Integer, List<String>> entry : sink.byQueue().entrySet()) {
            for (int i = 0; i < entry.getValue().size(); i++) {
                ordered &= entry.getValue().get(i).equals("m" + (entry.getKey() + 3 * i));
            }
        }
        c.fact("got", "came", came, "count", sink.got.size(), "ordered", ordered, "overlaps", overlaps.get());
    }

    private static void orderlyRetry(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 1, 3, "m");
        String group = c.unique("cg");
        DefaultMQPushConsumer consumer = Env.consumer(c, group);
        consumer.setMaxReconsumeTimes(2);
        consumer.subscribe(topic, "*");
        List<String> log = Collections.synchronizedList(new ArrayList<String>());
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            MessageExt message = messages.get(0);
            String body = Text.text(message.getBody());
            log.add(body + "/" + message.getReconsumeTimes());
            if (body.equals("m1")) {
                context.setSuspendCurrentQueueTimeMillis(100);
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        c.fact("delivered", "came", Case.await(40000, () -> log.contains("m2/0")), "order", Text.list(log));
        String dead = "%DLQ%" + group;
        c.fact("dead", "routed", Env.routed(dead), "came", Case.await(20000, () -> {
            try {
                return Env.admin().maxOffset(Env.queue(dead, 0)) == 1;
            } catch (Exception error) {
                return false;
            }
        }));
    }

    private static void retry(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(topic, "A");
        Sink sink = new Sink();
        List<Long> when = Collections.synchronizedList(new ArrayList<Long>());
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            sink.got.addAll(messages);
            when.add(System.nanoTime() / 1000000L);
            context.setDelayLevelWhenNextConsume(messages.get(0).getReconsumeTimes() == 0 ? 1 : 2);
            return messages.get(0).getReconsumeTimes() < 2 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        GroupCases.awaitRetryQueue(consumer);
        Message message = new Message(topic, "A", "key", Text.bytes("again"));
        message.putUserProperty("user", "kept");
        String id = producer.send(message, Env.queue(topic, 0)).getMsgId();
        c.fact("came", "three", Case.awaitCount(60000, sink.got, 3), "count", sink.got.size());
        for (int i = 0; i < sink.got.size(); i++) {
            MessageExt got = sink.got.get(i);
            c.fact("turn" + i, "topic", got.getTopic().equals(topic), "times", got.getReconsumeTimes(), "sameId", got.getMsgId().equals(id),
                "body", Text.text(got.getBody()), "keys", got.getKeys(), "tags", got.getTags(), "user", got.getUserProperty("user"),
                "properties", Text.sorted(got.getProperties().keySet()), "queue", got.getQueueId(), "offset", got.getQueueOffset());
        }
        c.fact("when", "first", bucket(when, 1, 1000), "second", bucket(when, 2, 5000));
    }

    private static String bucket(List<Long> when, int index, long wanted) {
        if (when.size() <= index) {
            return "never";
        }
        long late = when.get(index) - when.get(index - 1) - wanted;
        return late < -60 ? "early" : late < 1500 ? "inTime" : "late";
    }

    private static void dlq(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        String group = c.unique("cg");
        DefaultMQPushConsumer consumer = Env.consumer(c, group);
        consumer.setMaxReconsumeTimes(1);
        consumer.subscribe(topic, "*");
        Sink sink = new Sink();
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            sink.got.addAll(messages);
            context.setDelayLevelWhenNextConsume(Text.text(messages.get(0).getBody()).equals("atOnce") ? -1 : 1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        GroupCases.awaitRetryQueue(consumer);
        producer.send(Env.message(topic, "A", "doomed"), Env.queue(topic, 0));
        c.fact("came", "two", Case.awaitCount(60000, sink.got, 2), "count", sink.got.size());
        producer.send(Env.message(topic, "A", "atOnce"), Env.queue(topic, 0));
        String dead = "%DLQ%" + group;
        c.fact("route", "came", Env.routed(dead), "queues", Env.admin().examineTopicRouteInfo(dead).getQueueDatas().get(0).getWriteQueueNums(),
            "perm", Env.admin().examineTopicRouteInfo(dead).getQueueDatas().get(0).getPerm());
        c.fact("stored", "came", Case.await(20000, () -> Env.admin().maxOffset(Env.queue(dead, 0)) == 2));
        PullResult result = PullCases.puller(c).pull(Env.queue(dead, 0), "*", 0, 32);
        for (MessageExt message : result.getMsgFoundList()) {
            c.fact("dead." + Text.text(message.getBody()), "times", message.getReconsumeTimes(), "properties", Text.sorted(message.getProperties().keySet()),
                "retryTopic", message.getProperty("RETRY_TOPIC"), "origin", message.getProperty("ORIGIN_MESSAGE_ID") != null);
        }
        c.fact("consumed", "count", sink.got.size());
    }

    private static void delay(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(topic, "*");
        Map<String, Long> when = new ConcurrentHashMap<String, Long>();
        List<MessageExt> got = Collections.synchronizedList(new ArrayList<MessageExt>());
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                when.put(Text.text(message.getBody()), System.nanoTime() / 1000000L);
                got.add(message);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        producer.send(Env.message(topic, "A", "warm"), Env.queue(topic, 0));
        Case.await(30000, () -> when.containsKey("warm"));
        long[] seconds = {0, 1, 5, 10};
        Map<String, Long> sent = new ConcurrentHashMap<String, Long>();
        for (int level = 3; level >= 1; level--) {
            Message message = Env.message(topic, "A", "level" + level);
            message.setDelayTimeLevel(level);
            sent.put("level" + level, System.nanoTime() / 1000000L);
            c.outcome("send" + level, () -> producer.send(message, Env.queue(topic, 0)).getSendStatus());
        }
        c.fact("came", "all", Case.await(25000, () -> when.size() == 4));
        for (int level = 1; level <= 3; level++) {
            Long came = when.get("level" + level);
            long late = came == null ? -1 : came - sent.get("level" + level) - seconds[level] * 1000;
            c.fact("level" + level, "when", came == null ? "never" : late < -60 ? "early" : late < 1200 ? "inTime" : "late");
        }
        List<String> order = new ArrayList<String>();
        for (MessageExt message : got) {
            order.add(Text.text(message.getBody()));
        }
        c.fact("order", "bodies", Text.list(order));
        MessageExt last = got.get(got.size() - 1);
        c.fact("message", "properties", Text.sorted(last.getProperties().keySet()), "delay", last.getProperty("DELAY"),
            "realTopic", last.getProperty("REAL_TOPIC") == null ? "null" : last.getProperty("REAL_TOPIC"), "offset", last.getQueueOffset());
    }

    private static void batches(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 1, 64, "m");
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.setConsumeMessageBatchMaxSize(16);
        consumer.setPullBatchSize(32);
        consumer.subscribe(topic, "*");
        Sink sink = new Sink();
        AtomicInteger most = new AtomicInteger();
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            sink.got.addAll(messages);
            most.accumulateAndGet(messages.size(), Math::max);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        c.fact("got", "came", sink.await(40000, 64), "count", sink.got.size(), "most", most.get());
    }

    /** A topic that comes into being after its consumer. */
    private static void late(Case c) throws Exception {
        String topic = c.unique("t");
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(topic, "*");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        DefaultMQProducer producer = Env.producer(c);
        producer.send(Env.message(topic, "A", "hello"));
        c.fact("got", "came", sink.await(60000, 1), "bodies", sink.set());
    }

    private static void returnBadly(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 1, 1, "m");
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(topic, "*");
        List<String> log = Collections.synchronizedList(new ArrayList<String>());
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            int times = messages.get(0).getReconsumeTimes();
            log.add("times" + times);
            context.setDelayLevelWhenNextConsume(1);
            if (times == 0) {
                throw new IllegalStateException("on purpose");
            }
            return times == 1 ? null : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        c.fact("got", "came", Case.awaitCount(60000, log, 3), "turns", Text.list(log));
    }
}
