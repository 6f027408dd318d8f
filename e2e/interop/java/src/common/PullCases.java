import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Pull consumers, offsets and queries. */
final class PullCases {
    private PullCases() {
    }

    static void register(Cases cases) {
        cases.add("pull.status", PullCases::status);
        cases.add("pull.longpoll", PullCases::longpoll);
        cases.add("pull.tags", PullCases::tags);
        cases.add("pull.offsets", PullCases::offsets);
        cases.add("pull.store", PullCases::store);
        cases.add("lite.assign", PullCases::liteAssign);
        cases.add("lite.subscribe", PullCases::liteSubscribe);
        cases.add("query.ids", PullCases::queryIds);
        cases.add("query.keys", PullCases::queryKeys);
    }

    @SuppressWarnings("deprecation")
    static DefaultMQPullConsumer puller(Case c) throws Exception {
        return puller(c, c.unique("pull"));
    }

    @SuppressWarnings("deprecation")
    static DefaultMQPullConsumer puller(Case c, String group) throws Exception {
        final DefaultMQPullConsumer made = new DefaultMQPullConsumer(group);
        made.setNamesrvAddr(Env.namesrv);
        made.setInstanceName(Env.instance(c));
        made.setPersistConsumerOffsetInterval(500);
        made.start();
        c.closing(made::shutdown);
        return made;
    }

    private static void fact(Case c, String step, PullResult result) {
        c.fact(step, "status", result.getPullStatus(), "next", result.getNextBeginOffset(), "min", result.getMinOffset(),
            "max", result.getMaxOffset(), "found", result.getMsgFoundList() == null ? 0 : result.getMsgFoundList().size());
    }

