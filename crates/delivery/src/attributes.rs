//! Attributes of topics and groups: `+k=v,-k` in requests, plain `k` in tables.
//!
//! Source: RocketMQ 5.3 `AttributeParser`, `AttributeUtil#alterCurrentAttributes`.

use std::collections::BTreeMap;

/// Most changes of attributes in one request.
const CHANGES_MAX: usize = 64;

/// Why a change of attributes is refused (response code 1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// Neither `+k=v` nor `-k`.
    #[error("attribute format is wrong: {text}")]
    Format {
        /// The part of the request.
        text: String,
    },
    /// The same name twice in one request.
    #[error("key duplication: {name}")]
    Duplicate {
        /// Attribute.
        name: String,
    },
    /// Not an attribute of this kind of thing.
    #[error("unsupported key: {name}")]
    Unknown {
        /// Attribute.
        name: String,
    },
    /// `-k` while creating.
    #[error("only add attribute is supported while creating. key: {name}")]
    RemoveOnCreate {
        /// Attribute.
        name: String,
    },
    /// `-k` of something not set.
    #[error("attempt to delete a nonexistent key: {name}")]
    Absent {
        /// Attribute.
        name: String,
    },
    /// May only be given while creating.
    #[error("attempt to update an unchangeable attribute. key: {name}")]
    Fixed {
        /// Attribute.
        name: String,
    },
    /// Outside the allowed values.
    #[error("value of attribute {name} is not allowed: {value}")]
    Value {
        /// Attribute.
        name: String,
        /// As given.
        value: String,
    },
    /// More changes than anybody needs.
    #[error("too many attributes, at most {CHANGES_MAX} in one request")]
    TooMany,
}

/// Allowed values of an attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    OneOf(&'static [&'static str]),
    Range(i64, i64),
}

/// Name, values and whether it may change after creation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: &'static str,
    pub(crate) values: Values,
    pub(crate) changeable: bool,
}

impl Attribute {
    fn allows(&self, value: &str) -> bool {
        match self.values {
            Values::OneOf(values) => values.contains(&value),
            Values::Range(min, max) => {
                value.parse::<i64>().is_ok_and(|value| min <= value && value <= max)
            }
        }
    }
}

/// Parses `+k=v,-k` into signed names and values, the form that list bodies carry too.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, String>, AttributeError> {
    let mut changes = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim(), value.trim());
        let plus = name.starts_with('+') && part.contains('=');
        let minus = name.starts_with('-') && !part.contains('=');
        if !(plus || minus) || name.len() < 2 {
            return Err(AttributeError::Format { text: part.to_owned() });
        }
        if changes.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(AttributeError::Duplicate { name: name.to_owned() });
        }
        if CHANGES_MAX < changes.len() {
            return Err(AttributeError::TooMany);
        }
    }
    Ok(changes)
}

/// Applies signed changes to `current`, which is `None` while creating.
pub(crate) fn alter(
    allowed: &[Attribute],
    current: Option<&BTreeMap<String, String>>,
    changes: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, AttributeError> {
    if CHANGES_MAX < changes.len() {
        return Err(AttributeError::TooMany);
    }
    let mut result = current.cloned().unwrap_or_default();
    let mut seen: Vec<&str> = Vec::new();
    for (signed, value) in changes {
        let (add, name) = match (signed.strip_prefix('+'), signed.strip_prefix('-')) {
            (Some(name), _) if !name.is_empty() => (true, name),
            (_, Some(name)) if !name.is_empty() => (false, name),
            _ => return Err(AttributeError::Format { text: signed.clone() }),
        };
        let owned = || name.to_owned();
        if seen.contains(&name) {
            return Err(AttributeError::Duplicate { name: owned() });
        }
        seen.push(name);
        let Some(attribute) = allowed.iter().find(|attribute| attribute.name == name) else {
            return Err(AttributeError::Unknown { name: owned() });
        };
        match current {
            None if !add => return Err(AttributeError::RemoveOnCreate { name: owned() }),
            Some(current) if !add && !current.contains_key(name) => {
                return Err(AttributeError::Absent { name: owned() });
            }
            // Setting what is set already is no change, so that a request can be repeated.
            Some(current) if add && current.get(name) == Some(value) => continue,
            Some(_) if !attribute.changeable => {
                return Err(AttributeError::Fixed { name: owned() });
            }
            None | Some(_) => {}
        }
        if !add {
            result.remove(name);
        } else if attribute.allows(value) {
            result.insert(owned(), value.clone());
        } else {
            return Err(AttributeError::Value { name: owned(), value: value.clone() });
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: [Attribute; 3] = [
        Attribute { name: "fixed", values: Values::OneOf(&["A", "B"]), changeable: false },
        Attribute { name: "free", values: Values::OneOf(&["X", "Y"]), changeable: true },
        Attribute { name: "number", values: Values::Range(-1, 10), changeable: true },
    ];

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn requests_are_parsed() {
        assert_eq!(parse(""), Ok(map(&[])));
        assert_eq!(parse("+a=1, -b ,"), Ok(map(&[("+a", "1"), ("-b", "")])));
        assert_eq!(parse("+a="), Ok(map(&[("+a", "")])));
        for text in ["a=1", "a", "+a", "-a=1", "+=1", "-", "+"] {
            assert!(matches!(parse(text), Err(AttributeError::Format { .. })), "{text}");
        }
        assert!(matches!(parse("+a=1,+a=2"), Err(AttributeError::Duplicate { .. })));
        let many: Vec<_> = (0..=CHANGES_MAX).map(|n| format!("+a{n}=1")).collect();
        assert_eq!(parse(&many.join(",")), Err(AttributeError::TooMany));
    }

    #[test]
    fn creation_takes_additions_only() {
        let create = |text: &str| alter(&ALLOWED, None, &parse(text).unwrap());
        assert_eq!(create("+fixed=A,+number=10"), Ok(map(&[("fixed", "A"), ("number", "10")])));
        assert_eq!(create("-free"), Err(AttributeError::RemoveOnCreate { name: "free".into() }));
        assert_eq!(create("+other=1"), Err(AttributeError::Unknown { name: "other".into() }));
        for bad in ["+fixed=C", "+number=11", "+number=x", "+number=", "+free=x"] {
            assert!(matches!(create(bad), Err(AttributeError::Value { .. })), "{bad}");
        }
    }

    #[test]
    fn changes_respect_what_is_fixed() {
        let now = map(&[("fixed", "A"), ("free", "X")]);
        let change = |text: &str| alter(&ALLOWED, Some(&now), &parse(text).unwrap());
        assert_eq!(change("+free=Y"), Ok(map(&[("fixed", "A"), ("free", "Y")])));
        assert_eq!(change("-free,+number=1"), Ok(map(&[("fixed", "A"), ("number", "1")])));
        assert_eq!(change("+fixed=A"), Ok(now.clone()));
        assert_eq!(change("+fixed=B"), Err(AttributeError::Fixed { name: "fixed".into() }));
        assert_eq!(change("-fixed"), Err(AttributeError::Fixed { name: "fixed".into() }));
        assert_eq!(change("-number"), Err(AttributeError::Absent { name: "number".into() }));
        assert_eq!(change("-other"), Err(AttributeError::Unknown { name: "other".into() }));
        assert!(matches!(change("+free=Y,-free"), Err(AttributeError::Duplicate { .. })));
        let unsigned = alter(&ALLOWED, Some(&now), &map(&[("free", "Y")]));
        assert!(matches!(unsigned, Err(AttributeError::Format { .. })));
    }
}
