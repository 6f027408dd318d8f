//! `cargo xtask images`: the container images, without a container engine.
//!
//! An image is one static program, the directories it is given volumes for, and nothing else: no
//! shell, no package manager, no account file. `Dockerfile` makes the same from the same sources.

mod archive;

use crate::shipped;
use anyhow::{Context as _, bail, ensure};
use archive::{Content, Entry, Image, OWNER};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An image that is larger has something in it that does not belong there.
const BYTES_MAX: usize = 30 * 1024 * 1024;

/// What the names of images begin with.
const REGISTRY: &str = "rocketmq.rs";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the archives go, one `<program>.tar` each
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Tag of the images [default: this version]; given again, one more name of the same image
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What the names begin with
    #[arg(long, value_name = "PREFIX", default_value = REGISTRY)]
    registry: String,
    /// Programs that are packed as they are, instead of building them
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

impl Args {
    /// Packs programs that are built, under their own version and once more as `next`: tests change
    /// from one to the other.
    pub(crate) fn of_programs(out: PathBuf, programs: PathBuf) -> Self {
        let tags = vec![env!("CARGO_PKG_VERSION").to_owned(), "next".to_owned()];
        Self { out, tags, registry: REGISTRY.to_owned(), programs: Some(programs) }
    }
}

/// A program that gets an image of its own.
struct Program {
    /// Of its package, its binary and its image.
    name: &'static str,
    description: &'static str,
    ports: &'static [u16],
    /// Directories it uses, writable or to be mounted.
    directories: &'static [&'static str],
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "rmq-operator",
        description: "Runs RocketMQ clusters in Kubernetes",
        ports: &[8080],
        directories: &[],
    },
    Program {
        name: "rmq-nameserver",
        description: "RocketMQ name server",
        ports: &[9876, 9878, 5557],
        directories: &["etc", "etc/rocketmq", "var", "var/lib", "var/lib/rocketmq"],
    },
    Program {
        name: "rmq-broker",
        description: "RocketMQ broker",
        ports: &[10909, 10911, 10912, 10913, 5557],
        directories: &["etc", "etc/rocketmq", "var", "var/lib", "var/lib/rocketmq"],
    },
];

/// Names of the packages that have an image.
pub(crate) fn packages() -> Vec<&'static str> {
    PROGRAMS.iter().map(|program| program.name).collect()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let programs = match &args.programs {
        Some(directory) => directory.clone(),
        None => shipped::build(&packages())?,
    };
    let tags = match args.tags.as_slice() {
        [] => vec![env!("CARGO_PKG_VERSION").to_owned()],
        tags => tags.to_vec(),
    };
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    for program in PROGRAMS {
        let stripped = strip(&programs.join(program.name), &args.out)?;
        let program_bytes = stripped.len();
        let names: Vec<String> =
            tags.iter().map(|tag| format!("{}/{}:{tag}", args.registry, program.name)).collect();
        let packed = image(program, &names, stripped)?.pack()?;
        ensure!(
            packed.len() <= BYTES_MAX,
            "{} is {} bytes, more than {BYTES_MAX}",
            program.name,
            packed.len()
        );
        let path = args.out.join(format!("{}.tar", program.name));
        File::create(&path)
            .and_then(|mut file| file.write_all(&packed))
            .with_context(|| format!("cannot write {}", path.display()))?;
        crate::test::say(&format!(
            "{}: {} KiB, program {} KiB, {}",
            path.display(),
            packed.len() / 1024,
            program_bytes / 1024,
            names.join(" ")
        ));
    }
    Ok(())
}

fn image<'a>(program: &Program, names: &'a [String], bytes: Vec<u8>) -> anyhow::Result<Image<'a>> {
    let label =
        |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.into());
    let mut labels: BTreeMap<String, String> = BTreeMap::from([
        label("title", program.name),
        label("description", program.description),
        label("version", env!("CARGO_PKG_VERSION")),
        label("licenses", "Apache-2.0"),
    ]);
    if let Some(commit) = commit() {
        labels.extend([label("revision", &commit)]);
    }
    let directory = |path: &str, mode: u32| Entry {
        path: path.to_owned(),
        mode,
        // What it writes to is its own also where nothing is mounted there.
        owner: if path.starts_with("var/lib/") { OWNER } else { 0 },
        content: Content::Directory,
    };
    let mut entries: Vec<Entry> = vec![directory("tmp", 0o1777)];
    entries.extend(program.directories.iter().map(|path| directory(path, 0o755)));
    let content = Content::File(bytes);
    entries.push(Entry { path: program.name.to_owned(), mode: 0o755, owner: 0, content });
    let architecture = architecture()?;
    Ok(Image { names, architecture, program: program.name, ports: program.ports, labels, entries })
}

