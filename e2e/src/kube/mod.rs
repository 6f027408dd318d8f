//! Kubernetes as the scenarios use it: a cluster, namespaces in it, programs beside it, and a client
//! that keeps a history of what it sent and got.

pub mod chart;
pub mod history;
pub mod load;
pub mod operator;
pub mod owned;
pub mod program;
pub mod proxy;
pub mod site;
pub mod space;

use std::time::Duration;

use anyhow::bail;

/// How long one look at a cluster is worth waiting for.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks `look` until it answers something or `limit` has passed; `what` is said when it has, with
/// what the last look failed with.
///
/// # Errors
/// When the time is up.
pub async fn until<T, F>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let mut last = None;
    let looks = async {
        loop {
            match look().await {
                Ok(Some(found)) => return found,
                Ok(None) => last = None,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    if let Ok(found) = tokio::time::timeout(limit, looks).await {
        return Ok(found);
    }
    match last {
        Some(error) => bail!("not within {} s: {what}: {error:#}", limit.as_secs()),
        None => bail!("not within {} s: {what}", limit.as_secs()),
    }
}
