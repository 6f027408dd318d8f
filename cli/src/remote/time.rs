//! Durations, sizes and points in time as people write and read them.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use rmq_model::Millis;

/// Reads `500ms`, `10s`, `2m`, `1h30m`.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text
        .parse()
        .map_err(|_error| format!("{text:?} is not a duration such as 500ms or 10s"))?;
    Duration::try_from(parsed).map_err(|_negative| format!("{text:?} is negative"))
}

/// Reads `128`, `1KiB`, `4MiB`; K and M stand for KiB and MiB.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is not a size such as 128, 1KiB or 4MiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let factor: usize = match unit.trim() {
        "" | "B" => 1,
        "K" | "KiB" => 1024,
        "M" | "MiB" => 1024 * 1024,
        _ => return Err(wrong()),
    };
    let number: usize = number.parse().map_err(|_error| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

/// A point in time, perhaps relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At(Millis),
    Ago(Millis),
}

impl When {
    /// Milliseconds since 1970.
    pub(crate) fn millis(self, now: Millis) -> Millis {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.saturating_sub(ago),
        }
    }
}

/// Reads `now`, milliseconds since 1970, `2026-03-01T12:00:00Z`, `2026-03-01 12:00` (local time)
/// and `10m` (ten minutes ago).
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn when(text: &str) -> Result<When, String> {
    if text == "now" {
        return Ok(When::Ago(0));
    }
    if let Ok(millis) = text.parse::<Millis>() {
        return Ok(When::At(millis));
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(When::At(timestamp.as_millisecond()));
    }
    if let Ok(local) = text.parse::<civil::DateTime>()
        && let Ok(zoned) = local.to_zoned(TimeZone::system())
    {
        return Ok(When::At(zoned.timestamp().as_millisecond()));
    }
    if let Ok(ago) = duration(text) {
        return Ok(When::Ago(Millis::try_from(ago.as_millis()).unwrap_or(Millis::MAX)));
    }
    Err(format!(
        "{text:?} is no time: say now, 10m (ago), 2026-03-01T12:00:00Z, '2026-03-01 12:00' \
         or milliseconds since 1970"
    ))
}

/// UTC, to the millisecond; empty for 0 and for what no calendar has.
pub(crate) fn stamp(millis: Millis) -> String {
    match Timestamp::from_millisecond(millis) {
        Ok(timestamp) if 0 < millis => format!("{timestamp:.3}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "5", "-3s", "x"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
        for (text, bytes) in [("128", 128), ("1KiB", 1024), ("2K", 2048), ("4 MiB", 4_194_304)] {
            assert_eq!(size(text), Ok(bytes), "{text:?}");
        }
        for wrong in ["", "K", "1KB", "-1", "99999999999999999999", "18446744073709551615K"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times() {
        const NOW: Millis = 1_800_000_000_000;
        for (text, at) in [
            ("now", NOW),
            ("10m", NOW - 600_000),
            ("1700000000000", 1_700_000_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ] {
            assert_eq!(when(text).map(|w| w.millis(NOW)), Ok(at), "{text}");
        }
        assert!(when("2026-03-01 12:00").is_ok());
        assert!(when("yesterday").is_err());
        assert_eq!(stamp(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!((stamp(0), stamp(-1), stamp(i64::MAX)), Default::default());
    }
}