/// As images name it.
fn architecture() -> anyhow::Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("images are made on x86_64 and aarch64, not on {other}"),
    }
}

/// The commit, if this is a clean checkout of one.
fn commit() -> Option<String> {
    let git = |args: &[&str]| shipped::output(Command::new("git").args(args)).ok();
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    changed.trim().is_empty().then(|| git(&["rev-parse", "HEAD"]))?.map(|id| id.trim().to_owned())
}

/// The program without line tables and names: they are half of it. A panic says where it was.
fn strip(program: &Path, scratch: &Path) -> anyhow::Result<Vec<u8>> {
    ensure!(program.exists(), "{} is missing: build it", program.display());
    let out = scratch.join(".stripped");
    shipped::run(Command::new("strip").arg("--strip-all").arg("-o").arg(&out).arg(program))?;
    let bytes = fs::read(&out).with_context(|| format!("cannot read {}", out.display()))?;
    fs::remove_file(&out)?;
    ensure!(
        !asks_for_a_loader(&bytes),
        "{} needs shared libraries, which an empty image has not",
        program.display()
    );
    Ok(bytes)
}

/// Whether a 64-bit little-endian ELF program names an interpreter (a segment of type 3).
fn asks_for_a_loader(elf: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = elf.get(at..at.checked_add(bytes)?)?;
        field
            .iter()
            .rev()
            .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))
    };
    let interpreters = || {
        let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
        let kinds = (0..count).map(|index| number(table.checked_add(index.checked_mul(size)?)?, 4));
        Some(kinds.filter(|kind| *kind == Some(3)).count())
    };
    interpreters().is_some_and(|count| 0 < count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kinds: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 0x40];
        bytes[..4].copy_from_slice(b"\x7fELF");
        bytes[0x20] = 0x40;
        bytes[0x36] = 56;
        bytes[0x38] = u8::try_from(kinds.len()).expect("few");
        for kind in kinds {
            let mut segment = [0; 56];
            segment[0] = *kind;
            bytes.extend_from_slice(&segment);
        }
        bytes
    }

    #[test]
    fn programs_that_need_a_loader_are_told_apart() {
        assert!(!asks_for_a_loader(&elf(&[1, 1, 2, 4])));
        assert!(asks_for_a_loader(&elf(&[6, 3, 1])));
        for noise in [&b""[..], b"\x7fELF", &[0xFF; 80]] {
            assert!(!asks_for_a_loader(noise));
        }
        // This one runs here, and tests are linked to shared libraries.
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(asks_for_a_loader(&own), cfg!(not(target_feature = "crt-static")));
    }

    #[test]
    fn the_dockerfile_makes_the_same() {
        let text = fs::read_to_string(shipped::root().join("Dockerfile")).unwrap();
        for program in PROGRAMS {
            let stage = text
                .split("\nFROM scratch AS ")
                .find(|stage| stage.contains(&format!("ENTRYPOINT [\"/{}\"]", program.name)));
            let stage = stage.unwrap_or_else(|| panic!("no stage for {}", program.name));
            let ports: Vec<String> = program.ports.iter().map(ToString::to_string).collect();
            for line in [
                format!("EXPOSE {}\n", ports.join(" ")),
                format!("title=\"{}\"", program.name),
                format!("description=\"{}\"", program.description),
                format!("version=\"{}\"", env!("CARGO_PKG_VERSION")),
                format!("USER {OWNER}:{OWNER}\n"),
            ] {
                assert!(stage.contains(&line), "{} has no {line}", program.name);
            }
            let data = program.directories.contains(&"var/lib/rocketmq");
            assert_eq!(stage.contains("/var/lib/rocketmq/"), data, "{}", program.name);
        }
    }

    #[test]
    fn images_run_as_nobody_in_particular() {
        let names = ["r/rmq-broker:1".to_owned()];
        let packed = image(&PROGRAMS[2], &names, b"program".to_vec()).unwrap();
        let volume = packed.entries.iter().find(|e| e.path == "var/lib/rocketmq").unwrap();
        assert_eq!(volume.owner, OWNER);
        assert!(packed.entries.iter().any(|e| e.path == "tmp" && e.mode == 0o1777));
        assert_eq!(packed.entries.last().map(|e| e.path.as_str()), Some("rmq-broker"));
    }
}
