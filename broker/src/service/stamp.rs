//! The properties of a message that comes in: what they say, and what the broker adds.

use bytes::Bytes;
use rmq_model::Millis;
use rmq_model::message::{
    CLUSTER, DELAY, KEYS, MSG_REGION, NAME_VALUE_SEPARATOR, POP_CK, PROPERTY_SEPARATOR,
    SHARDING_KEY, TIMER_DELAY_MS, TIMER_DELAY_SEC, TIMER_DELIVER_MS, TRACE_ON, TRAN_MSG, UNIQ_KEY,
    WAIT,
};
use rmq_record::UniqueIds;
use std::net::IpAddr;

/// Adds this broker's properties to messages: region, trace switch, cluster, and a unique id
/// where the client gave none.
#[derive(Debug)]
pub struct Stamp {
    suffix: Vec<u8>,
    ids: UniqueIds,
}

/// A message's properties as they are stored, and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// Properties text.
    pub properties: Bytes,
    /// Value of `UNIQ_KEY`, part of `properties`.
    pub uniq_key: Bytes,
    /// Delay level as given, before it is limited; 0 for none.
    pub delay_level: u32,
    /// Marked as half message.
    pub half: bool,
    /// Asks for delivery at a time of its own.
    pub timer: bool,
    /// The sender waits for the disk (and replicas).
    pub wait: bool,
    /// Has an order key.
    pub ordered: bool,
    /// Has index keys.
    pub keyed: bool,
}

/// What one pass over the text finds. Ranges count from its start.
#[derive(Default)]
struct Found {
    uniq_key: Option<(usize, usize)>,
    delay_level: u32,
    half: bool,
    timer: bool,
    no_wait: bool,
    ordered: bool,
    keyed: bool,
    /// There are properties that must not stay as they are.
    replaced: bool,
}

impl Stamp {
    /// `ip` and `pid` go into the unique ids made here.
    pub fn new(
        region: &str,
        trace_on: bool,
        cluster: &str,
        ip: IpAddr,
        pid: u32,
        salt: u32,
    ) -> Self {
        let mut suffix = Vec::with_capacity(128);
        let trace = if trace_on { "true" } else { "false" };
        for (name, value) in [(MSG_REGION, region), (TRACE_ON, trace), (CLUSTER, cluster)] {
            if !value.is_empty() {
                push(&mut suffix, name, value.as_bytes());
            }
        }
        Self { suffix, ids: UniqueIds::new(ip, pid, salt) }
    }

    /// Reads the text once and adds what belongs to it.
    ///
    /// `POP_CK` goes; region, trace switch and cluster are this broker's, whatever was there.
    pub fn apply(&self, text: &[u8], now: Millis) -> Stamped {
        let mut out = Vec::with_capacity(text.len() + self.suffix.len() + 48);
        let first = find(text);
        let found = if first.replaced {
            for segment in text.split(|b| *b == PROPERTY_SEPARATOR) {
                if !segment.is_empty() && !is_replaced(name_of(segment)) {
                    out.extend_from_slice(segment);
                    out.push(PROPERTY_SEPARATOR);
                }
            }
            find(&out)
        } else {
            out.extend_from_slice(text);
            if out.last().is_some_and(|last| *last != PROPERTY_SEPARATOR) {
                out.push(PROPERTY_SEPARATOR);
            }
            first
        };
        let (start, end) = found.uniq_key.unwrap_or_else(|| {
            let id = self.ids.next(now).to_string();
            push(&mut out, UNIQ_KEY, id.as_bytes());
            let end = out.len().saturating_sub(1);
            (end.saturating_sub(id.len()), end)
        });
        out.extend_from_slice(&self.suffix);
        let properties = Bytes::from(out);
        Stamped {
            uniq_key: properties.slice(start..end),
            delay_level: found.delay_level,
            half: found.half,
            timer: found.timer,
            wait: !found.no_wait,
            ordered: found.ordered,
            keyed: found.keyed,
            properties,
        }
    }
}

fn push(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.push(NAME_VALUE_SEPARATOR);
    out.extend_from_slice(value);
    out.push(PROPERTY_SEPARATOR);
}

fn name_of(segment: &[u8]) -> &[u8] {
    segment.split(|b| *b == NAME_VALUE_SEPARATOR).next().unwrap_or(segment)
}

fn is_replaced(name: &[u8]) -> bool {
    [POP_CK, MSG_REGION, TRACE_ON, CLUSTER].iter().any(|known| known.as_bytes() == name)
}

