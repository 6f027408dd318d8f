//! The token that both ends know.

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

const KEY: &str = "authorization";
const SCHEME: &str = "Bearer ";

/// Why a token cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// Nothing but blanks.
    #[error("the token is empty")]
    Empty,
    /// Header values are visible ASCII.
    #[error("the token has characters that cannot be sent")]
    Characters,
}

/// Adds the cluster's token to every request of a client.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl std::fmt::Debug for Bearer {
    /// Tells nothing of the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Bearer(a token)" } else { "Bearer(none)" })
    }
}

impl Bearer {
    /// With `token`; blanks around it do not count.
    ///
    /// # Errors
    /// When there is nothing in it, or something that cannot be sent.
    pub fn new(token: &str) -> Result<Self, BearerError> {
        let token = token.trim();
        if token.is_empty() {
            return Err(BearerError::Empty);
        }
        let Ok(mut value) = MetadataValue::try_from(format!("{SCHEME}{token}")) else {
            return Err(BearerError::Characters);
        };
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }

    /// Without one, for processes that only this machine can reach.
    pub fn none() -> Self {
        Self(None)
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert(KEY, value.clone());
        }
        Ok(request)
    }
}

/// The token that came with a request.
pub fn bearer_token(metadata: &MetadataMap) -> Option<&str> {
    metadata.get(KEY)?.to_str().ok()?.strip_prefix(SCHEME)
}

/// Whether two tokens are the same, in a time that does not tell where they differ.
pub fn same_token(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let differing = one.iter().zip(other).fold(0, |seen, (a, b)| seen | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_end_sends_the_other_reads() {
        let mut bearer = Bearer::new(" secret\n").expect("it can be sent");
        let request = bearer.call(Request::new(())).expect("it only adds");
        assert_eq!(bearer_token(request.metadata()), Some("secret"));
        assert_eq!(format!("{bearer:?} {:?}", Bearer::none()), "Bearer(a token) Bearer(none)");
        let request = Bearer::none().call(Request::new(())).expect("it only adds");
        assert_eq!(bearer_token(request.metadata()), None);
    }

    #[test]
    fn tokens_that_cannot_be_sent_are_refused() {
        for (token, error) in [("", BearerError::Empty), (" \n", BearerError::Empty)] {
            assert_eq!(Bearer::new(token).map(drop), Err(error));
        }
        assert_eq!(Bearer::new("a\nb").map(drop), Err(BearerError::Characters));
    }

    #[test]
    fn only_equal_tokens_are_the_same() {
        for (one, other, same) in
            [("a", "a", true), ("", "", true), ("a", "b", false), ("a", "ab", false)]
        {
            assert_eq!(same_token(one, other), same, "{one} {other}");
        }
    }
}
