import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;

/** What has another name in the 4.x line. */
final class Compat {
    private Compat() {
    }

    static void broadcast(DefaultMQPushConsumer consumer) {
        consumer.setMessageModel(MessageModel.BROADCASTING);
    }

    static void register(Cases cases) {
        AdminCases.register(cases);
        RawCases.register(cases);
        ToolCases.register(cases);
    }
}