    private static void status(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        DefaultMQPullConsumer consumer = puller(c);
        MessageQueue queue = Env.queue(topic, 0);
        c.fact("queues", "count", consumer.fetchSubscribeMessageQueues(topic).size());
        fact(c, "emptyAt0", consumer.pull(queue, "*", 0, 32));
        fact(c, "emptyAt5", consumer.pull(queue, "*", 5, 32));
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 1, 40, "m");
        fact(c, "first", consumer.pull(queue, "*", 0, 10));
        fact(c, "most", consumer.pull(queue, "*", 0, 100));
        fact(c, "middle", consumer.pull(queue, "*", 35, 32));
        fact(c, "atEnd", consumer.pull(queue, "*", 40, 32));
        fact(c, "beyond", consumer.pull(queue, "*", 41, 32));
        fact(c, "farBeyond", consumer.pull(queue, "*", 4000000, 32));
        fact(c, "noSuchTag", consumer.pull(queue, "nothing", 0, 32));
        c.outcome("negative", () -> consumer.pull(queue, "*", -1, 32).getPullStatus());
        c.outcome("queueBeyond", () -> consumer.pull(Env.queue(topic, 2), "*", 0, 32).getPullStatus());
        c.outcome("noTopic", () -> consumer.pull(Env.queue(c.unique("none"), 0), "*", 0, 32).getPullStatus());
        c.outcome("noQueues", () -> consumer.fetchSubscribeMessageQueues(c.unique("none")).size());
    }

    private static void longpoll(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQPullConsumer consumer = puller(c);
        DefaultMQProducer producer = Env.producer(c);
        MessageQueue queue = Env.queue(topic, 0);
        producer.send(Env.message(topic, "A", "first"), queue);
        // On a busy machine the first one, which does not match, may be there before the pull is.
        Thread sender = new Thread(() -> {
            try {
                Thread.sleep(700);
                producer.send(Env.message(topic, "B", "other"), queue);
                Thread.sleep(700);
                producer.send(Env.message(topic, "A", "second"), queue);
            } catch (Exception error) {
                error.printStackTrace();
            }
        });
        long began = System.nanoTime();
        sender.start();
        long offset = 1;
        PullResult result;
        do {
            result = consumer.pullBlockIfNotFound(queue, "A", offset, 32);
            offset = result.getNextBeginOffset();
        } while ((result.getMsgFoundList() == null || result.getMsgFoundList().isEmpty()) && System.nanoTime() - began < 20000000000L);
        long ms = (System.nanoTime() - began) / 1000000L;
        sender.join();
        fact(c, "woken", result);
        c.fact("woken.when", "afterMatch", ms >= 1300, "soon", ms < 4000);
    }

    private static void tags(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        for (int i = 0; i < 12; i++) {
            producer.send(Env.message(topic, "T" + i % 3, "m" + i), Env.queue(topic, 0));
        }
        producer.send(Env.message(topic, null, "untagged"), Env.queue(topic, 0));
        Env.end(Env.queue(topic, 0), 13);
        DefaultMQPullConsumer consumer = puller(c);
        String[] expressions = {"*", "T1", "T0 || T2", "T1||", "  T2  ", "none", "Aa || BB"};
        for (int i = 0; i < expressions.length; i++) {
            PullResult result = consumer.pull(Env.queue(topic, 0), expressions[i], 0, 32);
            List<String> bodies = new ArrayList<String>();
            if (result.getMsgFoundList() != null) {
                for (MessageExt message : result.getMsgFoundList()) {
                    bodies.add(Text.text(message.getBody()));
                }
            }
            c.fact("expression" + i, "status", result.getPullStatus(), "next", result.getNextBeginOffset(), "bodies", Text.list(bodies));
        }
        // Equal hash codes: the broker lets both pass, the client drops the other one.
        producer.send(Env.message(topic, "BB", "hash"), Env.queue(topic, 0));
        Env.end(Env.queue(topic, 0), 14);
        PullResult same = consumer.pull(Env.queue(topic, 0), "Aa", 13, 32);
        c.fact("equalHash", "status", same.getPullStatus(), "next", same.getNextBeginOffset(),
            "found", same.getMsgFoundList() == null ? 0 : same.getMsgFoundList().size());
    }

    private static void offsets(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 2, 10, "m");
        String group = c.unique("cg");
        DefaultMQPullConsumer consumer = puller(c, group);
        MessageQueue queue = Env.queue(topic, 0);
        c.fact("none", "fromStore", consumer.fetchConsumeOffset(queue, true));
        c.outcome("unknownGroup", () -> {
            consumer.getOffsetStore().updateConsumeOffsetToBroker(queue, 3, false);
            return "stored";
        });
        consumer.pull(queue, "*", 0, 1);
        consumer.getOffsetStore().updateConsumeOffsetToBroker(queue, 3, false);
        c.fact("stored", "came", Case.await(5000, () -> consumer.fetchConsumeOffset(queue, true) == 3));
        consumer.getOffsetStore().updateConsumeOffsetToBroker(queue, 5, true);
        c.fact("moved", "came", Case.await(5000, () -> consumer.fetchConsumeOffset(queue, true) == 5));
        DefaultMQPullConsumer later = puller(c, group);
        c.fact("otherClient", "fromStore", later.fetchConsumeOffset(queue, true),
            "otherQueue", later.fetchConsumeOffset(Env.queue(topic, 1), true));
    }

    private static void store(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        MessageQueue queue = Env.queue(topic, 0);
        DefaultMQPullConsumer consumer = puller(c);
        c.fact("empty", "min", consumer.minOffset(queue), "max", consumer.maxOffset(queue),
            "search", consumer.searchOffset(queue, System.currentTimeMillis()), "earliest", consumer.earliestMsgStoreTime(queue) == -1);
        long before = System.currentTimeMillis();
        DefaultMQProducer producer = Env.producer(c);
        List<Long> times = new ArrayList<Long>();
        for (int i = 0; i < 5; i++) {
            Thread.sleep(60);
            SendResult result = producer.send(Env.message(topic, "A", "m" + i), queue);
            times.add(Env.admin().viewMessage(topic, result.getOffsetMsgId()).getStoreTimestamp());
        }
        c.fact("bounds", "min", consumer.minOffset(queue), "max", consumer.maxOffset(queue));
        List<Long> found = new ArrayList<Long>();
        for (long time : times) {
            found.add(consumer.searchOffset(queue, time));
            found.add(consumer.searchOffset(queue, time + 1));
        }
        c.fact("search", "atAndAfterEach", Text.list(found), "before", consumer.searchOffset(queue, before - 1000000),
            "future", consumer.searchOffset(queue, System.currentTimeMillis() + 1000000), "zero", consumer.searchOffset(queue, 0));
        c.fact("earliest", "same", consumer.earliestMsgStoreTime(queue) == times.get(0));
        c.outcome("otherQueue", () -> consumer.maxOffset(Env.queue(topic, 1)));
        c.outcome("queueBeyond", () -> consumer.maxOffset(Env.queue(topic, 9)));
    }

    private static List<String> poll(DefaultLitePullConsumer consumer, int count) {
        List<String> bodies = new ArrayList<String>();
        long end = System.nanoTime() + 30000000000L;
        while (bodies.size() < count && System.nanoTime() < end) {
            for (MessageExt message : consumer.poll(500)) {
                bodies.add(Text.text(message.getBody()));
            }
        }
        for (MessageExt message : consumer.poll(300)) {
            bodies.add("extra:" + Text.text(message.getBody()));
        }
        return bodies;
    }

    static DefaultLitePullConsumer lite(Case c, String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        consumer.setNamesrvAddr(Env.namesrv);
        consumer.setInstanceName(Env.instance(c));
        consumer.setAutoCommit(false);
        consumer.setPollNameServerInterval(3000);
        consumer.setHeartbeatBrokerInterval(3000);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.closing(consumer::shutdown);
        return consumer;
    }

    private static void liteAssign(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        DefaultMQProducer producer = Env.producer(c);
        List<Long> times = new ArrayList<Long>();
        for (int i = 0; i < 6; i++) {
            Thread.sleep(30);
            SendResult result = producer.send(Env.message(topic, "A", "m" + i), Env.queue(topic, 0));
            times.add(Env.admin().viewMessage(topic, result.getOffsetMsgId()).getStoreTimestamp());
        }
        DefaultLitePullConsumer consumer = lite(c, c.unique("cg"));
        consumer.start();
        MessageQueue queue = Env.queue(topic, 0);
        Collection<MessageQueue> all = consumer.fetchMessageQueues(topic);
        c.fact("queues", "count", all.size());
        consumer.assign(Collections.singletonList(queue));
        consumer.seekToBegin(queue);
        c.fact("fromBegin", "bodies", Text.list(poll(consumer, 6)));
        consumer.seek(queue, 4);
        c.fact("from4", "bodies", Text.list(poll(consumer, 2)));
        c.fact("byTime", "offset", consumer.offsetForTimestamp(queue, times.get(3)));
        consumer.seek(queue, consumer.offsetForTimestamp(queue, times.get(3)));
        c.fact("fromTime", "bodies", Text.list(poll(consumer, 3)));
        c.fact("uncommitted", "offset", consumer.committed(queue));
        consumer.commitSync();
        c.fact("committed", "came", Case.await(5000, () -> consumer.committed(queue) == 6));
        consumer.seekToEnd(queue);
        producer.send(Env.message(topic, "A", "late"), queue);
        c.fact("fromEnd", "bodies", Text.list(poll(consumer, 1)));
        c.outcome("beyond", () -> {
            consumer.seek(queue, 1000);
            return "accepted";
        });
    }

    private static void liteSubscribe(Case c) throws Exception {
        String topic = Env.topic(c, "t", 4);
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 4, 20, "m");
        String group = c.unique("cg");
        DefaultLitePullConsumer consumer = lite(c, group);
        consumer.subscribe(topic, "*");
        consumer.start();
        List<String> bodies = poll(consumer, 20);
        c.fact("all", "count", bodies.size(), "bodies", Text.sorted(bodies));
        consumer.commitSync();
        TreeMap<Integer, Long> committed = new TreeMap<Integer, Long>();
        Case.await(5000, () -> {
            for (int i = 0; i < 4; i++) {
                committed.put(i, consumer.committed(Env.queue(topic, i)));
            }
            return !committed.containsValue(-1L) && !committed.containsValue(0L);
        });
        c.fact("committed", "offsets", Text.sorted(committed));
        consumer.shutdown();
        Env.fill(producer, topic, 4, 4, "later");
        DefaultLitePullConsumer next = lite(c, group);
        next.subscribe(topic, "*");
        next.start();
        c.fact("next", "bodies", Text.sorted(poll(next, 4)));
    }

    private static void queryIds(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        DefaultMQProducer producer = Env.producer(c);
        SendResult result = producer.send(Env.message(topic, "A", "find me"));
        MessageExt byOffsetId = Env.admin().viewMessage(topic, result.getOffsetMsgId());
        c.fact("byOffsetId", "body", Text.text(byOffsetId.getBody()), "id", byOffsetId.getMsgId().equals(result.getMsgId()));
        MessageExt[] found = new MessageExt[1];
        c.fact("byUniqueKey", "came", Case.await(8000, () -> {
            try {
                found[0] = Env.admin().viewMessage(topic, result.getMsgId());
                return found[0] != null;
            } catch (Exception error) {
                return false;
            }
        }), "body", found[0] == null ? "" : Text.text(found[0].getBody()));
        String wrong = result.getOffsetMsgId().substring(0, 16) + "00000000FFFFFFF0";
        c.outcome("wrongPosition", () -> Env.admin().viewMessage(topic, wrong).getTopic());
        String between = result.getOffsetMsgId().substring(0, 16) + "0000000000000003";
        c.outcome("betweenRecords", () -> Env.admin().viewMessage(topic, between).getTopic());
    }

    private static void queryKeys(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        DefaultMQProducer producer = Env.producer(c);
        long begin = System.currentTimeMillis() - 1000;
        for (int i = 0; i < 10; i++) {
            producer.send(new Message(topic, "A", "order" + i + " common", Text.bytes("m" + i)), Env.queue(topic, i % 2));
        }
        long end = System.currentTimeMillis() + 100000;
        c.fact("indexed", "came", Case.await(8000, () -> {
            try {
                return Env.admin().queryMessage(topic, "common", 64, begin, end).getMessageList().size() == 10;
            } catch (Exception error) {
                return false;
            }
        }));
        QueryResult all = Env.admin().queryMessage(topic, "common", 64, begin, end);
        List<String> bodies = new ArrayList<String>();
        for (MessageExt message : all.getMessageList()) {
            bodies.add(Text.text(message.getBody()));
        }
        c.fact("common", "bodies", Text.sorted(bodies), "indexed", all.getIndexLastUpdateTimestamp() > begin);
        QueryResult few = Env.admin().queryMessage(topic, "common", 3, begin, end);
        c.fact("limited", "count", few.getMessageList().size());
        QueryResult one = Env.admin().queryMessage(topic, "order7", 64, begin, end);
        c.fact("single", "body", Text.text(one.getMessageList().get(0).getBody()), "count", one.getMessageList().size());
        c.outcome("noHit", () -> Env.admin().queryMessage(topic, "nowhere", 64, begin, end).getMessageList().size());
        c.outcome("otherTime", () -> Env.admin().queryMessage(topic, "common", 64, begin - 9000000, begin - 8000000).getMessageList().size());
    }
}
