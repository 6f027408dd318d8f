//! `rmq cluster`.

use std::process::ExitCode;

use anyhow::ensure;
use clap::Subcommand;
use rmq_client::admin::BrokerInfo;
use serde::Serialize;
use std::collections::BTreeMap;

use super::connect::Family;
use crate::output::{Output, table};
use crate::replicas::{self, Shown};

#[derive(Debug, Subcommand)]
pub enum Action {
    /// List the brokers with their rates and disk use
    List {
        /// Only of this cluster
        cluster: Option<String>,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BrokerShape {
    cluster: String,
    broker: String,
    id: i64,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication: Option<Shown>,
    runtime: BTreeMap<String, String>,
}

pub(crate) fn run(command: &Family<Action>, output: &mut Output) -> anyhow::Result<ExitCode> {
    let Action::List { cluster } = &command.action;
    let brokers = command
        .connect
        .run(async |client| Ok(client.admin().brokers(cluster.as_deref()).await?))?;
    let shapes: Vec<_> = brokers.into_iter().map(shape).collect();
    command.connect.show(output, &shapes, |shapes| {
        let names = [
            "cluster",
            "broker",
            "id",
            "role",
            "in sync",
            "lag",
            "address",
            "version",
            "in/s",
            "out/s",
            "in today",
            "out today",
            "disk",
        ];
        let mut rows = table(names);
        for broker in shapes {
            let [role, in_sync, lag] = replicas::cells(broker.replication.as_ref());
            rows.add_row([
                broker.cluster.clone(),
                broker.broker.clone(),
                broker.id.to_string(),
                role,
                in_sync,
                lag,
                broker.address.clone(),
                if broker.error.is_some() {
                    "(no answer)".to_owned()
                } else {
                    broker.value("brokerVersionDesc")
                },
                first_rate(&broker.value("putTps")),
                first_rate(&broker.value("getTransferredTps")),
                broker.today("msgPutTotal"),
                broker.today("msgGetTotal"),
                percent(&broker.value("commitLogDiskRatio")),
            ]);
        }
        rows
    })?;
    let silent: Vec<_> = shapes.iter().filter_map(|broker| broker.error.as_deref()).collect();
    ensure!(silent.is_empty(), "not every broker answered: {}", silent.join("; "));
    Ok(ExitCode::SUCCESS)
}

fn shape(broker: BrokerInfo) -> BrokerShape {
    let (runtime, error) = match broker.runtime {
        Ok(runtime) => (runtime, None),
        Err(error) => (BTreeMap::new(), Some(error)),
    };
    BrokerShape {
        cluster: broker.cluster,
        broker: broker.name,
        id: broker.id,
        address: broker.address,
        error,
        replication: broker.standing.as_ref().map(Shown::of),
        runtime,
    }
}

impl BrokerShape {
    fn value(&self, key: &str) -> String {
        self.runtime.get(key).cloned().unwrap_or_default()
    }

    /// A running total less what it was this morning.
    fn today(&self, prefix: &str) -> String {
        let number = |suffix: &str| self.value(&format!("{prefix}{suffix}")).parse::<i64>();
        match (number("TodayNow"), number("TodayMorning")) {
            (Ok(now), Ok(morning)) => now.saturating_sub(morning).to_string(),
            _ => String::new(),
        }
    }
}

/// Rates come as three numbers: over 10, 60 and 600 seconds.
fn first_rate(text: &str) -> String {
    let first = text.split_ascii_whitespace().next().and_then(|rate| rate.parse::<f64>().ok());
    first.map(|rate| format!("{rate:.1}")).unwrap_or_default()
}

fn percent(ratio: &str) -> String {
    ratio.trim().parse::<f64>().map(|ratio| format!("{:.1}%", ratio * 100.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_values_as_people_read_them() {
        assert_eq!(first_rate("12.345 6.0 0.1"), "12.3");
        assert_eq!((first_rate(""), percent("x")), (String::new(), String::new()));
        assert_eq!(percent("0.14"), "14.0%");
        let runtime = [("msgPutTotalTodayNow", "9"), ("msgPutTotalTodayMorning", "4")];
        let runtime = runtime.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let shape = shape(BrokerInfo {
            cluster: "C".to_owned(),
            name: "b".to_owned(),
            id: 0,
            address: "h:1".to_owned(),
            runtime: Ok(runtime),
            standing: None,
        });
        assert_eq!(
            (shape.today("msgPutTotal"), shape.today("msgGetTotal")),
            ("5".to_owned(), String::new())
        );
    }
}
