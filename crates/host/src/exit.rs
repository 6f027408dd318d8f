//! How a program ends: one line on standard error and a code.

use std::io::Write as _;
use std::process::ExitCode;

/// Ended as asked.
pub const OK: u8 = 0;
/// Bad configuration, or something at start or while running went wrong.
pub const FAILURE: u8 = 1;
/// The command line was not understood (clap's convention).
pub const USAGE: u8 = 2;

/// An error that ends the program with its own code. Wrap it in `anyhow::Error`; [`report`] finds
/// it anywhere in the chain.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Exit {
    /// Exit code.
    pub code: u8,
    /// The one line the user sees.
    pub message: String,
}

/// Prints an error as one line, `<program>: <error chain>`, and gives the exit code: that of an
/// [`Exit`] in the chain, else [`FAILURE`].
pub fn report(program: &str, result: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    let code = error.downcast_ref::<Exit>().map_or(FAILURE, |exit| exit.code);
    print_line(&line(program, &error));
    ExitCode::from(code)
}

fn line(program: &str, error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let flat: Vec<&str> = text.split(['\n', '\r']).filter(|part| !part.is_empty()).collect();
    format!("{program}: {}", flat.join(" "))
}

fn print_line(line: &str) {
    // A closed standard error is no reason to end differently.
    writeln!(std::io::stderr(), "{line}").ok();
}

/// Sends panics to the log as well, with thread and place; the usual message stays.
pub fn log_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info
            .payload()
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!(thread = thread.name(), place, panic = message, "panic");
        usual(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_line_has_the_whole_chain_and_no_breaks() {
        let error = Err::<(), _>(std::io::Error::other("disk\nbroke")).context("cannot start");
        let error = error.expect_err("made as an error");
        assert_eq!(line("rmq", &error), "rmq: cannot start: disk broke");
    }

    #[test]
    fn an_exit_in_the_chain_decides_the_code() {
        let found = anyhow::Error::from(Exit { code: 7, message: "no home".to_owned() })
            .context("cannot start");
        assert_eq!(found.downcast_ref::<Exit>().map(|e| e.code), Some(7));
        assert_eq!(report("t", Err(found)), ExitCode::from(7));
        assert_eq!(report("t", Err(anyhow::anyhow!("x"))), ExitCode::from(FAILURE));
        assert_eq!(report("t", Ok(ExitCode::from(3))), ExitCode::from(3));
    }
}
