//! The operator while its calls fail or it is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::http::StatusCode;
use serde_json::json;

use super::operator::spec;
use crate::kube::operator::Outside;
use crate::kube::owned::{difference, shapes};
use crate::kube::proxy::Fault;
use crate::kube::space::Space;
use crate::kube::until;
use crate::report;
use crate::scenario::suite::Stage;

const STILL: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(90);
/// More changes than a cluster needs.
const CHANGES_MAX: usize = 200;

/// What an operator makes that nothing happens to.
async fn undisturbed(stage: &Stage) -> anyhow::Result<BTreeMap<String, String>> {
    let space = stage.space("-calm").await?;
    let outside = Outside::prepare(&stage.site, space.name(), &stage.directory).await?;
    space.apply("demo", &spec()).await?;
    let operator = outside.start().await?;
    until(LIMIT, "the operator reports", || async {
        Ok(space.status("demo").await?.get("conditions").map(drop))
    })
    .await?;
    outside.rests(STILL, LIMIT).await?;
    drop(operator);
    let made = shapes(&space, "demo").await?;
    ensure!(made.keys().any(|name| name.starts_with("StatefulSet")), "only made: {made:?}");
    outside.proxy.stop();
    Ok(made)
}

/// Waits until `space` has exactly what it should.
async fn becomes(space: &Space, wanted: &BTreeMap<String, String>) -> anyhow::Result<()> {
    until(LIMIT, "the same objects as without disturbance", || async {
        let differs = difference(wanted, &shapes(space, "demo").await?);
        if differs.is_empty() { Ok(Some(())) } else { bail!(differs) }
    })
    .await
}

pub(super) async fn killed(stage: Stage) -> anyhow::Result<()> {
    let wanted = undisturbed(&stage).await?;
    let space = stage.space("").await?;
    let outside = Outside::prepare(&stage.site, space.name(), &stage.directory).await?;
    space.apply("demo", &spec()).await?;
    let mut deaths = 0;
    for allowed in 1..CHANGES_MAX {
        outside.proxy.plan(Vec::new(), Some(allowed));
        let operator = outside.start().await?;
        let stopped = until(STILL, "its changes are used up", || async {
            Ok(outside.proxy.is_used_up().then_some(()))
        })
        .await;
        operator.kill()?;
        if stopped.is_err() {
            break;
        }
        deaths = allowed;
    }
    ensure!(0 < deaths && deaths + 1 < CHANGES_MAX, "{deaths} deaths");
    outside.proxy.plan(Vec::new(), None);
    let operator = outside.start().await?;
    becomes(&space, &wanted).await?;
    drop(operator);
    outside.proxy.stop();
    report::note(&format!("   {deaths} deaths, {} objects", wanted.len()));
    Ok(())
}

pub(super) async fn refused(stage: Stage) -> anyhow::Result<()> {
    let wanted = undisturbed(&stage).await?;
    let faults = [
        ("-409", Fault::Refused(StatusCode::CONFLICT)),
        ("-422", Fault::Refused(StatusCode::UNPROCESSABLE_ENTITY)),
        ("-429", Fault::Refused(StatusCode::TOO_MANY_REQUESTS)),
        ("-500", Fault::Refused(StatusCode::INTERNAL_SERVER_ERROR)),
        ("-cut", Fault::Cut),
        ("-lost", Fault::Lost),
    ];
    for (suffix, fault) in faults {
        let space = stage.space(suffix).await?;
        let outside = Outside::prepare(&stage.site, space.name(), &stage.directory).await?;
        space.apply("demo", &spec()).await?;
        outside.proxy.plan(vec![(1, fault), (7, fault), (15, fault)], None);
        let operator = outside.start().await?;
        let disturbed = async {
            // An invalid object is only looked at again when somebody changes something.
            for turn in 0_u32.. {
                tokio::time::sleep(Duration::from_secs(2)).await;
                if fault == Fault::Refused(StatusCode::UNPROCESSABLE_ENTITY) {
                    let note = json!({"rmq.test/turn": turn.to_string()});
                    space.annotate("demo", &note).await?;
                }
            }
            anyhow::Ok(())
        };
        tokio::select! {
            same = becomes(&space, &wanted) => same.with_context(|| format!("with {fault:?}"))?,
            failed = disturbed => failed?,
        }
        ensure!(7 < outside.proxy.changes(), "no call was disturbed");
        drop(operator);
        outside.proxy.stop();
    }
    Ok(())
}
