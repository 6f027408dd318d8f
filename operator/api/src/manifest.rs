//! Reading manifests, with errors that name the place, the value and the rule.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed as _};

use crate::advice::advice;
use crate::cluster::Cluster;
use crate::fields::Fields;
use crate::validate::{Violation, validate};

mod locate;
mod walk;

use locate::locate;
use walk::{Checked, Outline};

/// Longest manifest that is read, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 1024 * 1024;
/// Most documents in one manifest.
pub const DOCUMENTS_MAX: usize = 64;

/// What is wrong with a manifest, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// Line and column, from one, where the text gives them.
    pub at: Option<(usize, usize)>,
    /// Path of the field, such as `spec.brokers.listenPort`; empty for the whole document.
    pub path: String,
    /// The value and the rule.
    pub message: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.at {
            write!(f, "line {line}, column {column}: ")?;
        }
        match (self.path.as_str(), self.message.as_str()) {
            ("", message) => f.write_str(message),
            (path, message) => write!(f, "{path}: {message}"),
        }
    }
}

impl std::error::Error for ManifestError {}

/// A cluster and what its author should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// The cluster.
    pub cluster: Cluster,
    /// What [`advice`] says of it, with places.
    pub advice: Vec<ManifestError>,
}

/// Reads the clusters described in `text`, which may hold several documents; empty ones are
/// passed over.
///
/// # Errors
/// The first fault of the text's form, or everything that breaks a rule of [`validate`].
pub fn read(text: &str) -> Result<Vec<Cluster>, Vec<ManifestError>> {
    Ok(valid(text)?.into_iter().map(|(_, cluster)| cluster).collect())
}

/// Reads the clusters described in `text` as [`read`] does, and looks for what is allowed but
/// hardly meant.
///
/// # Errors
/// As [`read`].
pub fn read_with_advice(text: &str) -> Result<Vec<Described>, Vec<ManifestError>> {
    let clusters = valid(text)?;
    Ok(clusters
        .into_iter()
        .map(|(index, cluster)| {
            let advice = advice(&cluster);
            let advice = advice.into_iter().map(|one| placed(text, index, one)).collect();
            Described { cluster, advice }
        })
        .collect())
}

/// The clusters in `text`, each with the number of its document.
fn valid(text: &str) -> Result<Vec<(usize, Cluster)>, Vec<ManifestError>> {
    let clusters = documents(text)?;
    let mut errors: Vec<ManifestError> = Vec::new();
    for (position, (index, cluster)) in clusters.iter().enumerate() {
        let mut violations = validate(cluster);
        let name = cluster.name();
        if clusters.iter().take(position).any(|(_, other)| other.name() == name) {
            violations.push(Violation::new(
                "metadata.name",
                name,
                "is used twice in this manifest",
            ));
        }
        errors.extend(violations.into_iter().map(|violation| placed(text, *index, violation)));
    }
    if errors.is_empty() { Ok(clusters) } else { Err(errors) }
}

/// The documents of `text` that are clusters by their form.
fn documents(text: &str) -> Result<Vec<(usize, Cluster)>, Vec<ManifestError>> {
    if MANIFEST_BYTES_MAX < text.len() {
        let message =
            format!("the manifest is {} bytes long, the limit is {MANIFEST_BYTES_MAX}", text.len());
        return Err(vec![ManifestError { at: None, path: String::new(), message }]);
    }
    let mut clusters: Vec<(usize, Cluster)> = Vec::new();
    for index in 0..=DOCUMENTS_MAX {
        let Some(outline) = document(text, index) else { break };
        if index == DOCUMENTS_MAX {
            let message = format!("more than {DOCUMENTS_MAX} documents");
            return Err(vec![ManifestError { at: None, path: String::new(), message }]);
        }
        let outline: Outline = typed(outline).map_err(|error| vec![error])?;
        if outline == Outline::Empty {
            continue;
        }
        check_kind(text, index, &outline).map_err(|error| vec![error])?;
        known_fields(text, index).map_err(|error| vec![error])?;
        if let Some(again) = document(text, index) {
            clusters.push((index, typed(again).map_err(|error| vec![error])?));
        }
    }
    Ok(clusters)
}

/// A violation with its place in the `index`th document.
fn placed(text: &str, index: usize, violation: Violation) -> ManifestError {
    ManifestError {
        at: locate(text, index, &violation.path),
        message: violation.message(),
        path: violation.path,
    }
}

/// The `index`th document of `text`.
fn document(text: &str, index: usize) -> Option<serde_yaml::Deserializer<'_>> {
    serde_yaml::Deserializer::from_str(text).nth(index)
}

fn typed<'de, T: Deserialize<'de>>(
    document: serde_yaml::Deserializer<'de>,
) -> Result<T, ManifestError> {
    serde_path_to_error::deserialize(document)
        .map_err(|error| describe(&error.path().to_string(), error.inner()))
}

/// Refuses fields that a resource does not have.
fn known_fields(text: &str, index: usize) -> Result<(), ManifestError> {
    let Some(document) = document(text, index) else { return Ok(()) };
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(document, &mut track);
    let checked = Checked(Some(Fields::of_resource())).deserialize(tracked);
    checked.map(|_| ()).map_err(|error| describe(&track.path().to_string(), &error))
}

/// Takes the parts of the YAML library's message apart: it puts its own idea of the path in front
/// and the position at the end.
fn describe(path: &str, error: &serde_yaml::Error) -> ManifestError {
    let path = if path == "." { "" } else { path };
    let whole = error.to_string();
    let at = error.location().map(|place| (place.line(), place.column()));
    let mut message = whole.as_str();
    if let Some((line, column)) = at {
        message =
            message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(message);
    }
    // Its path may end a step earlier: at the map that holds the key.
    let parent = path.rsplit_once('.').map_or(path, |(parent, _)| parent);
    for prefix in [path, parent] {
        if let Some(rest) = message.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(": ")) {
            message = rest;
        }
    }
    ManifestError { at, path: path.to_owned(), message: message.to_owned() }
}

fn check_kind(text: &str, index: usize, outline: &Outline) -> Result<(), ManifestError> {
    let fault = |path: &str, message: String| ManifestError {
        at: locate(text, index, path),
        path: path.to_owned(),
        message,
    };
    let Outline::Resource { api_version, kind } = outline else {
        return Err(fault("", format!("expected a resource of kind {}", crate::KIND)));
    };
    let wanted = [("apiVersion", api_version, crate::API_VERSION), ("kind", kind, crate::KIND)];
    for (path, found, expected) in wanted {
        match found {
            Some(found) if found == expected => {}
            Some(found) => {
                return Err(fault(path, format!("`{found}` is not known, expected {expected}")));
            }
            None => return Err(fault("", format!("{path} is missing, expected {expected}"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
