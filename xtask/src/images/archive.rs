//! An archive that every container engine loads: the image layout of the Open Container Initiative,
//! and beside it the list that `docker load` has always read. The same image gives the same bytes.

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// User and group of the processes.
pub(crate) const OWNER: u64 = 10001;

/// Time of everything: when it was made is no part of an image.
const CREATED: &str = "1970-01-01T00:00:00Z";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// One layer and how it is run.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    /// All names of it, tags included.
    pub(crate) names: &'a [String],
    /// `amd64` or `arm64`.
    pub(crate) architecture: &'static str,
    /// What is run, in the root directory.
    pub(crate) program: &'static str,
    /// Ports it may listen on.
    pub(crate) ports: &'a [u16],
    pub(crate) labels: BTreeMap<String, String>,
    /// Directories before what is in them.
    pub(crate) entries: Vec<Entry>,
}

/// A file or directory of the layer.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Without the first slash.
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) owner: u64,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Directory,
    File(Vec<u8>),
}

impl Image<'_> {
    /// The archive.
    pub(crate) fn pack(&self) -> anyhow::Result<Vec<u8>> {
        let layer = Blob::new(tar(&self.entries)?);
        let config = Blob::json(&self.config(&layer))?;
        let manifest = Blob::json(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
        }))?;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": self.names.iter().map(|name| named(&manifest, name)).collect::<Vec<_>>(),
        });
        let docker = json!([{
            "Config": config.path(),
            "RepoTags": self.names,
            "Layers": [layer.path()],
        }]);
        let directory = |path: &str| Entry {
            path: path.to_owned(),
            mode: 0o755,
            owner: 0,
            content: Content::Directory,
        };
        let file = |path: String, bytes: Vec<u8>| Entry {
            path,
            mode: 0o644,
            owner: 0,
            content: Content::File(bytes),
        };
        let mut entries = vec![directory("blobs"), directory("blobs/sha256")];
        entries.extend([layer, config, manifest].map(|blob| file(blob.path(), blob.bytes)));
        entries.push(file("index.json".to_owned(), serde_json::to_vec(&index)?));
        entries.push(file("manifest.json".to_owned(), serde_json::to_vec(&docker)?));
        let version = json!({"imageLayoutVersion": "1.0.0"});
        entries.push(file("oci-layout".to_owned(), serde_json::to_vec(&version)?));
        tar(&entries)
    }

    fn config(&self, layer: &Blob) -> Value {
        let ports: BTreeMap<String, Value> =
            self.ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
        json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": CREATED,
            "config": {
                "User": format!("{OWNER}:{OWNER}"),
                "ExposedPorts": ports,
                "Env": ["PATH=/"],
                "Entrypoint": [format!("/{}", self.program)],
                "WorkingDir": "/",
                "Labels": self.labels,
                "StopSignal": "SIGTERM",
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
            "history": [{"created": CREATED, "created_by": "cargo xtask images"}],
        })
    }
}

/// The manifest under one name: containerd reads the first annotation, others the second.
fn named(manifest: &Blob, name: &str) -> Value {
    let mut descriptor = manifest.descriptor(MANIFEST);
    let tag = name.rsplit(':').next().unwrap_or_default();
    if let Some(fields) = descriptor.as_object_mut() {
        fields.insert(
            "annotations".to_owned(),
            json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}),
        );
    }
    descriptor
}

/// Bytes and their address.
struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        let mut digest = "sha256:".to_owned();
        for byte in Sha256::digest(&bytes) {
            // Writing into a string does not fail.
            write!(digest, "{byte:02x}").ok();
        }
        Self { digest, bytes }
    }

    fn json(value: &Value) -> anyhow::Result<Self> {
        Ok(Self::new(serde_json::to_vec(value)?))
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.bytes.len()})
    }

    fn path(&self) -> String {
        format!("blobs/{}", self.digest.replace(':', "/"))
    }
}

fn tar(entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(entry.mode);
        header.set_uid(entry.owner);
        header.set_gid(entry.owner);
        header.set_mtime(0);
        let (kind, bytes): (_, &[u8]) = match &entry.content {
            Content::Directory => (tar::EntryType::Directory, &[]),
            Content::File(bytes) => (tar::EntryType::Regular, bytes),
        };
        header.set_entry_type(kind);
        header.set_size(u64::try_from(bytes.len())?);
        builder
            .append_data(&mut header, &entry.path, bytes)
            .with_context(|| format!("cannot pack {}", entry.path))?;
    }
    Ok(builder.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn example(names: &[String]) -> Image<'_> {
        let entry = |path: &str, mode, owner, content| Entry {
            path: path.to_owned(),
            mode,
            owner,
            content,
        };
        Image {
            names,
            architecture: "amd64",
            program: "thing",
            ports: &[80, 9],
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            entries: vec![
                entry("data", 0o755, OWNER, Content::Directory),
                entry("thing", 0o755, 0, Content::File(b"bytes".to_vec())),
            ],
        }
    }

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let mut found = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.insert(path, bytes);
        }
        found
    }

    fn parsed(files: &BTreeMap<String, Vec<u8>>, path: &str) -> Value {
        serde_json::from_slice(files.get(path).unwrap_or_else(|| panic!("no {path}"))).unwrap()
    }

    #[test]
    fn both_lists_lead_to_the_same_config_and_layer() {
        let names = ["r.test/thing:1".to_owned(), "r.test/thing:2".to_owned()];
        let packed = example(&names).pack().unwrap();
        let all = files(&packed);
        let at = |digest: &Value| format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"));

        let index = parsed(&all, "index.json");
        let listed = index["manifests"].as_array().unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[1]["annotations"]["io.containerd.image.name"], "r.test/thing:2");
        let manifest = parsed(&all, &at(&listed[0]["digest"]));
        let docker = parsed(&all, "manifest.json");
        assert_eq!(docker[0]["Config"], at(&manifest["config"]["digest"]));
        assert_eq!(docker[0]["Layers"][0], at(&manifest["layers"][0]["digest"]));
        assert_eq!(docker[0]["RepoTags"], json!(names));

        let config = parsed(&all, docker[0]["Config"].as_str().unwrap());
        assert_eq!(config["config"]["User"], "10001:10001");
        assert_eq!(config["config"]["Entrypoint"], json!(["/thing"]));
        assert_eq!(config["config"]["ExposedPorts"], json!({"80/tcp": {}, "9/tcp": {}}));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        let layer = all.get(docker[0]["Layers"][0].as_str().unwrap()).unwrap();
        assert_eq!(files(layer).get("thing").map(Vec::as_slice), Some(&b"bytes"[..]));
    }

    #[test]
    fn blobs_are_named_by_what_they_hold() {
        let names = ["r.test/thing:1".to_owned()];
        let packed = example(&names).pack().unwrap();
        let blobs: Vec<_> = files(&packed)
            .into_iter()
            .filter_map(|(path, bytes)| {
                Some((path.strip_prefix("blobs/sha256/")?.to_owned(), bytes))
            })
            .filter(|(name, _)| !name.is_empty())
            .collect();
        assert_eq!(blobs.len(), 3);
        for (name, bytes) in blobs {
            assert_eq!(Blob::new(bytes).digest, format!("sha256:{name}"));
        }
        // The known digest of nothing.
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Blob::new(Vec::new()).digest, empty);
    }

    #[test]
    fn the_same_image_gives_the_same_bytes() {
        let names = ["r.test/thing:1".to_owned()];
        assert_eq!(example(&names).pack().unwrap(), example(&names).pack().unwrap());
    }
}
