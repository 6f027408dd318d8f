//! The process: connects, wins the election, watches, reconciles, stops.

use crate::apiserver::connect;
use crate::cache::ClusterKey;
use crate::cli::RunOptions;
use crate::context::{Context, RECONCILES_MAX, Scope};
use crate::crd::{self, Installed};
use crate::health::State;
use crate::images;
use crate::leader::{Election, Lost};
use crate::metrics::Metrics;
use crate::reconcile::{failed, reconcile};
use crate::watch::{self, Caches, Guarded, WAKES_MAX};
use anyhow::Context as _;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use kube::runtime::controller::{self, applier};
use kube::runtime::reflector::{ObjectRef, store};

use rmq_host::http::{HttpConfig, HttpServer};
use rmq_host::{SystemClock, Tasks, signals};
use rmq_model::Clock;
use rmq_operator_api::Image;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

/// Release of this operator, and of the images it brings along.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Name of the election's Lease.
const LEASE: &str = "rocketmq-operator";
/// For reconciles under way when the process is asked to stop.
const GRACE: Duration = Duration::from_secs(15);
/// Events of a cluster within this time are looked at together.
const GATHER: Duration = Duration::from_millis(50);
/// A missing definition is looked for again after this long.
const DEFINITION_AGAIN: Duration = Duration::from_secs(5);

/// Images of clusters that name none.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    name_server: Option<Image>,
    broker: Option<Image>,
}

impl Images {
    /// # Errors
    /// What is wrong with one of them, for people.
    pub(crate) fn of(name_server: Option<&str>, broker: Option<&str>) -> Result<Self, String> {
        let given = |text: Option<&str>| {
            text.filter(|text| !text.is_empty()).map(images::parse).transpose()
        };
        Ok(Self { name_server: given(name_server)?, broker: given(broker)? })
    }
}

/// Runs until a signal, or until this process may no longer work.
///
/// # Errors
/// When it cannot start, or cannot go on.
pub(crate) async fn run(options: RunOptions, images: Images) -> anyhow::Result<ExitCode> {
    let tasks = Tasks::new("operator");
    let signals = signals::listen(&tasks)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Metrics::new(VERSION);
    let health = State::default();
    serve(&tasks, &options, &health, &metrics).await?;
    let client = connect(options.context.as_deref())
        .await
        .context("cannot find a Kubernetes cluster to work for")?;
    info!(version = VERSION, namespaces = ?options.watch_namespace, "operator starts");

    let me = options.identity.clone().unwrap_or_else(identity);
    let mut election = None;
    if options.leader_elect {
        let namespace = options
            .lease_namespace
            .clone()
            .unwrap_or_else(|| client.default_namespace().to_owned());
        let mut one =
            Election::new(client.clone(), &namespace, LEASE, me.clone(), Arc::clone(&clock));
        tokio::select! {
            () = one.win() => {}
            () = signals.stop.cancelled() => return stop(&tasks).await,
        }
        election = Some(one);
    }
    metrics.leads(true);
    let plan = plan_context(&options, images);
    let context = Arc::new(Context::new(client, clock, metrics.clone(), plan, me));
    let work = Tasks::new("reconcile");
    let namespaces: Vec<Option<String>> = match options.watch_namespace.as_slice() {
        [] => vec![None],
        names => names.iter().cloned().map(Some).collect(),
    };
    check_definition(&work, &context, &health);
    for namespace in namespaces {
        start(&work, &context, namespace.as_deref(), &health);
    }
    let lost = tokio::select! {
        () = signals.stop.cancelled() => None,
        () = work.stopped() => None,
        () = tasks.stopped() => None,
        lost = lead(election.as_mut()) => Some(lost),
    };
    metrics.leads(false);
    if let Some(Lost(reason)) = lost {
        // Somebody else may work already: what is under way is not waited for.
        anyhow::bail!("no longer leads: {reason}");
    }
    let finished = tokio::select! {
        finished = work.shutdown(GRACE) => finished,
        () = signals.hurry.cancelled() => false,
    };
    if !finished {
        warn!("reconciles under way were cut off; the next start goes on from there");
    }
    if let Some(election) = &mut election {
        election.release().await;
    }
    if let Some(failure) = work.failure().or_else(|| tasks.failure()) {
        anyhow::bail!(failure);
    }
    stop(&tasks).await
}

