//! Image references as people write them on a command line.

use rmq_operator_api::Image;

/// Where images of this release come from unless something else is said.
pub(crate) const REGISTRY: &str = "rocketmq.rs";

/// Reads `[registry/]repository[:tag][@digest]`.
///
/// # Errors
/// What is wrong with it, for people.
pub(crate) fn parse(text: &str) -> Result<Image, String> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (path, last) =
        rest.rsplit_once('/').map_or((None, rest), |(path, last)| (Some(path), last));
    let (last, tag) = match last.split_once(':') {
        Some((last, tag)) => (last, Some(tag)),
        None => (last, None),
    };
    let whole = path.map_or_else(|| last.to_owned(), |path| format!("{path}/{last}"));
    // As container runtimes tell a registry from a first folder.
    let registry = whole
        .split_once('/')
        .filter(|(first, _)| first.contains('.') || first.contains(':') || *first == "localhost");
    let (registry, repository) = match registry {
        Some((registry, repository)) => (Some(registry), repository),
        None => (None, whole.as_str()),
    };
    let bad = |part: &str| part.split('/').any(str::is_empty) || part.contains(char::is_whitespace);
    let digest_ok = |digest: &str| {
        digest.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
        })
    };
    if bad(repository) || tag.is_some_and(bad) || registry.is_some_and(bad) {
        return Err(format!("{text:?} is no image: it must be [registry/]repository[:tag]"));
    }
    if digest.is_some_and(|digest| !digest_ok(digest)) {
        return Err(format!("{text:?} is no image: a digest is sha256: and 64 hexadecimal digits"));
    }
    Ok(Image {
        registry: registry.map(str::to_owned),
        repository: Some(repository.to_owned()),
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
        ..Image::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart_as_runtimes_do() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let with_digest = format!("r.example.org/a/b:1@{digest}");
        let table = [
            ("rmq-broker", None, "rmq-broker", None, None::<&str>),
            ("rmq-broker:1.0", None, "rmq-broker", Some("1.0"), None),
            ("team/rmq-broker:1.0", None, "team/rmq-broker", Some("1.0"), None),
            ("localhost/rmq:1", Some("localhost"), "rmq", Some("1"), None),
            ("r:5000/a/b", Some("r:5000"), "a/b", None, None),
            (with_digest.as_str(), Some("r.example.org"), "a/b", Some("1"), Some(digest.as_str())),
        ];
        for (text, registry, repository, tag, digest) in table {
            let image = parse(text).expect(text);
            assert_eq!(image.registry.as_deref(), registry, "{text}");
            assert_eq!(image.repository.as_deref(), Some(repository), "{text}");
            assert_eq!(image.tag.as_deref(), tag, "{text}");
            assert_eq!(image.digest.as_deref(), digest, "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in ["", ":1", "a:", "r.example.org/", "a b", "a@sha256:12", "a@md5:1", "/a"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
