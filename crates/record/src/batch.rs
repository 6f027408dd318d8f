//! Body of a batch send (request code 320): elements one after the other, no count, no padding.
//!
//! | width | field |
//! | --- | --- |
//! | i32 | size of this element, this field included |
//! | i32 | magic, 0 |
//! | i32 | body CRC, 0 |
//! | i32 | the application's flag |
//! | i32 + n | body |
//! | i16 + n | properties text |

use crate::bytes_at::{i16_at, i32_at, len_at};

/// Bytes of an element with neither body nor properties.
pub const ELEMENT_BYTES_MIN: usize = 22;

/// One message of a batch, borrowed from the request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The application's flag.
    pub flag: i32,
    /// Body.
    pub body: &'a [u8],
    /// Properties text.
    pub properties: &'a [u8],
}

/// Why a batch body cannot be read. Nothing of the batch may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A length points outside the body.
    #[error("batch element at byte {at} is cut short")]
    Short {
        /// Where the element begins.
        at: usize,
    },
    /// Lengths inside do not add up to the element's size.
    #[error("batch element at byte {at} says {size} bytes but has {sum}")]
    Size {
        /// Where the element begins.
        at: usize,
        /// What its first word says.
        size: usize,
        /// What its parts add up to.
        sum: usize,
    },
}

/// Elements of `body`; ends after the first error.
pub fn elements(body: &[u8]) -> Elements<'_> {
    Elements { body, at: 0 }
}

/// See [`elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.body.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at = self.at;
        let item = match decode(rest) {
            Some((size, sum, element)) if size == sum => {
                self.at = at + size;
                return Some(Ok(element));
            }
            Some((size, sum, _)) => BatchError::Size { at, size, sum },
            None => BatchError::Short { at },
        };
        self.at = self.body.len();
        Some(Err(item))
    }
}

fn decode(buf: &[u8]) -> Option<(usize, usize, Element<'_>)> {
    let size = len_at(buf, 0)?;
    let flag = i32_at(buf, 12)?;
    let body_len = len_at(buf, 16)?;
    let body_end = 20_usize.checked_add(body_len)?;
    let body = buf.get(20..body_end)?;
    let properties_len = usize::try_from(i16_at(buf, body_end)?).ok()?;
    let sum = body_end + 2 + properties_len;
    let properties = buf.get(body_end + 2..sum)?;
    Some((size, sum, Element { flag, body, properties }))
}

/// Adds one element to `out`. Returns false, and adds nothing, when a part is too long for its
/// length field.
pub fn encode(out: &mut Vec<u8>, element: &Element<'_>) -> bool {
    let sum = ELEMENT_BYTES_MIN + element.body.len() + element.properties.len();
    let (Ok(size), Ok(body_len), Ok(properties_len)) = (
        i32::try_from(sum),
        i32::try_from(element.body.len()),
        i16::try_from(element.properties.len()),
    ) else {
        return false;
    };
    out.reserve(sum);
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&element.flag.to_be_bytes());
    out.extend_from_slice(&body_len.to_be_bytes());
    out.extend_from_slice(element.body);
    out.extend_from_slice(&properties_len.to_be_bytes());
    out.extend_from_slice(element.properties);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout_is_as_described() {
        let mut out = Vec::new();
        assert!(encode(&mut out, &Element { flag: 7, body: b"hi", properties: b"a\x01b\x02" }));
        let want = [
            &[0, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2][..],
            b"hi",
            &[0, 4],
            b"a\x01b\x02",
        ]
        .concat();
        assert_eq!(out, want);
    }

    #[test]
    fn sizes_that_do_not_add_up_are_named() {
        let mut out = Vec::new();
        encode(&mut out, &Element { flag: 0, body: b"hi", properties: b"" });
        let mut wrong = out.clone();
        wrong[3] = 23;
        let all: Vec<_> = elements(&wrong).collect();
        assert_eq!(all, [Err(BatchError::Size { at: 0, size: 23, sum: 24 })]);
        out.push(1);
        let all: Vec<_> = elements(&out).collect();
        assert_eq!(all.get(1), Some(&Err(BatchError::Short { at: 24 })));
        assert_eq!(all.len(), 2);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            sent in prop::collection::vec(
                (any::<i32>(), prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..20)),
                0..8,
            )
        ) {
            let mut out = Vec::new();
            for (flag, body, properties) in &sent {
                let fits = encode(&mut out, &Element { flag: *flag, body, properties });
                prop_assert!(fits);
            }
            let got: Result<Vec<_>, _> = elements(&out)
                .map(|e| e.map(|e| (e.flag, e.body.to_vec(), e.properties.to_vec())))
                .collect();
            prop_assert_eq!(got, Ok(sent));
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..120)) {
            let _ = elements(&noise).count();
        }
    }
}
