//! Volumes.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{SHORT, two_groups};
use crate::kube::load::Load;
use crate::kube::space::{condition_of, same_lives};
use crate::kube::until;
use crate::report;
use crate::scenario::suite::Stage;

fn sized(size: &str, class: Option<&str>) -> Value {
    let mut spec = two_groups();
    if let Some(storage) = spec.pointer_mut("/brokers/storage") {
        *storage = json!({"size": size});
        if let (Some(fields), Some(class)) = (storage.as_object_mut(), class) {
            fields.insert("className".to_owned(), json!(class));
        }
    }
    spec
}

pub(super) async fn grow(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    space.apply("demo", &sized("1Gi", None)).await?;
    space.ready("demo", SHORT).await?;
    let before = space.lives("demo", None).await?;
    let load = Load::start(&space.name_servers("demo").await?, "orders").await?;
    space.apply("demo", &sized("2Gi", None)).await?;
    until(SHORT, "both volumes have 2Gi", || async {
        let volumes = space.volumes().await?;
        ensure!(volumes.values().all(|size| size == "2Gi"), "they have {volumes:?}");
        Ok(Some(()))
    })
    .await?;
    space.ready("demo", SHORT).await?;
    // The set is made anew around its pods, as its claim templates cannot be changed.
    until(SHORT, "new replicas would get 2Gi", || async {
        let sets = space.api::<k8s_openapi::api::apps::v1::StatefulSet>();
        let set = serde_json::to_value(sets.get("demo-broker-a").await?)?;
        let path = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
        let size = set.pointer(path).cloned().unwrap_or_default();
        ensure!(size == "2Gi", "they would get {size}");
        Ok(Some(()))
    })
    .await?;
    same_lives(&before, &space.lives("demo", None).await?)?;
    let verdict = load.finish(SHORT).await?;
    ensure!(verdict.failed == 0, "sends failed while volumes grew: {verdict}");
    report::note(&format!("   {verdict}"));

    if stage.site.is_owned() {
        let fixed = stage.space("-fixed").await?;
        fixed.apply("demo", &sized("1Gi", Some("fixed"))).await?;
        fixed.ready("demo", SHORT).await?;
        fixed.apply("demo", &sized("2Gi", Some("fixed"))).await?;
        let told = until(SHORT, "it is told that the class cannot grow", || async {
            let status = fixed.status("demo").await?;
            let told = condition_of(&status, "StorageResize").cloned();
            Ok(told.filter(|told| told.get("status") == Some(&json!("False"))))
        })
        .await?;
        ensure!(told.get("reason") == Some(&json!("NotSupported")), "told as {told}");
    }
    Ok(())
}
