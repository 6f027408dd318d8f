import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** The system under test and clients of it. */
final class Env {
    static final String RUN = Long.toString(System.currentTimeMillis() / 1000, 36);
    static String namesrv;
    static String broker;
    static String brokerName = "broker-a";
    static String cluster = "DefaultCluster";
    private static final AtomicInteger CLIENTS = new AtomicInteger();
    private static DefaultMQAdminExt admin;

    private Env() {
    }

    /** Hides what differs from one system to the next. */
    static String mask(String text) {
        return text.replace("_" + RUN, "").replace(RUN, "<run>").replace(broker, "<broker>").replace(namesrv, "<namesrv>");
    }

    static synchronized DefaultMQAdminExt admin() throws Exception {
        if (admin == null) {
            DefaultMQAdminExt made = new DefaultMQAdminExt(10000);
            made.setNamesrvAddr(namesrv);
            made.setInstanceName("admin-" + RUN);
            made.start();
            admin = made;
        }
        return admin;
    }

    static synchronized void close() {
        if (admin != null) {
            admin.shutdown();
        }
    }

    static DefaultMQProducer producer(Case c, String group) throws Exception {
        final DefaultMQProducer made = new DefaultMQProducer(group);
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance(c));
        made.setPollNameServerInterval(3000);
        made.setHeartbeatBrokerInterval(5000);
        made.setSendMsgTimeout(10000);
        made.start();
        c.closing(new Runnable() {
            public void run() {
                made.shutdown();
            }
        });
        return made;
    }

    static DefaultMQProducer producer(Case c) throws Exception {
        return producer(c, c.unique("pg"));
    }

    /** A push consumer that is not started yet. */
    static DefaultMQPushConsumer consumer(Case c, String group) {
        final DefaultMQPushConsumer made = new DefaultMQPushConsumer(group);
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance(c));
        made.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        made.setPollNameServerInterval(3000);
        made.setHeartbeatBrokerInterval(3000);
        made.setPersistConsumerOffsetInterval(500);
        c.closing(new Runnable() {
            public void run() {
                made.shutdown();
            }
        });
        return made;
    }

    static String instance(Case c) {
        return c.name + "-" + CLIENTS.incrementAndGet();
    }

    /** Makes a topic and waits until clients can see it. */
    static String topic(Case c, String suffix, int queues) throws Exception {
        return topic(c, suffix, queues, 6);
    }

    static String topic(Case c, String suffix, int queues, int perm) throws Exception {
        final String name = c.unique(suffix);
        admin().createAndUpdateTopicConfig(broker, new TopicConfig(name, queues, queues, perm));
        if (!routed(name)) {
            throw new IllegalStateException("topic " + name + " did not get a route");
        }
        return name;
    }

    static boolean routed(final String topic) throws Exception {
        return Case.await(15000, new Callable<Boolean>() {
            public Boolean call() {
                try {
                    admin().examineTopicRouteInfo(topic);
                    return true;
                } catch (Exception error) {
                    return false;
                }
            }
        });
    }

    static MessageQueue queue(String topic, int id) {
        return new MessageQueue(topic, brokerName, id);
    }

    static Message message(String topic, String tags, String body) {
        return new Message(topic, tags, Text.bytes(body));
    }

    /** Sends bodies `prefix0`… to the queues in turns. */
    static List<String> fill(DefaultMQProducer producer, String topic, int queues, int count, String prefix) throws Exception {
        List<String> ids = new ArrayList<String>();
        long[] ends = new long[queues];
        for (int i = 0; i < count; i++) {
            Message message = message(topic, "", prefix + i);
            SendResult result = producer.send(message, queue(topic, i % queues));
            ends[i % queues] = result.getQueueOffset() + 1;
            ids.add(result.getMsgId());
        }
        for (int i = 0; i < queues; i++) {
            if (ends[i] > 0) {
                end(queue(topic, i), ends[i]);
            }
        }
        return ids;
    }

    /** End of a queue. The original shows `expected` only when its queues have followed the log. */
    static long end(MessageQueue queue, long expected) throws Exception {
        Case.await(3000, () -> admin().maxOffset(queue) >= expected);
        return admin().maxOffset(queue);
    }

    static List<MessageQueue> queues(Set<MessageQueue> set) {
        List<MessageQueue> all = new ArrayList<MessageQueue>(set);
        java.util.Collections.sort(all);
        return all;
    }
}
