//! Reading variables, with errors that say which one and what it should be.

use std::fmt::Display;
use std::str::FromStr;

/// Why a process cannot be the pod that its environment asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PodError {
    /// A variable that a pod cannot do without.
    #[error("{name} is not set: it must be {rule}")]
    Missing {
        /// Of the variable.
        name: &'static str,
        /// What it should be.
        rule: &'static str,
    },
    /// A variable that breaks its rule.
    #[error("{name} = {value:?}: must be {rule}")]
    Value {
        /// Of the variable.
        name: &'static str,
        /// As given, at most 128 characters of it.
        value: String,
        /// What it should be.
        rule: String,
    },
    /// A fact that the derivation needs and was not handed.
    #[error("{0}")]
    Fact(String),
}

/// The variables of a process.
pub(crate) struct Variables<F>(F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    pub(crate) fn new(lookup: F) -> Self {
        Self(lookup)
    }

    /// The value of `name`; unset, empty and blank are the same.
    pub(crate) fn optional(&self, name: &'static str) -> Option<String> {
        let value = (self.0)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    pub(crate) fn required(
        &self,
        name: &'static str,
        rule: &'static str,
    ) -> Result<String, PodError> {
        self.optional(name).ok_or(PodError::Missing { name, rule })
    }

    /// The value of `name` as a `T`, `None` when it is not set.
    pub(crate) fn parsed<T: FromStr>(
        &self,
        name: &'static str,
        rule: &'static str,
    ) -> Result<Option<T>, PodError> {
        let Some(value) = self.optional(name) else { return Ok(None) };
        match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(_) => Err(broken(name, &value, rule)),
        }
    }

    /// One of a few words, in any case of letters.
    pub(crate) fn word<T: Copy>(
        &self,
        name: &'static str,
        words: &[(&'static str, T)],
        default: T,
    ) -> Result<T, PodError> {
        let Some(value) = self.optional(name) else { return Ok(default) };
        match words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&value)) {
            Some((_, meaning)) => Ok(*meaning),
            None => {
                let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(broken(name, &value, format_args!("one of {}", names.join(", "))))
            }
        }
    }
}

pub(crate) fn broken(name: &'static str, value: &str, rule: impl Display) -> PodError {
    PodError::Value { name, value: value.chars().take(128).collect(), rule: rule.to_string() }
}
