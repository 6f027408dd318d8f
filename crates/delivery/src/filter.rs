//! Which messages a subscription wants.
//!
//! A subscription is compiled once, when it is registered or when a pull carries it, into a
//! [`Matcher`] that is asked per message with no allocation.
//!
//! Source: RocketMQ 5.3 `FilterAPI#buildSubscriptionData`, `ExpressionMessageFilter`.

use rmq_model::client::SubscriptionData;
use rmq_model::java::hash_code;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most tags of one expression.
pub const TAGS_MAX: usize = 1_024;

/// Why an expression is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The expression itself is wrong (response code 23).
    #[error("parse the consumer's subscription failed: {reason}")]
    Parse {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An expression type other than `TAG` while property filters are off (response code 1).
    #[error("the broker does not support consumer to filter message by {kind}")]
    Unsupported {
        /// Expression type as given.
        kind: Arc<str>,
    },
}

/// What of expressions a broker is configured to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PropertyFilter {
    /// `enablePropertyFilter=false`: only tag expressions.
    #[default]
    Off,
}

/// A compiled subscription.
///
/// Filtering has two steps, as in the reference: by the number in the queue index, without
/// reading the record, and by the record's properties. Tag expressions need only the first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Matcher {
    /// Every message.
    All,
    /// Messages with one of these tags codes, in ascending order.
    Tags(Box<[i64]>),
}

impl Matcher {
    /// First step: whether a message with this tags code may be wanted.
    ///
    /// Tags whose hash codes collide pass; clients compare the texts again.
    pub fn accepts(&self, tags_code: i64) -> bool {
        match self {
            Self::All => true,
            // Nearly always a handful of codes: a scan beats anything cleverer.
            Self::Tags(codes) if codes.len() <= 8 => codes.contains(&tags_code),
            Self::Tags(codes) => codes.binary_search(&tags_code).is_ok(),
        }
    }

    /// Whether [`Matcher::accepts_record`] can still refuse what the first step accepted.
    pub fn needs_record(&self) -> bool {
        match self {
            Self::All | Self::Tags(_) => false,
        }
    }

    /// Second step: whether a message with this properties text is wanted.
    pub fn accepts_record(&self, _properties: &[u8]) -> bool {
        match self {
            Self::All | Self::Tags(_) => true,
        }
    }

    /// The tags codes of a tag expression; `None` if the codes alone do not decide.
    pub fn codes(&self) -> Option<&[i64]> {
        match self {
            Self::All => None,
            Self::Tags(codes) => Some(codes),
        }
    }

    /// Compiles a subscription as registered.
    ///
    /// The codes sent by the client count; where it sends none (the C++ client leaves empty sets
    /// out) they are made from the expression.
    ///
    /// # Errors
    /// [`FilterError`] as for [`subscription`].
    pub fn compile(data: &SubscriptionData, property: PropertyFilter) -> Result<Self, FilterError> {
        if data.class_filter_mode {
            return Ok(Self::All); // obsolete: the broker never filtered for these
        }
        if !data.is_tag() {
            return match property {
                PropertyFilter::Off => {
                    Err(FilterError::Unsupported { kind: Arc::clone(&data.expression_type) })
                }
            };
        }
        if is_all(&data.sub_string) {
            return Ok(Self::All);
        }
        if !data.code_set.is_empty() {
            return Ok(Self::Tags(data.code_set.iter().map(|code| i64::from(*code)).collect()));
        }
        let codes: BTreeSet<i64> =
            tags(&data.sub_string)?.map(|tag| i64::from(hash_code(tag))).collect();
        Ok(Self::Tags(codes.into_iter().collect()))
    }
}

/// `*`, empty and blank expressions want everything.
fn is_all(expression: &str) -> bool {
    let expression = expression.trim();
    expression.is_empty() || expression == SubscriptionData::ALL
}

/// The tags of `a || b`, trimmed, without empty ones.
fn tags(expression: &str) -> Result<impl Iterator<Item = &str>, FilterError> {
    let tags = || expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
    match tags().count() {
        0 => Err(FilterError::Parse { reason: "the tag expression has no tag" }),
        n if TAGS_MAX < n => Err(FilterError::Parse { reason: "the tag expression is too long" }),
        _ => Ok(tags()),
    }
}

/// Builds a subscription from the parts a pull request carries.
///
/// An absent or empty type is `TAG`, an absent or empty expression `*`. Expressions of other types
/// are kept as they are.
///
/// # Errors
/// [`FilterError::Parse`] for a tag expression without any tag, as `||`.
pub fn subscription(
    topic: &str,
    expression: Option<&str>,
    kind: Option<&str>,
    version: i64,
) -> Result<SubscriptionData, FilterError> {
    let expression = expression.unwrap_or_default();
    let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or(SubscriptionData::TAG);
    let mut data = SubscriptionData {
        topic: topic.into(),
        sub_version: version,
        ..SubscriptionData::default()
    };
    if kind != SubscriptionData::TAG {
        data.expression_type = kind.into();
        data.sub_string = expression.into();
        return Ok(data);
    }
    if is_all(expression) {
        return Ok(data);
    }
    data.sub_string = expression.into();
    for tag in tags(expression)? {
        data.tags_set.insert(tag.to_owned());
        data.code_set.insert(hash_code(tag));
    }
    Ok(data)
}

