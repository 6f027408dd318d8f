//! The figures as a page.

use std::time::Duration;

use super::{Figures, MEMORY_KIB_MAX, REACTION_MAX, REST};

pub(super) fn write(figures: &Figures) -> String {
    let Figures { clusters, pods, looks, changes, .. } = figures;
    let mib = |kib: u64| format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024);
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let reaction = |share: usize| {
        let at = (figures.reactions.len() * share / 100).min(figures.reactions.len() - 1);
        format!("{} ms", figures.reactions.get(at).map_or(0, Duration::as_millis))
    };
    format!(
        "# One operator, many clusters

Written by `cargo xtask bench-operator`; do not edit. A real API server and controller manager; the
operator runs beside them with the chart's role. What a kubelet would say of pods, and what brokers
and name servers would answer on their control ports, is made up; calls, watches and objects are real.

| | | limit |
| --- | --- | --- |
| clusters, pods | {clusters}, {pods} | |
| all made and Ready | {} | |
| memory at rest | {} | {} |
| memory at most | {} | |
| at rest for {} s: calls to the API server | {} | |
| CPU time meanwhile | {} ms | |
| looks at settled clusters, changes asked for | {looks}, {changes} | 0 changes |
| a changed setting reaches the file for the pods: median | {} | |
| the slowest of {} | {} | {} ms |
",
        seconds(figures.made),
        mib(figures.memory_kib),
        mib(MEMORY_KIB_MAX),
        mib(figures.memory_peak_kib),
        REST.as_secs(),
        figures.calls_at_rest,
        figures.cpu_at_rest.as_millis(),
        reaction(50),
        figures.reactions.len(),
        reaction(100),
        REACTION_MAX.as_millis(),
    )
}
