//! The chart, and the page that people follow.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use kube::api::DeleteParams;

use super::{OPERATOR, RELEASE, SHORT, two_groups};
use crate::kube::chart::Release;
use crate::kube::load::Load;
use crate::kube::program;
use crate::kube::space::same_lives;
use crate::peers::our_program;
use crate::report;
use crate::scenario::suite::Stage;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operate/kubernetes.md");
/// Blocks of the page that begin so are run.
const SHELL: &str = "```console";

pub(super) async fn chart(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    space.apply("demo", &two_groups()).await?;
    space.ready("demo", SHORT).await?;
    let before = space.lives("demo", None).await?;
    let load = Load::start(&space.name_servers("demo").await?, "orders").await?;
    let release = Release::at(&stage.site, RELEASE, OPERATOR).await?;
    release.upgrade(&["replicaCount=2", "logLevel=debug"]).await?;
    release.test().await?;
    load.flows(50, SHORT).await?;
    same_lives(&before, &space.lives("demo", None).await?)?;
    release.uninstall().await?;
    // Definitions stay, and with them every cluster; clients do not need the operator.
    space.clusters().get("demo").await.context("the cluster went with the chart")?;
    load.flows(50, SHORT).await?;
    release.upgrade(&[]).await?;
    space.ready("demo", SHORT).await?;
    same_lives(&before, &space.lives("demo", None).await?)?;
    let verdict = load.finish(SHORT).await?;
    ensure!(verdict.failed == 0, "clients noticed the chart: {verdict}");
    report::note(&format!("   {verdict}"));
    space.clusters().delete("demo", &DeleteParams::default()).await?;
    Ok(())
}

/// Runs each `$` line of the page's console blocks and compares what it prints with what the page
/// shows, apart from ages and addresses.
pub(super) async fn page(stage: Stage) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(PAGE).with_context(|| PAGE.to_owned())?;
    let space = stage.space("").await?;
    let steps = steps(&text);
    ensure!(!steps.is_empty(), "the page has no console blocks");
    let root = Path::new(PAGE).ancestors().nth(3).context("the page is not in the repository")?;
    let helm = crate::kube::chart::helm().await?;
    let mut folders: Vec<PathBuf> = helm.parent().map(Path::to_path_buf).into_iter().collect();
    folders.extend(stage.site.root().map(|root| root.join("bin")));
    folders.extend(our_program("kubectl-rmq")?.parent().map(Path::to_path_buf));
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(folders)?;
    // The page works in the current namespace.
    let kubeconfig = stage.directory.join("page.kubeconfig");
    std::fs::copy(stage.site.kubeconfig(), &kubeconfig)?;
    let mut context = Command::new("kubectl");
    context.args(["config", "set-context", "--current", "--namespace", space.name()]);
    context.env("KUBECONFIG", &kubeconfig).env("PATH", &path);
    program::run(context).await?;
    for step in &steps {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &step.command]).current_dir(root);
        command.env("KUBECONFIG", &kubeconfig).env("PATH", &path);
        let printed = program::run(command).await?;
        let (shown, real) = (words(&step.shown), words(&printed));
        ensure!(
            step.shown.is_empty() || alike(&shown, &real),
            "{}\n  the page shows: {}\n  it prints: {printed}",
            step.command,
            step.shown
        );
    }
    report::note(&format!("   {} commands", steps.len()));
    Ok(())
}

/// A command of the page and what is shown below it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    command: String,
    shown: String,
}

fn steps(page: &str) -> Vec<Step> {
    let mut found: Vec<Step> = Vec::new();
    let (mut inside, mut goes_on) = (false, false);
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == SHELL;
            continue;
        }
        if !inside {
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            found.push(Step { command: command.to_owned(), shown: String::new() });
            goes_on = true;
        } else if let Some(more) = line.strip_prefix("> ").filter(|_| goes_on) {
            if let Some(step) = found.last_mut() {
                step.command.push('\n');
                step.command.push_str(more);
            }
        } else if let Some(step) = found.last_mut() {
            goes_on = false;
            step.shown.push_str(line);
            step.shown.push('\n');
        }
    }
    found
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Whether two outputs say the same: a word with a digit in it stands for another with one, as ages,
/// addresses, names of pods and ids do.
fn alike(shown: &[&str], real: &[&str]) -> bool {
    let digits = |word: &str| word.contains(|c: char| c.is_ascii_digit());
    shown.len() == real.len()
        && shown.iter().zip(real).all(|(a, b)| a == b || (digits(a) && digits(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_their_output_are_found() {
        let page = "text\n```console\n$ a b\nout 1\nout 2\n$ cat <<E\n> x\n> E\n```\n$ not\n```sh\n$ no\n```\n";
        let found = steps(page);
        let step =
            |command: &str, shown: &str| Step { command: command.into(), shown: shown.into() };
        assert_eq!(found, [step("a b", "out 1\nout 2\n"), step("cat <<E\nx\nE", "")]);
    }

    #[test]
    fn numbers_may_differ_and_words_may_not() {
        assert!(alike(&words("demo True 2/2 12s"), &words("demo  True 2/2 7s")));
        assert!(!alike(&words("demo True"), &words("demo False")));
        assert!(!alike(&words("demo True"), &words("demo True more")));
    }
}
