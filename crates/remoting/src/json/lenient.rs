//! From a value to a type, the way its sender meant it.

use super::{JsonError, to_value};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Number, Value};

/// Deserialises a field, or takes its default where the value cannot be one: an enum's name that only some
/// client knows, mostly.
///
/// # Errors
/// None of its own.
pub fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(T::deserialize(deserializer).unwrap_or_default())
}

pub(super) struct Lenient(pub(super) Value);

impl<'de> IntoDeserializer<'de, JsonError> for Lenient {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

fn shape<T>(wanted: &str, found: &Value) -> Result<T, JsonError> {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.to_string().chars().take(60).collect()
        }
    };
    Err(JsonError::Shape(format!("{wanted} was expected, not {found}")))
}

impl Lenient {
    /// A whole number in any clothes; fractions only if they are none.
    fn number(&self) -> Option<Number> {
        match &self.0 {
            Value::Number(number) => Some(number.clone()),
            Value::Bool(flag) => Some(Number::from(u8::from(*flag))),
            Value::String(text) => {
                let text = text.trim();
                let whole = text.parse::<i64>().map(Number::from).ok();
                whole
                    .or_else(|| text.parse::<u64>().map(Number::from).ok())
                    .or_else(|| text.parse().ok().and_then(Number::from_f64))
            }
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let Some(number) = self.number() else { return shape("a whole number", &self.0) };
        if let Some(value) = number.as_i64() {
            visitor.visit_i64(value)
        } else if let Some(value) = number.as_u64() {
            visitor.visit_u64(value)
        } else {
            // 5.0, as languages without integers send it.
            match number.as_f64().filter(|f| f.fract() == 0.0).map(|f| format!("{f:.0}").parse()) {
                Some(Ok(value)) => visitor.visit_i64(value),
                Some(Err(_)) | None => shape("a whole number", &self.0),
            }
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.number().and_then(|number| number.as_f64()) {
            Some(value) => visitor.visit_f64(value),
            None => shape("a number", &self.0),
        }
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Null => shape("a text", &self.0),
            // Numbers and flags as written; what is nested as its text.
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                visitor.visit_string(self.0.to_string())
            }
        }
    }
}

/// Implements the methods for whole numbers of every size by [`Lenient::integer`].
macro_rules! integers {
    (|$self:ident| $lenient:expr) => {
        integers! { |$self| $lenient;
            deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        }
    };
    (|$self:ident| $lenient:expr; $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
            let $self = self;
            $lenient.integer(visitor)
        }
    )*};
}

/// Null members say the same as absent ones.
fn members(value: serde_json::Map<String, Value>) -> impl Iterator<Item = (Key, Lenient)> {
    value
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (Key(key), Lenient(value)))
}

impl<'de> Deserializer<'de> for Lenient {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::Number(ref number) if number.is_f64() => self.float(visitor),
            Value::Number(_) => self.integer(visitor),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Lenient)))
            }
            Value::Object(object) => visitor.visit_map(MapDeserializer::new(members(object))),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match &self.0 {
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => {
                visitor.visit_bool(true)
            }
            Value::String(text)
                if text.eq_ignore_ascii_case("false") || text == "0" || text.is_empty() =>
            {
                visitor.visit_bool(false)
            }
            Value::Number(number) => visitor.visit_bool(number.as_f64() != Some(0.0)),
            Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                shape("true or false", &self.0)
            }
        }
    }

    integers! { |lenient| lenient }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.float(visitor)
    }
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.float(visitor)
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.text(visitor)
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self)
    }

    /// An array; the text of one; nothing, for an empty one.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let items = match self.0 {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            Value::String(text) if text.trim().is_empty() => Vec::new(),
            Value::String(text) if text.trim_start().starts_with('[') => {
                return Lenient(to_value(text.as_bytes())?).deserialize_seq(visitor);
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                return shape("an array", &self.0);
            }
        };
        visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Lenient)))
    }

    /// An object; the text of one; nothing, for an empty one.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let object = match self.0 {
            Value::Object(object) => object,
            Value::Null => serde_json::Map::new(),
            Value::String(text) if text.trim_start().starts_with('{') => {
                return Lenient(to_value(text.as_bytes())?).deserialize_map(visitor);
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return shape("an object", &self.0);
            }
        };
        visitor.visit_map(MapDeserializer::new(members(object)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        self.deserialize_map(visitor)
    }

    /// A name, or the ordinal of one, as a number or as text.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        let name = match &self.0 {
            Value::String(name) if variants.contains(&name.as_str()) => name.clone(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {
                let ordinal = self.number().and_then(|number| number.as_u64());
                let known = ordinal.and_then(|n| variants.get(usize::try_from(n).ok()?));
                match known {
                    Some(name) => (*name).to_owned(),
                    None => return shape("the name of a constant", &self.0),
                }
            }
        };
        visitor.visit_enum(Constant(name))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Constant(String);

impl<'de> EnumAccess<'de> for Constant {
    type Error = JsonError;
    type Variant = UnitOnly;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, UnitOnly), JsonError> {
        Ok((seed.deserialize(self.0.into_deserializer())?, UnitOnly))
    }
}

struct UnitOnly;

impl<'de> VariantAccess<'de> for UnitOnly {
    type Error = JsonError;

    fn unit_variant(self) -> Result<(), JsonError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, JsonError> {
        Err(JsonError::custom("only plain constants are known"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, JsonError> {
        Err(JsonError::custom("only plain constants are known"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, JsonError> {
        Err(JsonError::custom("only plain constants are known"))
    }
}

/// A key: text, the text of a number, or the text of an object.
struct Key(String);

impl<'de> IntoDeserializer<'de, JsonError> for Key {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Key {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_string(self.0)
    }

    integers! { |key| Lenient(Value::String(key.0)) }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        Lenient(Value::String(self.0)).deserialize_struct(name, fields, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        Lenient(Value::String(self.0)).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}
