import java.nio.charset.Charset;
import java.util.Collection;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.Map;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;

/** Values as text without blanks. */
final class Text {
    static final Charset UTF_8 = Charset.forName("UTF-8");

    private Text() {
    }

    static String escape(String value) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c == '%') {
                out.append("%25");
            } else if (c == '|') {
                out.append("%7c"); // facts are quoted in tables
            } else if (c == ' ') {
                out.append('_');
            } else if (c < ' ') {
                out.append(String.format("%%%02x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.toString();
    }

    /** Class and code of a failure. Remarks are for people: they are no part of the contract and are left out. */
    static String error(Throwable error) {
        Throwable root = error;
        while (root.getCause() != null && !(root instanceof MQBrokerException)) {
            root = root.getCause();
        }
        if (root instanceof MQBrokerException) {
            return "broker:" + ((MQBrokerException) root).getResponseCode();
        }
        if (error instanceof MQClientException) {
            return "client:" + ((MQClientException) error).getResponseCode();
        }
        return root.getClass().getSimpleName();
    }

    static String sorted(Collection<?> values) {
        TreeSet<String> all = new TreeSet<String>();
        for (Object value : values) {
            all.add(String.valueOf(value));
        }
        return all.toString().replace(", ", ",");
    }

    static String list(Collection<?> values) {
        return values.toString().replace(", ", ",");
    }

    static String sorted(Map<?, ?> values) {
        TreeMap<String, String> all = new TreeMap<String, String>();
        for (Map.Entry<?, ?> entry : values.entrySet()) {
            all.put(String.valueOf(entry.getKey()), String.valueOf(entry.getValue()));
        }
        return all.toString().replace(", ", ",");
    }

    static byte[] bytes(String value) {
        return value.getBytes(UTF_8);
    }

    static String text(byte[] value) {
        return new String(value, UTF_8);
    }
}
