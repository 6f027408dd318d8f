import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** Sends ten messages; the name servers come from NAMESRV_ADDR. */
public class Producer {
    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("quickstart_producer");
        producer.start();
        for (int i = 0; i < 10; i++) {
            byte[] body = ("Hello RocketMQ " + i).getBytes(StandardCharsets.UTF_8);
            SendResult result = producer.send(new Message("TopicTest", "TagA", body));
            System.out.printf("%s %s queue %d offset %d%n", result.getSendStatus(),
                result.getMessageQueue().getBrokerName(), result.getMessageQueue().getQueueId(),
                result.getQueueOffset());
        }
        producer.shutdown();
    }
}
