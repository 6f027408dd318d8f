//! `rmq broker-config`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::connect::Family;
use super::shape::pair;
use crate::output::{Output, table};

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show the settings of a broker
    Get {
        /// Name of the broker (its master is asked) or host:port
        broker: String,
        /// Only these settings
        keys: Vec<String>,
    },
    /// Change settings of a broker while it runs
    Set {
        /// Name of the broker (its master is changed) or host:port
        broker: String,
        /// Settings by their RocketMQ names
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = pair)]
        settings: Vec<(String, String)>,
    },
}

pub(crate) fn run(command: &Family<Action>, output: &mut Output) -> anyhow::Result<ExitCode> {
    let connect = &command.connect;
    match &command.action {
        Action::Get { broker, keys } => {
            let mut settings = connect.run(async |client| {
                let addr = client.admin().cluster_info().await?.broker_address(broker)?;
                Ok(client.admin().broker_config(&addr).await?)
            })?;
            if let Some(missing) = keys.iter().find(|key| !settings.contains_key(*key)) {
                bail!("broker {broker} has no setting {missing}");
            }
            settings.retain(|key, _| keys.is_empty() || keys.contains(key));
            connect.show(output, &settings, |settings| {
                let mut rows = table(["setting", "value"]);
                for (key, value) in settings {
                    rows.add_row([key, value]);
                }
                rows
            })?;
        }
        Action::Set { broker, settings } => {
            let addr = connect.run(async |client| {
                let addr = client.admin().cluster_info().await?.broker_address(broker)?;
                client.admin().update_broker_config(&addr, settings).await?;
                Ok(addr)
            })?;
            let keys: Vec<_> = settings.iter().map(|(key, _)| key.as_str()).collect();
            let sentence = format!("changed {} of {broker} ({addr})", keys.join(", "));
            connect.tell(output, &json!({"broker": addr, "changed": keys}), &sentence)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
