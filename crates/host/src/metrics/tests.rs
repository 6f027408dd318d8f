use super::*;

const DROPPED: &str =
    "# HELP rmq_metrics_series_dropped_total Uses of label sets beyond the bound of their metric.
# TYPE rmq_metrics_series_dropped_total counter
";

#[test]
fn the_text_is_what_prometheus_reads() {
    let registry = Registry::new(vec![("cluster".to_owned(), "c\"1\"".to_owned())]);
    let requests = registry.counters(Describe {
        name: "requests_total",
        help: "Requests.",
        labels: &["code", "result"],
    });
    requests.with(&["pull", "ok"]).add(2);
    requests.with(&["get\\\n", "ok"]).increment();
    requests.with(&["pull", "ok"]).increment();
    let open = registry.gauge("connections", "Open connections.");
    open.add(5);
    open.add(-7);
    let latency = registry.histogram("latency_milliseconds", "Latency.", &[1.0, 2.5]);
    latency.observe(1.0);
    latency.observe_many(2.0, 3);
    latency.observe(9.5);
    registry.collect(|out| {
        out.begin("lag", "Lag.", Kind::Gauge);
        out.sample(&[("topic", "t")], 7);
    });
    let text = registry.render();
    let common = "cluster=\"c\\\"1\\\"\"";
    let want = format!(
        r#"{DROPPED}rmq_metrics_series_dropped_total{{{common}}} 0
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{{{common},code="get\\\n",result="ok"}} 1
requests_total{{{common},code="pull",result="ok"}} 3
# HELP connections Open connections.
# TYPE connections gauge
connections{{{common}}} -2
# HELP latency_milliseconds Latency.
# TYPE latency_milliseconds histogram
latency_milliseconds_bucket{{{common},le="1"}} 1
latency_milliseconds_bucket{{{common},le="2.5"}} 4
latency_milliseconds_bucket{{{common},le="+Inf"}} 5
latency_milliseconds_sum{{{common}}} 16.5
latency_milliseconds_count{{{common}}} 5
# HELP lag Lag.
# TYPE lag gauge
lag{{{common},topic="t"}} 7
"#
    );
    assert_eq!(text, want);
}

#[test]
fn label_sets_are_bounded_and_can_be_forgotten() {
    let registry = Registry::new(Vec::new());
    let describe = Describe { name: "x_total", help: "X.", labels: &["topic"] };
    let family: Family<Counter> = registry.family(describe, (), 2);
    for topic in ["a", "b", "c", "d", "a"] {
        family.with(&[topic]).increment();
    }
    let text = registry.render();
    assert!(text.contains("x_total{topic=\"a\"} 2\n"), "{text}");
    assert!(text.contains("x_total{topic=\"other\"} 2\n"), "{text}");
    assert!(text.contains("rmq_metrics_series_dropped_total 2\n"), "{text}");
    family.remove(&["a"]);
    assert!(!registry.render().contains("topic=\"a\""));
}

#[test]
fn threads_lose_no_count() {
    let histogram = Histogram::new(&[1.0]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| histogram.observe(0.5)));
        }
    });
    assert_eq!((histogram.count(), histogram.sum()), (4000, 2000.0));
}
