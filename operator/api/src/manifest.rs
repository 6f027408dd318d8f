//! Reading manifests, with errors that name the place, the value and the rule.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, EnumAccess, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess as _, Visitor,
};

use crate::cluster::Cluster;
use crate::validate::{Violation, validate};

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

/// Reads the clusters described in `text`, which may hold several documents; empty ones are
/// passed over.
///
/// # Errors
/// The first fault of the text's form, or everything that breaks a rule of [`validate`].
pub fn read(text: &str) -> Result<Vec<Cluster>, Vec<ManifestError>> {
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
        if let Some(again) = document(text, index) {
            clusters.push((index, typed(again).map_err(|error| vec![error])?));
        }
    }
    let mut errors: Vec<ManifestError> = Vec::new();
    for (position, (index, cluster)) in clusters.iter().enumerate() {
        let mut violations = validate(cluster);
        let name = &cluster.metadata.name;
        if clusters.iter().take(position).any(|(_, other)| other.metadata.name == *name) {
            violations.push(Violation::new(
                "metadata.name",
                name,
                "is used twice in this manifest",
            ));
        }
        errors.extend(violations.into_iter().map(|violation| ManifestError {
            at: locate(text, *index, &violation.path),
            message: violation.message(),
            path: violation.path,
        }));
    }
    if errors.is_empty() {
        Ok(clusters.into_iter().map(|(_, cluster)| cluster).collect())
    } else {
        Err(errors)
    }
}

/// The `index`th document of `text`.
fn document(text: &str, index: usize) -> Option<serde_yaml::Deserializer<'_>> {
    serde_yaml::Deserializer::from_str(text).nth(index)
}

fn typed<'de, T: Deserialize<'de>>(
    document: serde_yaml::Deserializer<'de>,
) -> Result<T, ManifestError> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        describe(path, error.inner())
    })
}

/// Takes the parts of the YAML library's message apart: it puts its own idea of the path in front
/// and the position at the end.
fn describe(path: String, error: &serde_yaml::Error) -> ManifestError {
    let whole = error.to_string();
    let at = error.location().map(|place| (place.line(), place.column()));
    let mut message = whole.as_str();
    if let Some((line, column)) = at {
        message =
            message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(message);
    }
    if let Some(rest) = message.strip_prefix(path.as_str()).and_then(|rest| rest.strip_prefix(": "))
    {
        message = rest;
    }
    ManifestError { at, path, message: message.to_owned() }
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

/// First look at a document: what it claims to be. Visits every node, so that a key given twice is
/// found wherever it stands; maps of settings would silently keep the last value.
#[derive(Debug, PartialEq, Eq)]
enum Outline {
    Empty,
    Other,
    Resource { api_version: Option<String>, kind: Option<String> },
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OutlineVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource")
    }
    fn visit_none<E: de::Error>(self) -> Result<Outline, E> {
        Ok(Outline::Empty)
    }
    fn visit_unit<E: de::Error>(self) -> Result<Outline, E> {
        Ok(Outline::Empty)
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Outline, E> {
        Ok(Outline::Other)
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Outline, E> {
        Ok(Outline::Other)
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Outline, E> {
        Ok(Outline::Other)
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Outline, E> {
        Ok(Outline::Other)
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<Outline, E> {
        Ok(Outline::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Outline, A::Error> {
        while seq.next_element::<UniqueKeys>()?.is_some() {}
        Ok(Outline::Other)
    }
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Outline, A::Error> {
        let (_, variant) = data.variant::<IgnoredAny>()?;
        variant.newtype_variant::<UniqueKeys>()?;
        Ok(Outline::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let (mut api_version, mut kind) = (None, None);
        let mut keys = Keys::default();
        while let Some(Key(key)) = map.next_key()? {
            keys.add(&key)?;
            let Scalar(text) = map.next_value()?;
            match key.as_str() {
                "apiVersion" => api_version = text,
                "kind" => kind = text,
                _ => {}
            }
        }
        Ok(Outline::Resource { api_version, kind })
    }
}

/// The keys of one map so far.
#[derive(Default)]
struct Keys(std::collections::HashSet<String>);

impl Keys {
    fn add<E: de::Error>(&mut self, key: &str) -> Result<(), E> {
        if self.0.insert(key.to_owned()) {
            Ok(())
        } else {
            Err(E::custom(format_args!("key `{key}` is given twice")))
        }
    }
}

/// Any node whose maps have no key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Scalar::deserialize(deserializer).map(|_| Self)
    }
}

/// Any node whose maps have no key twice; its text if it is a text.
struct Scalar(Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_none<E: de::Error>(self) -> Result<Scalar, E> {
        Ok(Scalar(None))
    }
    fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
        Ok(Scalar(None))
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }
    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }
    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(Some(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<UniqueKeys>()?.is_some() {}
        Ok(Scalar(None))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        let mut keys = Keys::default();
        while let Some(Key(key)) = map.next_key()? {
            keys.add(&key)?;
            map.next_value::<UniqueKeys>()?;
        }
        Ok(Scalar(None))
    }
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Scalar, A::Error> {
        let (_, variant) = data.variant::<IgnoredAny>()?;
        variant.newtype_variant::<UniqueKeys>()?;
        Ok(Scalar(None))
    }
}

/// A key of a map, which in a manifest is a plain value.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar(Some(text)) => Ok(Self(text)),
            Scalar(None) => Err(de::Error::custom("a key must be a plain text")),
        }
    }
}

/// Where `path` (or the nearest of its parents that exists) stands in the `index`th document.
fn locate(text: &str, index: usize, path: &str) -> Option<(usize, usize)> {
    let mut steps: Vec<&str> =
        path.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
    loop {
        let error = Locate(&steps).deserialize(document(text, index)?).err()?;
        if let Some(place) = error.location() {
            return Some((place.line(), place.column()));
        }
        steps.pop()?;
    }
}

/// Walks down the steps and fails at the last one, so that the reader tells the position: it keeps
/// none of the nodes it has read.
struct Locate<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Locate<'_> {
    fn found<E: de::Error>(&self) -> Result<(), E> {
        Err(E::custom("here"))
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.found()
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.found()
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.found()
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.found()
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.found()
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.found()
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.found()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return self.found() };
        let Ok(wanted) = first.parse::<usize>() else { return self.found() };
        for _ in 0..wanted {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return self.found();
            }
        }
        match seq.next_element_seed(Locate(rest))? {
            Some(()) | None => self.found(),
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return self.found() };
        while let Some(Key(key)) = map.next_key()? {
            if key == *first {
                return map.next_value_seed(Locate(rest));
            }
            map.next_value::<IgnoredAny>()?;
        }
        self.found()
    }
}

#[cfg(test)]
mod tests;
