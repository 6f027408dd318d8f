import java.util.ArrayList;
import java.util.List;

/** The scenarios in the order of their registration. */
final class Cases {
    final List<Case> all = new ArrayList<Case>();

    void add(String name, Case.Body body) {
        all.add(new Case(name, body));
    }
}
