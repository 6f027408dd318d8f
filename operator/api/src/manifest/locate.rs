//! Finding the place of a field.

use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::document;
use super::walk::Key;

/// Where `path` (or the nearest of its parents that exists) stands in the `index`th document.
pub(super) fn locate(text: &str, index: usize, path: &str) -> Option<(usize, usize)> {
    let mut steps: Vec<&str> =
        path.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
    loop {
        let error = Locate(&steps).deserialize(document(text, index)?).err()?;
        if let Some(place) = error.location() {
            return Some((place.line(), place.column()));
        }
        steps.pop()?;
    }
}

/// Walks down the steps and fails at the last one, so that the reader tells the position: it keeps
/// none of the nodes it has read.
struct Locate<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Locate<'_> {
    fn found<E: de::Error>(&self) -> Result<(), E> {
        Err(E::custom("here"))
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.found()
    }
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.found()
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.found()
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.found()
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.found()
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.found()
    }
    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.found()
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return self.found() };
        let Ok(wanted) = first.parse::<usize>() else { return self.found() };
        for _ in 0..wanted {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return self.found();
            }
        }
        match seq.next_element_seed(Locate(rest))? {
            Some(()) | None => self.found(),
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return self.found() };
        while let Some(Key(key)) = map.next_key()? {
            if key == *first {
                return map.next_value_seed(Locate(rest));
            }
            map.next_value::<IgnoredAny>()?;
        }
        self.found()
    }
}
