import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Several consumers of one group, and what outlives a consumer. */
final class GroupCases {
    private GroupCases() {
    }

    static void register(Cases cases) {
        cases.add("group.rebalance", GroupCases::rebalance);
        cases.add("group.topics", GroupCases::twoTopics);
        cases.add("group.broadcast", GroupCases::broadcast);
        cases.add("group.restart", GroupCases::restart);
        cases.add("group.reset", GroupCases::reset);
        cases.add("group.independent", GroupCases::independent);
    }

    private static Set<MessageQueue> held(DefaultMQPushConsumer consumer, String topic) {
        Set<MessageQueue> held = new TreeSet<MessageQueue>();
        for (MessageQueue queue : consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet()) {
            if (queue.getTopic().equals(topic)) {
                held.add(queue);
            }
        }
        return held;
    }

    /** Waits until retries of the group would be read: its retry topic comes into being with the first heartbeat. */
    static void awaitRetryQueue(DefaultMQPushConsumer consumer) throws Exception {
        Case.await(40000, () -> held(consumer, "%RETRY%" + consumer.getConsumerGroup()).size() == 1);
    }

    private static String ids(Set<MessageQueue> queues) {
        List<Integer> ids = new ArrayList<Integer>();
        for (MessageQueue queue : queues) {
            ids.add(queue.getQueueId());
        }
        Collections.sort(ids);
        return Text.list(ids);
    }

    private static void rebalance(Case c) throws Exception {
        String topic = Env.topic(c, "t", 6);
        String group = c.unique("cg");
        DefaultMQProducer producer = Env.producer(c);
        DefaultMQPushConsumer one = Env.consumer(c, group);
        one.setInstanceName("a-" + Env.instance(c));
        one.subscribe(topic, "*");
        Sink first = Sink.accepting(one);
        one.start();
        c.fact("alone", "came", Case.await(30000, () -> held(one, topic).size() == 6));
        DefaultMQPushConsumer two = Env.consumer(c, group);
        two.setInstanceName("b-" + Env.instance(c));
        two.subscribe(topic, "*");
        Sink second = Sink.accepting(two);
        two.start();
        long began = System.nanoTime();
        boolean shared = Case.await(30000, () -> held(one, topic).size() == 3 && held(two, topic).size() == 3);
        c.fact("shared", "came", shared, "first", ids(held(one, topic)), "second", ids(held(two, topic)),
            "soon", System.nanoTime() - began < 10000000000L);
        Env.fill(producer, topic, 6, 60, "m");
        boolean came = Case.await(40000, () -> first.distinct() + second.distinct() >= 60);
        Thread.sleep(300);
        c.fact("split", "came", came, "first", first.distinct(), "second", second.distinct(),
            "queuesOfFirst", Text.sorted(first.byQueue().keySet()), "queuesOfSecond", Text.sorted(second.byQueue().keySet()));
        two.shutdown();
        began = System.nanoTime();
        boolean taken = Case.await(30000, () -> held(one, topic).size() == 6);
        c.fact("left", "came", taken, "soon", System.nanoTime() - began < 5000000000L);
        Env.fill(producer, topic, 6, 12, "n");
        c.fact("after", "came", Case.await(30000, () -> first.bodies().contains("n11") && first.bodies().contains("n0")));
    }

    private static void twoTopics(Case c) throws Exception {
        String first = Env.topic(c, "t1", 2);
        String second = Env.topic(c, "t2", 2);
        DefaultMQProducer producer = Env.producer(c);
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(first, "*");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        Env.fill(producer, first, 2, 4, "a");
        Env.fill(producer, second, 2, 4, "b");
        c.fact("one", "came", sink.await(40000, 4), "bodies", sink.set());
        consumer.subscribe(second, "*");
        c.fact("two", "came", sink.await(60000, 8), "bodies", sink.set());
        consumer.unsubscribe(first);
        Thread.sleep(500);
        Env.fill(producer, second, 2, 2, "c");
        c.fact("rest", "came", sink.await(60000, 10), "bodies", sink.set());
    }

