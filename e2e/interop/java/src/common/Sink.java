import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;

/** Everything that a consumer was handed. */
final class Sink {
    final List<MessageExt> got = Collections.synchronizedList(new ArrayList<MessageExt>());

    /** Takes what comes and says yes to all of it. */
    static Sink accepting(DefaultMQPushConsumer consumer) {
        Sink sink = new Sink();
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            sink.got.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        return sink;
    }

    List<String> bodies() {
        List<String> all = new ArrayList<String>();
        synchronized (got) {
            for (MessageExt message : got) {
                all.add(Text.text(message.getBody()));
            }
        }
        return all;
    }

    /** Distinct bodies, sorted. */
    String set() {
        return Text.sorted(bodies());
    }

    int distinct() {
        return new java.util.HashSet<String>(bodies()).size();
    }

    /** Waits for `count` distinct bodies, then a little more. */
    boolean await(long ms, int count) throws Exception {
        boolean came = Case.await(ms, () -> distinct() >= count);
        Thread.sleep(400);
        return came;
    }

    /** Bodies by queue, in the order of their arrival. */
    TreeMap<Integer, List<String>> byQueue() {
        TreeMap<Integer, List<String>> all = new TreeMap<Integer, List<String>>();
        synchronized (got) {
            for (MessageExt message : got) {
                all.computeIfAbsent(message.getQueueId(), key -> new ArrayList<String>()).add(Text.text(message.getBody()));
            }
        }
        return all;
    }
}
