//! Delay levels: what they mean, how a message waits, and when it is delivered.
//!
//! Source: RocketMQ 5.3 `MessageStoreConfig#messageDelayLevel`, `ScheduleMessageService`.

pub mod scheduler;
#[cfg(test)]
mod tests;

pub use scheduler::{Deliver, Entry, LevelRead, ReadOrder, Scheduler};

use bytes::Bytes;
use rmq_model::Millis;
use rmq_model::message::{DELAY, REAL_QID, REAL_TOPIC};
use rmq_record::properties::{TextBuilder, iter};

/// Value of `messageDelayLevel` in the reference.
pub const DEFAULT_LEVELS: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
/// Most levels a table may have.
pub const LEVELS_MAX: usize = 256;

/// Why a level table is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelsError {
    /// No level at all.
    #[error("messageDelayLevel is empty")]
    Empty,
    /// More than [`LEVELS_MAX`].
    #[error("messageDelayLevel has more than {LEVELS_MAX} levels")]
    TooMany,
    /// Not a number and a unit.
    #[error("messageDelayLevel: {text:?} is not a whole number followed by s, m, h or d")]
    Level {
        /// The level.
        text: String,
    },
}

/// The delays of the levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    delays_ms: Vec<Millis>,
}

impl Levels {
    /// Parses `1s 5s 10m 2h 1d`.
    ///
    /// # Errors
    /// [`LevelsError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, LevelsError> {
        let delays_ms: Vec<Millis> =
            text.split_whitespace().map(parse_level).collect::<Result<_, _>>()?;
        match delays_ms.len() {
            0 => Err(LevelsError::Empty),
            n if LEVELS_MAX < n => Err(LevelsError::TooMany),
            _ => Ok(Self { delays_ms }),
        }
    }

    /// Number of levels.
    pub fn count(&self) -> u32 {
        u32::try_from(self.delays_ms.len()).unwrap_or(u32::MAX)
    }

    /// The level that counts: at most the highest there is; 0 is no delay.
    pub fn clamp(&self, level: u32) -> u32 {
        level.min(self.count())
    }

    /// Delay of a level. Level 0 has none, levels above the highest have the highest's.
    pub fn delay_ms(&self, level: u32) -> Millis {
        let Some(index) = self.clamp(level).checked_sub(1) else { return 0 };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.delays_ms.get(index).copied().unwrap_or(0)
    }

    /// When a message stored at a time becomes due.
    pub fn due(&self, level: u32, stored: Millis) -> Millis {
        stored.saturating_add(self.delay_ms(level))
    }

    /// The delays, level 1 first.
    pub fn delays_ms(&self) -> &[Millis] {
        &self.delays_ms
    }
}

impl Default for Levels {
    fn default() -> Self {
        const S: Millis = 1_000;
        const M: Millis = 60 * S;
        const H: Millis = 60 * M;
        let minutes = (1..=10).map(|n| n * M);
        let delays_ms = [S, 5 * S, 10 * S, 30 * S]
            .into_iter()
            .chain(minutes)
            .chain([20 * M, 30 * M, H, 2 * H])
            .collect();
        Self { delays_ms }
    }
}

fn parse_level(text: &str) -> Result<Millis, LevelsError> {
    let wrong = || LevelsError::Level { text: text.to_owned() };
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let unit_ms: Millis = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return Err(wrong()),
    };
    let digits = text.strip_suffix(unit).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let number: Millis = digits.and_then(|d| d.parse().ok()).ok_or_else(wrong)?;
    number.checked_mul(unit_ms).ok_or_else(wrong)
}

/// Where a delayed message waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Queue of [`rmq_model::name::SCHEDULE_TOPIC`].
    pub queue: u32,
    /// Level that counts.
    pub level: u32,
    /// Properties text, with the level and the real topic and queue.
    pub properties: Bytes,
}

/// Turns a message for `topic` and `queue` into one that waits first. `level` is at least 1.
///
/// A transaction's half message must not come here: its delay begins at its commit.
pub fn wait(levels: &Levels, level: u32, topic: &str, queue: u32, text: &[u8]) -> Waiting {
    let clamped = levels.clamp(level.max(1));
    let mut builder = TextBuilder::from_text(text);
    if builder.get(DELAY).and_then(|text| text.parse().ok()) != Some(clamped) {
        builder.set(DELAY, &clamped.to_string());
    }
    builder.set(REAL_TOPIC, topic);
    builder.set(REAL_QID, &queue.to_string());
    Waiting { queue: clamped.saturating_sub(1), level: clamped, properties: builder.into_bytes() }
}

/// Where a message that has waited goes. Its properties text stays as it is: as in the reference
/// the delivered record still carries level, real topic and real queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination<'a> {
    /// Real topic.
    pub topic: &'a str,
    /// Queue of it.
    pub queue: u32,
}

/// Reads the destination out of the properties of a waiting message; `None` if it has none: such
/// a record was not made by [`wait`] and cannot be delivered.
pub fn destination(text: &[u8]) -> Option<Destination<'_>> {
    let (mut topic, mut queue) = (None, None);
    for (name, value) in iter(text) {
        if name == REAL_TOPIC.as_bytes() {
            topic = std::str::from_utf8(value).ok();
        } else if name == REAL_QID.as_bytes() {
            queue = std::str::from_utf8(value).ok();
        }
    }
    Some(Destination { topic: topic?, queue: queue?.parse().ok()? })
}
