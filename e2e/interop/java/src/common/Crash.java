import java.io.PrintStream;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;

/**
 * Sends without a pause while somebody kills the broker, then reads everything back.
 *
 * Prints `LOADED` when the broker may be killed, and a case when it was seen to fail and to work again and
 * all that was acknowledged has been looked for.
 */
public final class Crash {
    private Crash() {
    }

    public static void main(String[] args) throws Exception {
        Env.namesrv = args[0];
        Env.broker = args[1];
        final PrintStream out = System.out;
        System.setOut(System.err);
        Case c = new Case("crash", Crash::body);
        CrashState.out = out;
        boolean fine = c.run(out);
        out.println("DONE broken=" + (fine ? 0 : 1));
        out.flush();
        Runtime.getRuntime().halt(fine ? 0 : 1);
    }

    /** Where the signal for the killer goes. */
    private static final class CrashState {
        static PrintStream out;
    }

    private static void body(Case c) throws Exception {
        String topic = Env.topic(c, "t", 4);
        final Set<String> acknowledged = ConcurrentHashMap.newKeySet();
        final AtomicBoolean stop = new AtomicBoolean();
        final AtomicInteger failed = new AtomicInteger();
        final AtomicInteger afterFailure = new AtomicInteger();
        Thread[] senders = new Thread[4];
        for (int i = 0; i < senders.length; i++) {
            final int number = i;
            final DefaultMQProducer producer = Env.producer(c);
            producer.setRetryTimesWhenSendFailed(0);
            senders[i] = new Thread(() -> {
                for (int n = 0; !stop.get(); n++) {
                    String body = "s" + number + "-" + n;
                    try {
                        SendResult result = producer.send(Env.message(topic, "A", body), Env.queue(topic, number), 2000);
                        if (result.getSendStatus() == SendStatus.SEND_OK) {
                            acknowledged.add(body);
                            if (failed.get() > 0) {
                                afterFailure.incrementAndGet();
                            }
                        }
                    } catch (Exception error) {
                        failed.incrementAndGet();
                    }
                }
            });
            senders[i].start();
        }
        Case.await(60000, () -> acknowledged.size() > 2000);
        CrashState.out.println("LOADED");
        CrashState.out.flush();
        boolean recovered = Case.await(120000, () -> failed.get() > 0 && afterFailure.get() > 500);
        stop.set(true);
        for (Thread sender : senders) {
            sender.join();
        }
        c.fact("sent", "enough", acknowledged.size() > 2500, "recovered", recovered);
        DefaultMQPushConsumer consumer = Env.consumer(c, c.unique("cg"));
        consumer.subscribe(topic, "*");
        Sink sink = Sink.accepting(consumer);
        consumer.start();
        Case.await(60000, () -> new HashSet<String>(sink.bodies()).containsAll(acknowledged));
        Set<String> missing = new HashSet<String>(acknowledged);
        missing.removeAll(new HashSet<String>(sink.bodies()));
        System.err.println("acknowledged " + acknowledged.size() + ", read " + sink.got.size() + ", failed sends " + failed.get());
        c.fact("read", "missing", missing.size());
    }
}
