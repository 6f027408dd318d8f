//! `image`: where container images come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A container image. What is left out comes from the cluster's image, then from the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Host of the registry, such as `registry.example.org:5000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub registry: Option<String>,
    /// Path within the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub repository: Option<String>,
    /// Tag; `spec.version` if neither tag nor digest is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"))]
    pub tag: Option<String>,
    /// Digest; wins over the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[a-f0-9]{64}$"))]
    pub digest: Option<String>,
    /// When nodes ask the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// Names of Secrets to log in to the registry with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub pull_secrets: Vec<String>,
}

impl Image {
    /// `self` with what it leaves out taken from `fallback`.
    ///
    /// A tag or digest belongs to its repository: where `self` names one of the three, the
    /// fallback's tag and digest are not mixed in.
    pub fn or(&self, fallback: &Self) -> Self {
        let own = self.repository.is_some() || self.tag.is_some() || self.digest.is_some();
        let (tag, digest) =
            if own { (&self.tag, &self.digest) } else { (&fallback.tag, &fallback.digest) };
        let secrets =
            if self.pull_secrets.is_empty() { &fallback.pull_secrets } else { &self.pull_secrets };
        Self {
            registry: self.registry.clone().or_else(|| fallback.registry.clone()),
            repository: self.repository.clone().or_else(|| fallback.repository.clone()),
            tag: tag.clone(),
            digest: digest.clone(),
            pull_policy: self.pull_policy.or(fallback.pull_policy),
            pull_secrets: secrets.clone(),
        }
    }
}

/// When nodes ask the registry for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// When they do not have it.
    IfNotPresent,
    /// Never.
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fall_back_but_tags_stay_with_their_repository() {
        let text = |text: &str| Some(text.to_owned());
        let base = Image {
            registry: text("r"),
            repository: text("a/b"),
            digest: text("sha256:0"),
            pull_policy: Some(PullPolicy::Never),
            pull_secrets: vec!["s".to_owned()],
            ..Image::default()
        };
        assert_eq!(Image::default().or(&base), base);
        let tagged = Image { tag: text("1"), ..Image::default() }.or(&base);
        assert_eq!((tagged.tag, tagged.digest), (text("1"), None));
        assert_eq!((tagged.repository, tagged.registry), (text("a/b"), text("r")));
        let other = Image { repository: text("c"), ..Image::default() }.or(&base);
        assert_eq!((other.repository, other.digest), (text("c"), None));
        assert_eq!(other.pull_secrets, ["s"]);
    }
}
