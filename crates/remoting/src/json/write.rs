//! The compact writer.

use super::JsonError;
use crate::digits;
use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple,
    SerializeTupleStruct, Serializer,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Keys that are no text stay as they are.
    Fastjson,
    /// Keys are quoted; ASCII only.
    Standard,
}

impl serde::ser::Error for JsonError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }
}

pub(super) fn to_vec<T: Serialize + ?Sized>(value: &T, form: Form) -> Vec<u8> {
    let mut writer = Writer { out: Vec::with_capacity(256), form };
    value.serialize(&mut writer).expect("a derived Serialize into memory does not fail");
    writer.out
}

struct Writer {
    out: Vec<u8>,
    form: Form,
}

impl Writer {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn integer(&mut self, value: i64) {
        digits::with(value, |digits| self.out.extend_from_slice(digits));
    }

    fn text(&mut self, text: &str) {
        self.raw("\"");
        for c in text.chars() {
            match c {
                '"' => self.raw("\\\""),
                '\\' => self.raw("\\\\"),
                '\n' => self.raw("\\n"),
                '\r' => self.raw("\\r"),
                '\t' => self.raw("\\t"),
                '\0'..='\u{1f}' | '\u{7f}' => self.escape(c),
                _ if !c.is_ascii() && self.form == Form::Standard => self.escape(c),
                _ => self.raw(c.encode_utf8(&mut [0; 4])),
            }
        }
        self.raw("\"");
    }

    fn escape(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            self.raw("\\u");
            for digit in unit.to_be_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]) {
                self.out.push(b"0123456789ABCDEF"[usize::from(digit)]);
            }
        }
    }

    /// Writes a key. One that begins like a text is one; all others are quoted in the standard form.
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        let start = self.out.len();
        key.serialize(&mut *self)?;
        if self.form == Form::Standard && self.out.get(start) != Some(&b'"') {
            let bare = self.out.split_off(start);
            self.text(std::str::from_utf8(&bare).unwrap_or_default());
        }
        Ok(())
    }
}

/// Members of an object or items of an array.
struct Items<'a> {
    writer: &'a mut Writer,
    close: &'static str,
    first: bool,
    /// Where the present member begins.
    start: usize,
}

impl<'a> Items<'a> {
    fn new(writer: &'a mut Writer, open: &str, close: &'static str) -> Self {
        writer.raw(open);
        Self { start: writer.out.len(), writer, close, first: true }
    }

    fn comma(&mut self) {
        self.start = self.writer.out.len();
        if !self.first {
            self.writer.raw(",");
        }
    }

    /// The value of a member; one that is null takes its key away with it.
    fn member_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.writer.raw(":");
        let before = self.writer.out.len();
        value.serialize(&mut *self.writer)?;
        if self.writer.out.get(before..) == Some(b"null") {
            self.writer.out.truncate(self.start);
        } else {
            self.first = false;
        }
        Ok(())
    }

    fn member<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), JsonError> {
        self.comma();
        self.writer.text(key);
        self.member_value(value)
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.comma();
        self.first = false;
        value.serialize(&mut *self.writer)
    }

    fn close(self) {
        self.writer.raw(self.close);
    }
}

/// Implements the methods for whole numbers that fit into an `i64`.
macro_rules! as_i64 {
    ($($method:ident $type:ty),* $(,)?) => {$(
        fn $method(self, value: $type) -> Result<(), JsonError> {
            self.serialize_i64(value.into())
        }
    )*};
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = JsonError;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Impossible<(), JsonError>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Impossible<(), JsonError>;

    fn serialize_bool(self, value: bool) -> Result<(), JsonError> {
        self.raw(if value { "true" } else { "false" });
        Ok(())
    }

    as_i64! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32,
    }
    fn serialize_i64(self, value: i64) -> Result<(), JsonError> {
        self.integer(value);
        Ok(())
    }
    fn serialize_u64(self, value: u64) -> Result<(), JsonError> {
        self.raw(&value.to_string());
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), JsonError> {
        self.serialize_f64(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<(), JsonError> {
        if value.is_finite() {
            self.raw(&format!("{value:?}")); // always with a point or an exponent, as Java's
        } else {
            self.raw("null");
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), JsonError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<(), JsonError> {
        self.text(value);
        Ok(())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), JsonError> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), JsonError> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), JsonError> {
        self.raw("null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), JsonError> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), JsonError> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        let mut items = Items::new(self, "{", "}");
        items.member(variant, value)?;
        items.close();
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, JsonError> {
        Ok(Items::new(self, "[", "]"))
    }
    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, JsonError> {
        self.serialize_seq(None)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, JsonError> {
        self.serialize_seq(None)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, JsonError> {
        Err(serde::ser::Error::custom("no body has variants with fields"))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Items<'a>, JsonError> {
        Ok(Items::new(self, "{", "}"))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, JsonError> {
        Ok(Items::new(self, "{", "}"))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, JsonError> {
        Err(serde::ser::Error::custom("no body has variants with fields"))
    }
}

/// Implements what is written as an array: each of serde's traits for it has one method, by this name.
macro_rules! arrays {
    ($($of:ident $item:ident),*) => {$(
        impl $of for Items<'_> {
            type Ok = ();
            type Error = JsonError;
            fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
                self.item(value)
            }
            fn end(self) -> Result<(), JsonError> {
                self.close();
                Ok(())
            }
        }
    )*};
}

arrays!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field
);

impl SerializeMap for Items<'_> {
    type Ok = ();
    type Error = JsonError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        self.comma();
        self.writer.key(key)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        self.member_value(value)
    }
    fn end(self) -> Result<(), JsonError> {
        self.close();
        Ok(())
    }
}

impl SerializeStruct for Items<'_> {
    type Ok = ();
    type Error = JsonError;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        self.member(key, value)
    }
    fn end(self) -> Result<(), JsonError> {
        self.close();
        Ok(())
    }
}
