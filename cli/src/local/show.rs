//! Clusters as tables.

use comfy_table::Table;
use rmq_model::Millis;
use rmq_operator_plan::{Plan, Process};

use super::record::{Phase, PodState, State};
use crate::output::table;
use crate::replicas::{self, Standings};

/// What a person wants to know after `up`.
pub(super) fn started(plan: &Plan, state: &State) -> Table {
    let columns = ["pod", "component", "broker", "id", "role", "address", "store path", "state"];
    let mut shown = table(columns);
    for process in &plan.processes {
        let phase = state.pod(&process.name).map_or(Phase::Waiting, |pod| pod.phase);
        let mut row = identity(process);
        row.extend([process.address(), process.data().to_owned(), phase.name().to_owned()]);
        shown.add_row(row);
    }
    shown
}

/// What a person wants to know later on. Without the supervisor nothing of `state` holds but
/// processes that still end.
pub(super) fn status(
    plan: &Plan,
    state: &State,
    standings: &Standings,
    supervised: bool,
    now: Millis,
) -> Table {
    let replicated = 1 < plan.replicas_per_group;
    let mut columns = vec![
        "pod",
        "component",
        "broker",
        "id",
        "role",
        "address",
        "pid",
        "uptime",
        "restarts",
        "state",
        "last exit",
    ];
    if replicated {
        columns.splice(5..5, ["in sync", "lag"]);
    }
    let mut shown = table(columns);
    let unknown = PodState::default();
    for process in &plan.processes {
        let pod = state.pod(&process.name).unwrap_or(&unknown);
        let running = pod.running.filter(|running| supervised || running.is_alive());
        let mut row = identity(process);
        if replicated {
            let [_, in_sync, lag] = replicas::cells(standings.get(&process.name));
            row.extend([in_sync, lag]);
        }
        row.push(process.address());
        row.push(running.map_or_else(dash, |running| running.pid.to_string()));
        row.push(running.map_or_else(dash, |running| age(now - running.since)));
        row.push(pod.restarts.to_string());
        row.push(phase(pod, supervised, running.is_some()));
        row.push(pod.last_exit.as_deref().map_or_else(dash, |reason| shorten(reason, 100)));
        shown.add_row(row);
    }
    shown
}

/// The phase as `status` shows it, with its detail.
pub(super) fn phase(pod: &PodState, supervised: bool, alive: bool) -> String {
    match (supervised, alive, &pod.detail) {
        (false, true, _) => "orphaned".to_owned(),
        (false, false, _) => Phase::Stopped.name().to_owned(),
        (true, _, Some(detail)) => format!("{} ({})", pod.phase.name(), shorten(detail, 60)),
        (true, _, None) => pod.phase.name().to_owned(),
    }
}

fn identity(process: &Process) -> Vec<String> {
    let mut row = vec![process.name.clone(), process.component.to_string()];
    match &process.broker {
        Some(broker) => {
            row.extend([broker.name.clone(), broker.id.to_string(), broker.role.to_string()]);
        }
        None => row.extend([dash(), dash(), dash()]),
    }
    row
}

fn dash() -> String {
    "-".to_owned()
}

/// At most `chars_max` characters of one line.
pub(super) fn shorten(text: &str, chars_max: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= chars_max {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(chars_max.saturating_sub(3)).collect();
    short.push_str("...");
    short
}

/// A span of time in its two largest units.
pub(super) fn age(millis: Millis) -> String {
    let seconds = millis.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (millis, text) in [
            (-5, "0s"),
            (59_999, "59s"),
            (60_000, "1m00s"),
            (3_599_999, "59m59s"),
            (3_660_000, "1h01m"),
            (90_000_000, "1d01h"),
        ] {
            assert_eq!(age(millis), text);
        }
    }

    #[test]
    fn one_line_of_a_bounded_length() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("longer\nmore", 5), "lo...");
        assert_eq!(shorten("äöüäöü", 6), "äöüäöü");
    }

    #[test]
    fn nothing_holds_without_the_supervisor() {
        let pod = PodState {
            phase: Phase::Restarting,
            detail: Some("in 3 s".to_owned()),
            ..PodState::default()
        };
        assert_eq!(phase(&pod, true, false), "restarting (in 3 s)");
        assert_eq!(phase(&pod, false, false), "stopped");
        assert_eq!(phase(&pod, false, true), "orphaned");
    }
}
