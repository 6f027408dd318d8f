//! Where the programs of both sides are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Directory of this package.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// The fetched peers: jars, compiled drivers, the Go driver.
#[derive(Clone, Debug)]
pub struct Peers {
    root: PathBuf,
    /// Line of the Java broker.
    broker: JavaClient,
}

/// A line of the Java programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JavaClient {
    /// 4.9.
    Old,
    /// 5.3.
    New,
}

impl Peers {
    /// `RMQ_PEERS`, else `e2e/.peers`.
    pub fn locate() -> Self {
        let root = std::env::var_os("RMQ_PEERS")
            .map_or_else(|| Path::new(PACKAGE).join(".peers"), PathBuf::from);
        Self { root, broker: JavaClient::New }
    }

    /// The same with brokers of another line. The name server is always the new one.
    #[must_use]
    pub fn with_broker(&self, broker: JavaClient) -> Self {
        Self { broker, ..self.clone() }
    }

    /// A command that runs `class` of the Java servers with a small heap. `home` takes its logs
    /// and whatever else it writes beside its store.
    ///
    /// # Errors
    /// When the jars are not there.
    pub fn java_server(&self, class: &str, home: &Path) -> anyhow::Result<Command> {
        let old = self.broker == JavaClient::Old && class.contains(".broker.");
        let jars = self.jars(if old { "server-4" } else { "server-5" })?;
        let mut command = java("256m");
        command
            .env("ROCKETMQ_HOME", home)
            .arg(format!("-Duser.home={}", home.display()))
            .arg(format!("-Drocketmq.home.dir={}", home.display()))
            .args(["--add-opens", "java.base/java.nio=ALL-UNNAMED"])
            .args(["--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED"])
            .args(["--add-exports", "java.base/jdk.internal.ref=ALL-UNNAMED"])
            .arg("-cp")
            .arg(jars)
            .arg(class);
        Ok(command)
    }

    /// A command that runs `class` of the Java driver; `properties` are `name=value` of the JVM.
    ///
    /// # Errors
    /// When the jars or the compiled driver are not there.
    pub fn java_driver(
        &self,
        client: JavaClient,
        class: &str,
        home: &Path,
        properties: &[&str],
    ) -> anyhow::Result<Command> {
        let (classes, jars) = match client {
            JavaClient::Old => ("classes-4", "client-4"),
            JavaClient::New => ("classes-5", "client-5"),
        };
        let classes = self.existing(&Path::new("java").join(classes))?;
        let mut path = classes.into_os_string();
        path.push(":");
        path.push(self.jars(jars)?);
        let mut command = java("384m");
        // Clients keep broadcast offsets and logs in the home directory; the admin tool also
        // writes files where it is started.
        command.arg(format!("-Duser.home={}", home.display())).current_dir(home);
        command.args(properties.iter().map(|property| format!("-D{property}")));
        command.arg("-cp").arg(path).arg(class);
        Ok(command)
    }

    /// The compiled Go driver.
    ///
    /// # Errors
    /// When it is not there.
    pub fn go_driver(&self) -> anyhow::Result<PathBuf> {
        self.existing(Path::new("go/interop"))
    }

    fn jars(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.existing(&Path::new("java").join(name))?.join("*"))
    }

    fn existing(&self, path: &Path) -> anyhow::Result<PathBuf> {
        let path = self.root.join(path);
        ensure!(path.exists(), "{} is missing: run the fetch.sh of e2e/interop", path.display());
        path.canonicalize().with_context(|| path.display().to_string())
    }
}

fn java(heap: &str) -> Command {
    let mut command = Command::new("java");
    // The cheap compiler only: these processes live for a minute on a machine that is busy.
    command.args(["-Xms64m", &format!("-Xmx{heap}"), "-XX:+UseSerialGC"]);
    command.args(["-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Dfile.encoding=UTF-8"]);
    command
}

/// Our program `name`: from the directory `RMQ_BIN_DIR`, else beside the running program.
///
/// # Errors
/// When it is not there.
pub fn our_program(name: &str) -> anyhow::Result<PathBuf> {
    let directory = match std::env::var_os("RMQ_BIN_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => {
            let own = std::env::current_exe()?;
            own.parent().context("this program has no directory")?.to_owned()
        }
    };
    let path = directory.join(name);
    ensure!(path.exists(), "{} is missing: build it, or say RMQ_BIN_DIR", path.display());
    Ok(path)
}