/// Compiles the expression of a pull request without building the subscription around it.
///
/// # Errors
/// [`FilterError`] says whether the expression or its type is at fault.
pub fn compile_expression(
    expression: Option<&str>,
    kind: Option<&str>,
    property: PropertyFilter,
) -> Result<Matcher, FilterError> {
    let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or(SubscriptionData::TAG);
    if kind != SubscriptionData::TAG {
        return match property {
            PropertyFilter::Off => Err(FilterError::Unsupported { kind: kind.into() }),
        };
    }
    let expression = expression.unwrap_or_default();
    if is_all(expression) {
        return Ok(Matcher::All);
    }
    let mut codes: Vec<i64> = tags(expression)?.map(|tag| i64::from(hash_code(tag))).collect();
    codes.sort_unstable();
    codes.dedup();
    Ok(Matcher::Tags(codes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(tag: &str) -> i64 {
        i64::from(hash_code(tag))
    }

    #[test]
    fn tag_expressions() {
        for (expression, wanted, unwanted) in [
            (None, vec!["a", ""], vec![]),
            (Some(""), vec!["a"], vec![]),
            (Some("  "), vec!["a"], vec![]),
            (Some("*"), vec!["a", "b"], vec![]),
            (Some(" * "), vec!["a", "b"], vec![]),
            (Some("a"), vec!["a"], vec!["b", ""]),
            (Some("a||b"), vec!["a", "b"], vec!["c", ""]),
            (Some(" a || b ||"), vec!["a", "b"], vec!["c", " a ", ""]),
            (Some("a|b"), vec!["a|b"], vec!["a", "b"]),
            (Some("订单"), vec!["订单"], vec!["a"]),
            (Some("a||b||c||d||e||f||g||h||i||j"), vec!["a", "j"], vec!["k"]),
        ] {
            let direct = compile_expression(expression, None, PropertyFilter::Off).unwrap();
            let data = subscription("T", expression, Some(""), 7).unwrap();
            let built = Matcher::compile(&data, PropertyFilter::Off).unwrap();
            assert_eq!(direct, built, "{expression:?}");
            for tag in wanted {
                assert!(direct.accepts(code(tag)), "{expression:?} wants {tag:?}");
            }
            for tag in unwanted {
                assert!(!direct.accepts(code(tag)), "{expression:?} does not want {tag:?}");
            }
            assert!(!direct.needs_record());
            assert!(direct.accepts_record(b""));
        }
    }

    #[test]
    fn a_built_subscription_has_tags_codes_and_version() {
        let data = subscription("T", Some("a || b"), Some("TAG"), 9).unwrap();
        assert_eq!(data.tags_set.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(data.code_set.iter().copied().collect::<Vec<_>>(), [97, 98]);
        assert_eq!((&*data.topic, data.sub_version, &*data.sub_string), ("T", 9, "a || b"));
        let all = subscription("T", None, None, 0).unwrap();
        assert_eq!(&*all.sub_string, "*");
    }

    #[test]
    fn expressions_without_tags_are_refused() {
        for expression in ["||", " || || "] {
            let refused = compile_expression(Some(expression), None, PropertyFilter::Off);
            assert!(matches!(refused, Err(FilterError::Parse { .. })), "{expression}");
            assert!(subscription("T", Some(expression), None, 0).is_err());
        }
        let many = vec!["t"; TAGS_MAX + 1].join("||");
        assert!(compile_expression(Some(&many), None, PropertyFilter::Off).is_err());
    }

    #[test]
    fn other_expression_types_need_the_property_filter() {
        let refused = compile_expression(Some("a > 1"), Some("SQL92"), PropertyFilter::Off);
        assert_eq!(refused, Err(FilterError::Unsupported { kind: "SQL92".into() }));
        let data = subscription("T", Some("a > 1"), Some("SQL92"), 1).unwrap();
        assert_eq!((&*data.expression_type, &*data.sub_string), ("SQL92", "a > 1"));
        assert!(matches!(
            Matcher::compile(&data, PropertyFilter::Off),
            Err(FilterError::Unsupported { .. })
        ));
    }

    #[test]
    fn registered_codes_count_and_missing_ones_are_made() {
        let mut data = SubscriptionData { sub_string: "a".into(), ..Default::default() };
        let derived = Matcher::compile(&data, PropertyFilter::Off).unwrap();
        assert_eq!(derived.codes(), Some(&[97][..]));
        data.code_set.insert(-5);
        let sent = Matcher::compile(&data, PropertyFilter::Off).unwrap();
        assert!(sent.accepts(-5) && !sent.accepts(97));
        data.class_filter_mode = true;
        assert_eq!(Matcher::compile(&data, PropertyFilter::Off), Ok(Matcher::All));
    }

    proptest! {
        #[test]
        fn every_tag_of_an_expression_is_accepted(tags in prop::collection::vec("[a-z]{1,4}", 1..20)) {
            let matcher =
                compile_expression(Some(&tags.join(" || ")), None, PropertyFilter::Off).unwrap();
            for tag in &tags {
                prop_assert!(matcher.accepts(code(tag)));
            }
            let strange = "0123";
            prop_assert!(!matcher.accepts(code(strange)));
        }

        #[test]
        fn noise_never_panics(expression in ".{0,64}", kind in ".{0,6}") {
            drop(compile_expression(Some(&expression), Some(&kind), PropertyFilter::Off));
            drop(subscription("T", Some(&expression), Some(&kind), 0));
        }
    }
}
