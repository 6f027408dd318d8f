//! Calls to the Kubernetes API server: bounded in time, never retried behind the caller's back.

use crate::error::Error;
use kube::client::ClientBuilder;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use std::time::Duration;

/// What one call may take. It bounds the whole call: the client itself has no limit for answers.
pub(crate) const CALL: Duration = Duration::from_secs(10);

/// A client after the usual rules: a kubeconfig if there is one, else the pod's service account.
///
/// The client's own retries are off: they wait up to minutes, ten deep, inside of one call. Here
/// a failed call ends the reconcile and the next one begins from what is there by then.
///
/// # Errors
/// When there is neither, or what is there cannot be used.
pub(crate) async fn connect(context: Option<&str>) -> anyhow::Result<Client> {
    let mut config = match context {
        Some(context) => {
            let options =
                KubeConfigOptions { context: Some(context.to_owned()), ..Default::default() };
            Config::from_kubeconfig(&options).await?
        }
        None => Config::infer().await?,
    };
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.write_timeout = Some(CALL);
    Ok(ClientBuilder::try_from(config)?.build())
}

/// Runs one call within [`CALL`]. `tried` completes "cannot …".
///
/// # Errors
/// The server's refusal, or that it did not answer.
pub(crate) async fn bounded<T>(
    tried: impl Into<String>,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    bounded_by(CALL, tried, call).await
}

/// As [`bounded`], with a limit of the caller's.
///
/// # Errors
/// As there.
pub(crate) async fn bounded_by<T>(
    limit: Duration,
    tried: impl Into<String>,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(Error::api(tried, source)),
        Err(_elapsed) => Err(Error::Timeout { tried: tried.into(), after: limit }),
    }
}

/// `None` instead of the answer 404.
pub(crate) fn found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}
