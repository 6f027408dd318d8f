//! How masters and slaves stand, for people and for programs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rmq_client::admin::{Replication, Standing, standing};
use rmq_client::{Client, Config};
use rmq_host::SystemClock;
use rmq_host::runtime::{self, RuntimeConfig};
use rmq_operator_plan::Plan;
use serde::Serialize;

/// Longest wait for the word of one broker of this machine.
const ANSWER: Duration = Duration::from_secs(1);

/// One broker's part in replication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    /// `master` or `slave`.
    role: &'static str,
    /// Copies in sync, its own included; only of a master.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_sync_copies: Option<i64>,
    /// Whether it is in sync; not of a slave whose master does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_sync: Option<bool>,
    /// Whether a slave copies at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    following: Option<bool>,
    lag_bytes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_ms: Option<u64>,
}

/// By pod.
pub(crate) type Standings = BTreeMap<String, Shown>;

impl Shown {
    pub(crate) fn of(standing: &Standing) -> Self {
        Self {
            role: if standing.master { "master" } else { "slave" },
            in_sync_copies: standing.in_sync_copies,
            in_sync: standing.in_sync,
            following: standing.following,
            lag_bytes: standing.lag_bytes,
            lag_ms: standing.lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// Role, in sync and lag as columns of a table.
pub(crate) fn cells(shown: Option<&Shown>) -> [String; 3] {
    let Some(shown) = shown else { return ["-", "-", "-"].map(str::to_owned) };
    let in_sync = match (shown.in_sync_copies, shown.in_sync) {
        (Some(1), _) => "1 copy".to_owned(),
        (Some(copies), _) => format!("{copies} copies"),
        (None, Some(true)) => "yes".to_owned(),
        (None, Some(false)) => "no".to_owned(),
        (None, None) => "no master".to_owned(),
    };
    let lag = match (shown.role, shown.lag_ms) {
        ("master", _) => "-".to_owned(),
        (_, Some(ms)) if 0 < shown.lag_bytes => {
            format!("{}, {}.{} s", bytes(shown.lag_bytes), ms / 1_000, ms % 1_000 / 100)
        }
        _ => bytes(shown.lag_bytes),
    };
    [shown.role.to_owned(), in_sync, lag]
}

fn bytes(count: i64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut tenths, mut unit) = (count, 0, "B");
    for next in UNITS {
        if whole < 1_024 {
            break;
        }
        tenths = whole % 1_024 * 10 / 1_024;
        whole /= 1_024;
        unit = next;
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenths} {unit}") }
}

/// Asks the brokers of `plan` that have others beside them; those that do not answer are left
/// out.
///
/// # Errors
/// When no runtime can be had.
pub(crate) fn standings(plan: &Plan) -> anyhow::Result<Standings> {
    if plan.replicas_per_group < 2 {
        return Ok(Standings::new());
    }
    let config = RuntimeConfig { workers: 0, ..RuntimeConfig::default() };
    let runtime = runtime::build(&config).context("cannot start the runtime")?;
    let names = plan.name_servers.parse().context("the name servers of the cluster")?;
    let config = Config::new(names, Arc::new(SystemClock::new()));
    let client = Client::new(Config { timeout: ANSWER, ..config });
    Ok(runtime.block_on(ask(plan, &client)))
}

async fn ask(plan: &Plan, client: &Client) -> Standings {
    let admin = client.admin();
    let mut groups: BTreeMap<&str, Vec<(i64, Replication)>> = BTreeMap::new();
    let brokers =
        || plan.processes.iter().filter_map(|one| one.broker.as_ref().map(|broker| (one, broker)));
    for (process, broker) in brokers() {
        let said = tokio::time::timeout(ANSWER, admin.replication(&process.address())).await;
        if let Ok(Ok(said)) = said {
            groups.entry(&broker.name).or_default().push((broker.id.into(), said));
        }
    }
    let mut standings = Standings::new();
    for (process, broker) in brokers() {
        let group = groups.get(&*broker.name).map(Vec::as_slice).unwrap_or_default();
        if let Some(standing) = standing(group, broker.id.into()) {
            standings.insert(process.name.clone(), Shown::of(&standing));
        }
    }
    standings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slave(in_sync: Option<bool>, lag_bytes: i64, lag_ms: Option<u64>) -> Shown {
        Shown {
            role: "slave",
            in_sync_copies: None,
            in_sync,
            following: Some(true),
            lag_bytes,
            lag_ms,
        }
    }

    #[test]
    fn standings_as_people_read_them() {
        let master =
            Shown { in_sync_copies: Some(2), role: "master", ..slave(Some(true), 0, None) };
        for (shown, want) in [
            (Some(master), ["master", "2 copies", "-"]),
            (Some(slave(Some(true), 0, Some(0))), ["slave", "yes", "0 B"]),
            (Some(slave(Some(false), 3 << 20, Some(1_540))), ["slave", "no", "3.0 MiB, 1.5 s"]),
            (Some(slave(None, 1_300, None)), ["slave", "no master", "1.2 KiB"]),
            (None, ["-", "-", "-"]),
        ] {
            assert_eq!(cells(shown.as_ref()), want.map(str::to_owned), "{shown:?}");
        }
    }
}
