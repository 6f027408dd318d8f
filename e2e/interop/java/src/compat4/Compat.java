import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.protocol.heartbeat.MessageModel;

/** What has another name in the 5.x line. */
final class Compat {
    private Compat() {
    }

    static void broadcast(DefaultMQPushConsumer consumer) {
        consumer.setMessageModel(MessageModel.BROADCASTING);
    }

    static void register(Cases cases) {
        // The admin scenarios are run with the current line only.
    }
}
