import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Runs scenarios of the Java client against one system and prints what it saw.
 *
 * <pre>Interop --namesrv A --broker A [--threads N] [--list] [pattern…]</pre>
 * A pattern is a scenario's name or the beginning of one; without any, all scenarios run. Each prints
 * lines `CASE scenario.step name=value…`. Exit code 1 if a scenario did not come to its end.
 */
public final class Interop {
    private Interop() {
    }

    public static void main(String[] args) throws Exception {
        List<String> patterns = new ArrayList<String>();
        int threads = 6;
        boolean list = false;
        for (int i = 0; i < args.length; i++) {
            if (args[i].equals("--namesrv")) {
                Env.namesrv = args[++i];
            } else if (args[i].equals("--broker")) {
                Env.broker = args[++i];
            } else if (args[i].equals("--threads")) {
                threads = Integer.parseInt(args[++i]);
            } else if (args[i].equals("--list")) {
                list = true;
            } else {
                patterns.add(args[i]);
            }
        }
        // The clients print to standard output now and then: results keep the real one.
        final PrintStream out = System.out;
        System.setOut(System.err);

        Cases cases = new Cases();
        SendCases.register(cases);
        ConsumeCases.register(cases);
        GroupCases.register(cases);
        PullCases.register(cases);
        Compat.register(cases);
        List<Case> chosen = new ArrayList<Case>();
        for (Case c : cases.all) {
            if (wanted(c.name, patterns)) {
                chosen.add(c);
            }
        }
        if (list) {
            for (Case c : chosen) {
                out.println(c.name);
            }
            return;
        }
        final AtomicInteger broken = new AtomicInteger();
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        for (final Case c : chosen) {
            pool.execute(new Runnable() {
                public void run() {
                    if (!c.run(out)) {
                        broken.incrementAndGet();
                    }
                }
            });
        }
        pool.shutdown();
        boolean ended = pool.awaitTermination(15, TimeUnit.MINUTES);
        out.println("DONE scenarios=" + chosen.size() + " broken=" + broken.get() + " ended=" + ended);
        out.flush();
        // Clients leave threads behind that are no daemons.
        Runtime.getRuntime().halt(ended && broken.get() == 0 ? 0 : 1);
    }

    private static boolean wanted(String name, List<String> patterns) {
        for (String pattern : patterns) {
            if (name.startsWith(pattern)) {
                return true;
            }
        }
        return patterns.isEmpty();
    }
}
