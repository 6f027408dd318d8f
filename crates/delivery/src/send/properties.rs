//! What a broker reads from and does to the properties of a message that is sent.

use bytes::Bytes;
use rmq_model::message::{
    CLUSTER, DELAY, KEYS, MSG_REGION, NAME_VALUE_SEPARATOR, POP_CK, PROPERTY_SEPARATOR,
    TIMER_DELAY_MS, TIMER_DELAY_SEC, TIMER_DELIVER_MS, TRACE_ON, TRAN_MSG, UNIQ_KEY, WAIT,
};
use rmq_record::properties::{TextBuilder, iter};

/// Names as they stand in a text, to be compared without decoding it.
mod names {
    use super::{
        CLUSTER, DELAY, KEYS, MSG_REGION, POP_CK, TIMER_DELAY_MS, TIMER_DELAY_SEC,
        TIMER_DELIVER_MS, TRACE_ON, TRAN_MSG, UNIQ_KEY, WAIT,
    };

    pub(super) const UNIQ_KEY_BYTES: &[u8] = UNIQ_KEY.as_bytes();
    pub(super) const DELAY_BYTES: &[u8] = DELAY.as_bytes();
    pub(super) const WAIT_BYTES: &[u8] = WAIT.as_bytes();
    pub(super) const KEYS_BYTES: &[u8] = KEYS.as_bytes();
    pub(super) const TRAN_MSG_BYTES: &[u8] = TRAN_MSG.as_bytes();
    pub(super) const TIMER_DELAY_SEC_BYTES: &[u8] = TIMER_DELAY_SEC.as_bytes();
    pub(super) const TIMER_DELAY_MS_BYTES: &[u8] = TIMER_DELAY_MS.as_bytes();
    pub(super) const TIMER_DELIVER_MS_BYTES: &[u8] = TIMER_DELIVER_MS.as_bytes();
    pub(super) const POP_CK_BYTES: &[u8] = POP_CK.as_bytes();
    pub(super) const MSG_REGION_BYTES: &[u8] = MSG_REGION.as_bytes();
    pub(super) const TRACE_ON_BYTES: &[u8] = TRACE_ON.as_bytes();
    pub(super) const CLUSTER_BYTES: &[u8] = CLUSTER.as_bytes();
}

/// What the send path must know of a properties text, found in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertyFacts<'a> {
    /// `UNIQ_KEY`
    pub uniq_key: Option<&'a str>,
    /// `DELAY`, as written.
    pub delay: Option<&'a str>,
    /// `WAIT` is not `true`: the answer need not wait for disk or replica. Absent means wait.
    pub no_wait: bool,
    /// Has `KEYS`.
    pub has_keys: bool,
    /// `TRAN_MSG` is true.
    pub half: bool,
    /// Has one of the properties of a timer message.
    pub timer: bool,
    /// Has a property that the broker sets, or that it takes away.
    stale: bool,
}

impl<'a> PropertyFacts<'a> {
    /// Reads `text` once.
    pub fn of(text: &'a [u8]) -> Self {
        let mut facts = Self::default();
        for (name, value) in iter(text) {
            match name {
                names::UNIQ_KEY_BYTES => facts.uniq_key = std::str::from_utf8(value).ok(),
                names::DELAY_BYTES => facts.delay = std::str::from_utf8(value).ok(),
                names::WAIT_BYTES => facts.no_wait = !value.eq_ignore_ascii_case(b"true"),
                names::KEYS_BYTES => facts.has_keys = true,
                names::TRAN_MSG_BYTES => facts.half = value.eq_ignore_ascii_case(b"true"),
                names::TIMER_DELAY_SEC_BYTES
                | names::TIMER_DELAY_MS_BYTES
                | names::TIMER_DELIVER_MS_BYTES => facts.timer = true,
                names::POP_CK_BYTES
                | names::MSG_REGION_BYTES
                | names::TRACE_ON_BYTES
                | names::CLUSTER_BYTES => facts.stale = true,
                _ => {}
            }
        }
        facts
    }

    /// The delay level; 0 when absent or not a positive number.
    pub fn delay_level(&self) -> u32 {
        self.delay.and_then(|level| level.trim().parse().ok()).unwrap_or(0)
    }
}

/// What the broker adds to every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerProperties<'a> {
    /// `regionId`
    pub region: &'a str,
    /// Trace switch.
    pub trace_on: bool,
    /// `brokerClusterName`
    pub cluster: &'a str,
}

/// How the text of a message changes besides what the broker adds always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewProperties<'a> {
    /// A unique id made here, for a message without.
    pub uniq_key: Option<&'a str>,
    /// Another value of `DELAY`: for dead letters 0.
    pub delay: Option<&'a str>,
}

impl BrokerProperties<'_> {
    /// The text to store: `POP_CK` taken away; region, trace switch and cluster added.
    pub fn apply(&self, text: &[u8], facts: &PropertyFacts<'_>, new: NewProperties<'_>) -> Bytes {
        let with_level = facts.timer && 0 < facts.delay_level();
        if !facts.stale && !with_level && new.delay.is_none() {
            return self.append(text, facts, new);
        }
        let mut builder = TextBuilder::from_text(text);
        if facts.stale {
            for name in [POP_CK, MSG_REGION, TRACE_ON, CLUSTER] {
                builder.remove(name);
            }
        }
        if with_level {
            // A delay level wins over the delivery times of timer messages.
            for name in [TIMER_DELAY_SEC, TIMER_DELAY_MS, TIMER_DELIVER_MS] {
                builder.remove(name);
            }
        }
        if let Some(delay) = new.delay {
            builder.set(DELAY, delay);
        }
        self.append(builder.as_bytes(), facts, new)
    }

    /// What is added, in one buffer of exactly the length needed.
    fn append(&self, text: &[u8], facts: &PropertyFacts<'_>, new: NewProperties<'_>) -> Bytes {
        let uniq_key = new.uniq_key.filter(|_| facts.uniq_key.is_none()).unwrap_or_default();
        let added = [
            (UNIQ_KEY, uniq_key),
            (MSG_REGION, self.region),
            (TRACE_ON, if self.trace_on { "true" } else { "false" }),
            (CLUSTER, self.cluster),
        ];
        let added = added.iter().filter(|(_, value)| is_clean(value));
        let bytes = text.len() + 1;
        let bytes =
            added.clone().fold(bytes, |sum, (name, value)| sum + name.len() + value.len() + 2);
        let mut stored = Vec::with_capacity(bytes);
        stored.extend_from_slice(text);
        if stored.last().is_some_and(|last| *last != PROPERTY_SEPARATOR) {
            stored.push(PROPERTY_SEPARATOR);
        }
        for (name, value) in added {
            stored.extend_from_slice(name.as_bytes());
            stored.push(NAME_VALUE_SEPARATOR);
            stored.extend_from_slice(value.as_bytes());
            stored.push(PROPERTY_SEPARATOR);
        }
        stored.into()
    }
}

fn is_clean(value: &str) -> bool {
    !value.is_empty()
        && !value.bytes().any(|b| b == NAME_VALUE_SEPARATOR || b == PROPERTY_SEPARATOR)
}
