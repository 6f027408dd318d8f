//! What a broker reads from and does to the properties of a message that is sent.

use bytes::Bytes;
use rmq_model::message::{
    CLUSTER, DELAY, KEYS, MSG_REGION, POP_CK, TIMER_DELAY_MS, TIMER_DELAY_SEC, TIMER_DELIVER_MS,
    TRACE_ON, TRAN_MSG, UNIQ_KEY, WAIT,
};
use rmq_record::properties::{TextBuilder, iter};

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
            let Ok(name) = std::str::from_utf8(name) else { continue };
            match name {
                UNIQ_KEY => facts.uniq_key = std::str::from_utf8(value).ok(),
                DELAY => facts.delay = std::str::from_utf8(value).ok(),
                WAIT => facts.no_wait = !value.eq_ignore_ascii_case(b"true"),
                KEYS => facts.has_keys = true,
                TRAN_MSG => facts.half = value.eq_ignore_ascii_case(b"true"),
                TIMER_DELAY_SEC | TIMER_DELAY_MS | TIMER_DELIVER_MS => facts.timer = true,
                POP_CK | MSG_REGION | TRACE_ON | CLUSTER => facts.stale = true,
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
        let mut builder = TextBuilder::from_text(text);
        if facts.stale {
            for name in [POP_CK, MSG_REGION, TRACE_ON, CLUSTER] {
                builder.remove(name);
            }
        }
        if facts.delay.is_some() && facts.delay_level() > 0 && facts.timer {
            // A delay level wins over the delivery times of timer messages.
            for name in [TIMER_DELAY_SEC, TIMER_DELAY_MS, TIMER_DELIVER_MS] {
                builder.remove(name);
            }
        }
        if let Some(delay) = new.delay {
            builder.set(DELAY, delay);
        }
        if let Some(uniq_key) = new.uniq_key.filter(|_| facts.uniq_key.is_none()) {
            builder.push(UNIQ_KEY, uniq_key);
        }
        builder.push(MSG_REGION, self.region);
        builder.push(TRACE_ON, if self.trace_on { "true" } else { "false" });
        builder.push(CLUSTER, self.cluster);
        builder.into_bytes()
    }
}
