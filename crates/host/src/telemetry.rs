//! Log lines.

use crate::{SettingError, Settings};
use std::io::IsTerminal as _;
use std::str::FromStr as _;
use std::sync::OnceLock;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged by this process, to change it.
static FILTER: OnceLock<Handle<Targets, Registry>> = OnceLock::new();

/// Form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Where lines go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, as containers expect of a server.
    #[default]
    Stdout,
    /// Standard error, as users expect of a command.
    Stderr,
}

/// How to log.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Form of a line.
    pub format: Format,
    /// Where lines go.
    pub stream: Stream,
    /// A level, or levels by target: `info,rmq_net=debug`.
    pub filter: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { format: Format::Text, stream: Stream::Stdout, filter: "info".to_owned() }
    }
}

impl TelemetryConfig {
    /// Takes the keys `logLevel`, `logFormat` (`text`, `json`) and `logStream` (`stdout`,
    /// `stderr`).
    ///
    /// # Errors
    /// When a value breaks its rule.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let rule = || format!("must be {FILTER_RULE}");
        Ok(Self {
            format: settings.choice(
                "logFormat",
                "text",
                &[("text", Format::Text), ("json", Format::Json)],
            )?,
            stream: settings.choice(
                "logStream",
                "stdout",
                &[("stdout", Stream::Stdout), ("stderr", Stream::Stderr)],
            )?,
            filter: settings.parsed("logLevel", "info".to_owned(), rule, |text| {
                is_filter(text).then(|| text.to_owned())
            })?,
        })
    }
}

/// What [`is_filter`] asks for, in words.
pub const FILTER_RULE: &str = "a level or a list like info,rmq_net=debug";

/// Whether `text` says what is logged: a level, or levels by target.
pub fn is_filter(text: &str) -> bool {
    Targets::from_str(text).is_ok()
}

/// Changes what is logged, for the whole process; nothing in one that does not log.
///
/// # Errors
/// When the filter is malformed.
pub fn set_filter(text: &str) -> anyhow::Result<()> {
    let filter = Targets::from_str(text)?;
    match FILTER.get() {
        Some(handle) => Ok(handle.reload(filter)?),
        None => Ok(()),
    }
}

/// Begins to log, for the whole process.
///
/// # Errors
/// When the filter is malformed, or the process logs already.
pub fn init(config: &TelemetryConfig) -> anyhow::Result<()> {
    let (filter, handle) = reload::Layer::new(Targets::from_str(&config.filter)?);
    let (writer, terminal) = match config.stream {
        Stream::Stdout => (BoxMakeWriter::new(std::io::stdout), std::io::stdout().is_terminal()),
        Stream::Stderr => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
    };
    // An output that has gone away must not end a thread, as the complaint about it would.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    match config.format {
        Format::Text => registry.with(lines.with_ansi(terminal)).try_init()?,
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    // Whoever logs first stays: nobody else comes this far.
    FILTER.set(handle).ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    #[test]
    fn settings_are_checked() {
        let mut settings = Settings::new();
        settings.set("logFormat", "JSON", Origin::Admin);
        settings.set("logLevel", "warn,rmq_net=trace", Origin::Admin);
        let config = TelemetryConfig::from_settings(&settings).expect("good");
        assert_eq!((config.format, config.stream), (Format::Json, Stream::Stdout));
        settings.set("logLevel", "rmq_net=loud", Origin::Admin);
        assert!(TelemetryConfig::from_settings(&settings).is_err());
    }

    /// The only test that logs: a process does so once.
    #[test]
    fn what_is_logged_can_be_changed() {
        set_filter("debug").expect("nothing is logged yet");
        init(&TelemetryConfig { filter: "warn".to_owned(), ..TelemetryConfig::default() })
            .expect("nobody else logs");
        let is_logged = || tracing::enabled!(target: "telemetry::tests", tracing::Level::DEBUG);
        assert!(!is_logged());
        set_filter("warn,telemetry::tests=debug").expect("well-formed");
        assert!(is_logged());
        assert!(set_filter("loud=loud").is_err());
        assert!(is_logged(), "a filter that is refused changes nothing");
        set_filter("warn").expect("well-formed");
        assert!(!is_logged());
    }
}
