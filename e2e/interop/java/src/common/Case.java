import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.Callable;

/** One named scenario: what it does, and the facts it saw. Facts must be the same on every run against the same kind of system. */
final class Case {
    interface Body {
        void run(Case c) throws Exception;
    }

    final String name;
    private final Body body;
    private final List<String> lines = new ArrayList<String>();
    private final List<Runnable> closers = new ArrayList<Runnable>();

    Case(String name, Body body) {
        this.name = name;
        this.body = body;
    }

    /** Topic and group names of this scenario: unlike those of every other one and of earlier runs. */
    String unique(String suffix) {
        return "it_" + name.replace('.', '_') + "_" + suffix + "_" + Env.RUN;
    }

    /** Adds a line of facts: `step`, then names and values in turns. */
    synchronized void fact(String step, Object... pairs) {
        StringBuilder line = new StringBuilder("CASE ").append(name).append('.').append(step);
        for (int i = 0; i < pairs.length; i += 2) {
            line.append(' ').append(pairs[i]).append('=').append(Text.escape(Env.mask(String.valueOf(pairs[i + 1]))));
        }
        lines.add(line.toString());
    }

    /** Adds what `call` answers, or how it fails. */
    void outcome(String step, Callable<?> call) {
        Object value;
        try {
            value = call.call();
        } catch (Throwable error) {
            fact(step, "error", Text.error(error));
            return;
        }
        fact(step, "value", value);
    }

    /** Runs `closer` when the scenario ends, last registered first. */
    synchronized void closing(Runnable closer) {
        closers.add(closer);
    }

    /** Runs the scenario and prints its lines together. True if it ended by itself. */
    boolean run(PrintStream out) {
        boolean fine = true;
        long began = System.nanoTime();
        try {
            body.run(this);
        } catch (Throwable error) {
            fine = false;
            fact("broken", "error", Text.error(error));
            synchronized (System.err) {
                System.err.println("scenario " + name);
                error.printStackTrace();
            }
        }
        for (int i = closers.size() - 1; i >= 0; i--) {
            try {
                closers.get(i).run();
            } catch (Throwable error) {
                System.err.println("scenario " + name + ", closing: " + error);
            }
        }
        synchronized (out) {
            for (String line : lines) {
                out.println(line);
            }
            out.println("TIME " + name + " " + (System.nanoTime() - began) / 1000000L);
            out.flush();
        }
        return fine;
    }

    /** Waits until `wanted` holds. False if it did not within `ms`. */
    static boolean await(long ms, Callable<Boolean> wanted) throws Exception {
        long end = System.nanoTime() + ms * 1000000L;
        while (true) {
            if (wanted.call()) {
                return true;
            }
            if (System.nanoTime() - end > 0) {
                return false;
            }
            Thread.sleep(20);
        }
    }

    /** Waits until `list` holds at least `count`, and then a little, to see whether more come. */
    static boolean awaitCount(long ms, final Collection<?> list, final int count) throws Exception {
        boolean came = await(ms, new Callable<Boolean>() {
            public Boolean call() {
                return list.size() >= count;
            }
        });
        Thread.sleep(300);
        return came;
    }
}
