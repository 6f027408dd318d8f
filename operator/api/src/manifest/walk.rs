//! Walking over a document of any form.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, EnumAccess, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess as _, Visitor,
};

use crate::fields::Fields;

/// First look at a document: what it claims to be. Visits every node, so that a key given twice is
/// found wherever it stands; maps of settings would silently keep the last value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outline {
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
        while seq.next_element_seed(Checked(None))?.is_some() {}
        Ok(Outline::Other)
    }
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Outline, A::Error> {
        let (_, variant) = data.variant::<IgnoredAny>()?;
        variant.newtype_variant_seed(Checked(None))?;
        Ok(Outline::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let (mut api_version, mut kind) = (None, None);
        let mut keys = Keys::default();
        while let Some(Key(key)) = map.next_key()? {
            keys.add(&key)?;
            let text = map.next_value_seed(Checked(None))?;
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

/// Any node whose maps have no key twice and, if fields are given, none but those; gives its text if
/// it is a plain value.
pub(super) struct Checked<'a>(pub(super) Option<&'a Fields>);

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = Option<String>;

    fn deserialize<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }
    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }
    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let below = self.0.and_then(Fields::element);
        while seq.next_element_seed(Checked(below))?.is_some() {}
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key_seed(KnownKey(self.0))? {
            keys.add(&key)?;
            map.next_value_seed(Checked(self.0.and_then(|fields| fields.below(&key))))?;
        }
        Ok(None)
    }
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Self::Value, A::Error> {
        let (_, variant) = data.variant::<IgnoredAny>()?;
        variant.newtype_variant_seed(Checked(None))?;
        Ok(None)
    }
}

/// A key of a map, which in a manifest is a plain value.
pub(super) struct Key(pub(super) String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        KnownKey(None).deserialize(deserializer).map(Self)
    }
}

/// A key of a map that is one of the known ones, if those are given. An unknown one is refused while
/// it is read: the reader then knows the place.
struct KnownKey<'a>(Option<&'a Fields>);

impl KnownKey<'_> {
    fn check<E: de::Error>(&self, key: impl Into<String>) -> Result<String, E> {
        let key = key.into();
        match self.0 {
            Some(fields) if fields.below(&key).is_none() => {
                Err(E::custom(format_args!("unknown field `{key}`, {}", fields.expected())))
            }
            Some(_) | None => Ok(key),
        }
    }
}

impl<'de> DeserializeSeed<'de> for KnownKey<'_> {
    type Value = String;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for KnownKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is a plain text")
    }
    fn visit_bool<E: de::Error>(self, key: bool) -> Result<String, E> {
        self.check(key.to_string())
    }
    fn visit_i64<E: de::Error>(self, key: i64) -> Result<String, E> {
        self.check(key.to_string())
    }
    fn visit_u64<E: de::Error>(self, key: u64) -> Result<String, E> {
        self.check(key.to_string())
    }
    fn visit_f64<E: de::Error>(self, key: f64) -> Result<String, E> {
        self.check(key.to_string())
    }
    fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
        self.check(key)
    }
}
