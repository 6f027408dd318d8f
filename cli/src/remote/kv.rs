//! `rmq kv`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;

use super::connect::Family;
use crate::output::{Output, table};

#[derive(Debug, Subcommand)]
pub enum Action {
    /// List the entries of a namespace
    List {
        /// Namespace, such as ORDER_TOPIC_CONFIG
        namespace: String,
    },
    /// Show an entry
    Get {
        /// Namespace
        namespace: String,
        /// Key
        key: String,
    },
    /// Set an entry on every name server
    Put {
        /// Namespace
        namespace: String,
        /// Key
        key: String,
        /// Value
        value: String,
    },
    /// Remove an entry from every name server
    Delete {
        /// Namespace
        namespace: String,
        /// Key
        key: String,
    },
}

pub(crate) fn run(command: &Family<Action>, output: &mut Output) -> anyhow::Result<ExitCode> {
    let connect = &command.connect;
    match &command.action {
        Action::List { namespace } => {
            let entries =
                connect.run(async |client| Ok(client.admin().kv_list(namespace).await?))?;
            connect.show(output, &entries, |entries| {
                let mut rows = table(["key", "value"]);
                for (key, value) in entries {
                    rows.add_row([key, value]);
                }
                rows
            })?;
        }
        Action::Get { namespace, key } => {
            let value =
                connect.run(async |client| Ok(client.admin().kv_get(namespace, key).await?))?;
            let value = value.with_context(|| format!("there is no {key} in {namespace}"))?;
            connect.tell(output, &value, &value)?;
        }
        Action::Put { namespace, key, value } => {
            connect.run(async |client| Ok(client.admin().kv_put(namespace, key, value).await?))?;
            let sentence = format!("set {key} in {namespace}");
            connect.tell(output, &json!({"namespace": namespace, "set": key}), &sentence)?;
        }
        Action::Delete { namespace, key } => {
            connect.run(async |client| Ok(client.admin().kv_delete(namespace, key).await?))?;
            let sentence = format!("removed {key} from {namespace}");
            connect.tell(output, &json!({"namespace": namespace, "removed": key}), &sentence)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