async fn stop(tasks: &Tasks) -> anyhow::Result<ExitCode> {
    tasks.shutdown(Duration::from_secs(2)).await;
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Ends when the election is lost; never without one.
async fn lead(election: Option<&mut Election>) -> Lost {
    match election {
        Some(election) => election.lead().await,
        None => std::future::pending().await,
    }
}

fn plan_context(options: &RunOptions, images: Images) -> rmq_operator_plan::Context {
    let mut plan = rmq_operator_plan::Context::new(VERSION, images::REGISTRY);
    if let Some(image) = images.name_server {
        plan.name_server_image = image;
    }
    if let Some(image) = images.broker {
        plan.broker_image = image;
    }
    plan.operator_namespace.clone_from(&options.lease_namespace);
    plan.metrics_namespaces.clone_from(&options.metrics_namespace);
    plan
}

/// Differs between processes that run at the same time: the name of the pod, or of the machine
/// with the number of the process.
fn identity() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", machine.trim(), std::process::id())
}

async fn serve(
    tasks: &Tasks,
    options: &RunOptions,
    health: &State,
    metrics: &Metrics,
) -> anyhow::Result<()> {
    let bind = async |address: SocketAddr| {
        let metrics = metrics.clone();
        let text = Arc::new(move || metrics.render());
        HttpServer::bind(&HttpConfig::at(address), Arc::new(health.clone()), text).await
    };
    let port = options.http_port;
    let server = match options.metrics_address {
        Some(address) => bind(address).await?,
        // Both families at once; machines without the newer one have only the older.
        None => match bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)).await {
            Ok(server) => server,
            Err(_no_ipv6) => bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)).await?,
        },
    };
    let address = server.local_addr()?;
    info!(%address, "metrics and probes are served");
    tasks.spawn("http", |stop| async move { Ok(server.run(stop).await?) });
    Ok(())
}

/// Looks whether the installed definition is ours, until there is one.
fn check_definition(tasks: &Tasks, context: &Arc<Context>, health: &State) {
    let (client, health) = (context.client.clone(), health.clone());
    tasks.spawn("definition", move |stop| async move {
        loop {
            match crd::check(&client).await {
                Ok(Installed::Current) => debug!("the installed definition is current"),
                Ok(Installed::Outdated { missing }) => error!(
                    reason = "OutdatedCRD",
                    ?missing,
                    "the installed definition is older than this operator and drops these fields; apply the one that `rmq-operator crds` prints"
                ),
                Err(error) => info!(%error, "cannot tell whether the definition is current"),
                Ok(Installed::Missing) => {
                    let why = "the definition of RocketMQCluster is not installed; apply the one that `rmq-operator crds` prints";
                    error!(reason = "OutdatedCRD", "{why}");
                    health.definition(Some(why.to_owned()));
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(DEFINITION_AGAIN) => continue,
                    }
                }
            }
            health.definition(None);
            return Ok(());
        }
    });
}

/// Starts the watches and the reconciles of one namespace, or of all.
fn start(tasks: &Tasks, context: &Arc<Context>, namespace: Option<&str>, health: &State) {
    let caches = Arc::new(Caches::default());
    health.waits_for(&caches);
    let (reader, writer) = store();
    let (wake, wakes) = mpsc::channel(WAKES_MAX);
    watch::start(tasks, &context.client, namespace, &caches, writer, &wake);
    let scope = Arc::new(Scope { context: Arc::clone(context), caches: Arc::clone(&caches) });
    tasks.spawn("reconcile", move |stop| async move {
        // A plan from half of the objects would see the other half as gone.
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = caches.filled() => info!("everything is listed"),
        }
        let queue = stream::unfold(wakes, |mut wakes| async move {
            let key: ClusterKey = wakes.recv().await?;
            let reference = ObjectRef::<Guarded>::new(&key.name).within(&key.namespace);
            Some((Ok::<_, Infallible>(reference), wakes))
        });
        // The end of the queue lets what is under way finish, and then ends the rest.
        let queue = queue.take_until(stop.clone().cancelled_owned());
        let concurrency = u16::try_from(RECONCILES_MAX).unwrap_or(u16::MAX);
        let config = controller::Config::default().debounce(GATHER).concurrency(concurrency);
        let results = applier(
            |resource, scope| reconcile(resource, scope).boxed(),
            failed,
            Arc::clone(&scope),
            reader,
            queue,
            config,
        );
        results
            .for_each(|result| {
                if let Err(controller::Error::ObjectNotFound(gone)) = result {
                    let namespace = gone.namespace.unwrap_or_default();
                    scope.context.forget(&ClusterKey::new(namespace, gone.name));
                }
                std::future::ready(())
            })
            .await;
        Ok(())
    });
}
