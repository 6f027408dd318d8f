//! What can go wrong while one cluster is reconciled, and what follows from it.

use std::time::Duration;

/// Why a reconcile ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server refused or failed. `tried` says what was asked, in words.
    #[error("cannot {tried}: {}", describe(source))]
    Api {
        tried: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server said nothing for too long; the request may still take effect.
    #[error("cannot {tried}: no answer from the API server within {} s", after.as_secs())]
    Timeout { tried: String, after: Duration },
    /// A broker or name server refused or did not answer.
    #[error("cannot {tried}: {reason}")]
    Broker { tried: String, reason: String },
    /// The resource does not parse as this version of the operator knows it.
    #[error("the resource is not valid: {0}")]
    Unreadable(String),
    /// Our own code broke one of its promises.
    #[error("internal error: {0}")]
    Bug(String),
}

/// What to do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Passes by itself: try again, more slowly each time.
    Transient,
    /// Only a change of the resource helps.
    Invalid,
    /// Only a change of the operator's role helps.
    Permission,
    /// A fault of the operator.
    Bug,
}

impl Class {
    /// For labels and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Invalid => "invalid",
            Self::Permission => "permission",
            Self::Bug => "bug",
        }
    }
}

impl Error {
    /// `tried` completes "cannot …".
    pub(crate) fn api(tried: impl Into<String>, source: kube::Error) -> Self {
        Self::Api { tried: tried.into(), source: Box::new(source) }
    }

    /// What follows from it.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Api { source, .. } => class_of(source),
            Self::Timeout { .. } | Self::Broker { .. } => Class::Transient,
            Self::Unreadable(_) => Class::Invalid,
            Self::Bug(_) => Class::Bug,
        }
    }

    /// The status code of the API server's answer, if it gave one.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => status_code(source),
            Self::Timeout { .. } | Self::Broker { .. } | Self::Unreadable(_) | Self::Bug(_) => None,
        }
    }
}

fn status_code(error: &kube::Error) -> Option<u16> {
    if let kube::Error::Api(status) = error { Some(status.code) } else { None }
}

fn class_of(error: &kube::Error) -> Class {
    if let kube::Error::Api(status) = error {
        return match status.code {
            // A namespace that goes away refuses new objects with 403; that ends by itself.
            403 if status.message.contains("being terminated") => Class::Transient,
            // A patch carried the UID of what it meant, and the name is another object's by now.
            422 if status.message.contains("metadata.uid: ") => Class::Transient,
            401 | 403 => Class::Permission,
            400 | 422 => Class::Invalid,
            404 | 408 | 409 | 410 | 429 | 500..=599 => Class::Transient,
            _other => Class::Bug,
        };
    }
    // An answer that does not parse is a disagreement about types, not about the network.
    let ours = matches!(error, kube::Error::SerdeError(_) | kube::Error::BuildRequest(_));
    if ours { Class::Bug } else { Class::Transient }
}

/// The server's own words, without the structure around them.
fn describe(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("{} ({} {})", status.message, status.code, status.reason);
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn api(code: u16, reason: &str, message: &str) -> Error {
        let status = Status {
            code,
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..Status::default()
        };
        Error::api("apply ConfigMap/c", kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn every_answer_has_its_class() {
        let table = [
            (400, Class::Invalid),
            (401, Class::Permission),
            (403, Class::Permission),
            (404, Class::Transient),
            (409, Class::Transient),
            (410, Class::Transient),
            (418, Class::Bug),
            (422, Class::Invalid),
            (429, Class::Transient),
            (500, Class::Transient),
            (503, Class::Transient),
        ];
        for (code, class) in table {
            let error = api(code, "Why", "words");
            assert_eq!((error.class(), error.code()), (class, Some(code)), "{code}");
        }
        let ending = api(403, "Forbidden", "unable to create: namespace a is being terminated");
        assert_eq!(ending.class(), Class::Transient);
        // As an API server of release 1.34 says it.
        let other = r#"Pod "p" is invalid: metadata.uid: Invalid value: "u": field is immutable"#;
        assert_eq!(api(422, "Invalid", other).class(), Class::Transient);
        let late = Error::Timeout { tried: "get".to_owned(), after: Duration::from_secs(10) };
        assert_eq!((late.class(), late.code()), (Class::Transient, None));
        assert_eq!(Error::Bug("x".to_owned()).class(), Class::Bug);
        assert_eq!(Error::Unreadable("x".to_owned()).class(), Class::Invalid);
    }

    #[test]
    fn the_line_says_what_was_tried_and_what_the_server_said() {
        let line = api(403, "Forbidden", "no patch on configmaps").to_string();
        assert_eq!(line, "cannot apply ConfigMap/c: no patch on configmaps (403 Forbidden)");
        let late = Error::Timeout { tried: "get Pod/p".to_owned(), after: Duration::from_secs(10) };
        assert_eq!(late.to_string(), "cannot get Pod/p: no answer from the API server within 10 s");
    }
}