fn find(text: &[u8]) -> Found {
    let mut found = Found::default();
    let mut start = 0usize;
    for segment in text.split(|b| *b == PROPERTY_SEPARATOR) {
        let at = start;
        start = at.saturating_add(segment.len()).saturating_add(1);
        let name = name_of(segment);
        let Some(value) = segment.get(name.len().saturating_add(1)..) else { continue };
        if value.is_empty() {
            continue;
        }
        match name.len() {
            4 if name == KEYS.as_bytes() => found.keyed = true,
            4 if name == WAIT.as_bytes() => found.no_wait = value.eq_ignore_ascii_case(b"false"),
            5 if name == DELAY.as_bytes() => found.delay_level = level(value),
            8 if name == UNIQ_KEY.as_bytes() => {
                let from = at.saturating_add(name.len()).saturating_add(1);
                found.uniq_key = Some((from, from.saturating_add(value.len())));
            }
            8 if name == TRAN_MSG.as_bytes() => found.half = value.eq_ignore_ascii_case(b"true"),
            13 if name == SHARDING_KEY.as_bytes() => found.ordered = true,
            14 | 15 | 16
                if [TIMER_DELAY_MS, TIMER_DELAY_SEC, TIMER_DELIVER_MS]
                    .iter()
                    .any(|timer| timer.as_bytes() == name) =>
            {
                found.timer = true;
            }
            _ => found.replaced |= is_replaced(name),
        }
    }
    found
}

fn level(value: &[u8]) -> u32 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rmq_record::properties;

    const NOW: Millis = 1_700_000_000_000;

    fn stamp() -> Stamp {
        Stamp::new("DefaultRegion", true, "C", IpAddr::from([127, 0, 0, 1]), 7, 9)
    }

    fn text(pairs: &[(&str, &str)]) -> Bytes {
        properties::text(pairs.iter().copied())
    }

    #[test]
    fn the_brokers_properties_are_added_and_replace_what_was_there() {
        let sent = text(&[("UNIQ_KEY", "U1"), ("POP_CK", "x y"), ("CLUSTER", "old"), ("a", "b")]);
        let stored = stamp().apply(&sent, NOW);
        let want = text(&[
            ("UNIQ_KEY", "U1"),
            ("a", "b"),
            ("MSG_REGION", "DefaultRegion"),
            ("TRACE_ON", "true"),
            ("CLUSTER", "C"),
        ]);
        assert_eq!(stored.properties, want);
        assert_eq!(&*stored.uniq_key, b"U1");
    }

    #[test]
    fn a_unique_id_is_made_where_there_is_none() {
        for sent in [
            text(&[]),
            text(&[("a", "b")]),
            Bytes::from_static(b"a\x01b"),
            text(&[("POP_CK", "x")]),
        ] {
            let stored = stamp().apply(&sent, NOW);
            assert_eq!(stored.uniq_key.len(), 32);
            let read = properties::get(&stored.properties, "UNIQ_KEY").map(str::as_bytes);
            assert_eq!(read, Some(&*stored.uniq_key));
        }
    }

    #[test]
    fn what_the_properties_say() {
        let base = stamp().apply(&text(&[]), NOW);
        assert!(base.wait && !base.half && !base.timer && !base.keyed && !base.ordered);
        let facts = |pairs: &[(&str, &str)]| {
            let s = stamp().apply(&text(pairs), NOW);
            (s.delay_level, s.half, s.timer, s.wait, s.ordered, s.keyed)
        };
        for (pairs, want) in [
            (&[("DELAY", "3")][..], (3, false, false, true, false, false)),
            (&[("DELAY", "x")][..], (0, false, false, true, false, false)),
            (&[("TRAN_MSG", "true")][..], (0, true, false, true, false, false)),
            (&[("TRAN_MSG", "false")][..], (0, false, false, true, false, false)),
            (&[("TIMER_DELAY_SEC", "3")][..], (0, false, true, true, false, false)),
            (&[("TIMER_DELAY_MS", "3")][..], (0, false, true, true, false, false)),
            (&[("TIMER_DELIVER_MS", "3")][..], (0, false, true, true, false, false)),
            (&[("WAIT", "false")][..], (0, false, false, false, false, false)),
            (&[("__SHARDINGKEY", "k")][..], (0, false, false, true, true, false)),
            (&[("KEYS", "k")][..], (0, false, false, true, false, true)),
        ] {
            assert_eq!(facts(pairs), want, "{pairs:?}");
        }
    }

    proptest! {
        #[test]
        fn noise_keeps_the_properties_readable(noise in prop::collection::vec(0u8..6, 0..64)) {
            let stored = stamp().apply(&noise, NOW);
            prop_assert_eq!(properties::get(&stored.properties, "CLUSTER"), Some("C"));
            let key = properties::get(&stored.properties, "UNIQ_KEY").map(str::as_bytes);
            prop_assert_eq!(key, Some(&*stored.uniq_key));
        }
    }
}