    private static void broadcast(Case c) throws Exception {
        String topic = Env.topic(c, "t", 4);
        String group = c.unique("cg");
        DefaultMQProducer producer = Env.producer(c);
        List<Sink> sinks = new ArrayList<Sink>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<DefaultMQPushConsumer>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = Env.consumer(c, group);
            Compat.broadcast(consumer);
            consumer.subscribe(topic, "*");
            sinks.add(Sink.accepting(consumer));
            consumer.start();
            consumers.add(consumer);
        }
        for (DefaultMQPushConsumer consumer : consumers) {
            Case.await(20000, () -> held(consumer, topic).size() == 4);
        }
        Env.fill(producer, topic, 4, 20, "m");
        for (int i = 0; i < 2; i++) {
            c.fact("consumer" + i, "came", sinks.get(i).await(40000, 20), "count", sinks.get(i).got.size());
        }
    }

    private static void restart(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        String group = c.unique("cg");
        DefaultMQProducer producer = Env.producer(c);
        Env.fill(producer, topic, 2, 10, "m");
        DefaultMQPushConsumer one = Env.consumer(c, group);
        one.subscribe(topic, "*");
        Sink first = Sink.accepting(one);
        one.start();
        c.fact("first", "came", first.await(40000, 10), "count", first.got.size());
        one.shutdown();
        Env.fill(producer, topic, 2, 6, "n");
        DefaultMQPushConsumer two = Env.consumer(c, group);
        two.subscribe(topic, "*");
        Sink second = Sink.accepting(two);
        two.start();
        c.fact("second", "came", second.await(40000, 6), "bodies", second.set(), "count", second.got.size());
    }

    private static void reset(Case c) throws Exception {
        String topic = Env.topic(c, "t", 1);
        String group = c.unique("cg");
        DefaultMQProducer producer = Env.producer(c);
        List<Long> times = new ArrayList<Long>();
        for (int i = 0; i < 10; i++) {
            Thread.sleep(30);
            SendResult result = producer.send(Env.message(topic, "A", "m" + i), Env.queue(topic, 0));
            times.add(Env.admin().viewMessage(topic, result.getOffsetMsgId()).getStoreTimestamp());
        }
        DefaultMQPushConsumer consumer = Env.consumer(c, group);
        consumer.subscribe(topic, "*");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        c.fact("first", "came", sink.await(40000, 10), "count", sink.got.size());
        Case.await(10000, () -> Env.admin().examineConsumeStats(group, topic).computeTotalDiff() == 0);
        c.outcome("reset", () -> new ArrayList<Long>(Env.admin().resetOffsetByTimestamp(topic, group, times.get(6), true).values()));
        boolean came = Case.awaitCount(60000, sink.got, 14);
        List<String> again = new ArrayList<String>(sink.bodies());
        c.fact("again", "came", came, "bodies", Text.sorted(again.subList(10, again.size())));
        Case.await(10000, () -> Env.admin().examineConsumeStats(group, topic).computeTotalDiff() == 0);
        consumer.shutdown();
        c.outcome("offline", () -> new ArrayList<Long>(Env.admin().resetOffsetByTimestamp(topic, group, times.get(8), true).values()));
        DefaultMQPushConsumer next = Env.consumer(c, group);
        next.subscribe(topic, "*");
        Sink later = Sink.accepting(next);
        next.start();
        c.fact("afterOffline", "came", later.await(40000, 2), "bodies", later.set());
    }

    private static void independent(Case c) throws Exception {
        String topic = Env.topic(c, "t", 2);
        DefaultMQProducer producer = Env.producer(c);
        List<Sink> sinks = new ArrayList<Sink>();
        for (int i = 0; i < 3; i++) {
            DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg" + i));
            consumer.subscribe(topic, i == 2 ? "odd" : "*");
            sinks.add(Sink.accepting(consumer));
            consumer.start();
        }
        for (int i = 0; i < 10; i++) {
            producer.send(Env.message(topic, i % 2 == 0 ? "even" : "odd", "m" + i), Env.queue(topic, i % 2));
        }
        for (int i = 0; i < 3; i++) {
            c.fact("group" + i, "came", sinks.get(i).await(40000, i == 2 ? 5 : 10), "bodies", sinks.get(i).set());
        }
    }
}
