//! What commands print.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

use comfy_table::{ContentArrangement, Table};

/// Where a command's answer goes: the standard output, or a buffer in tests.
///
/// Diagnostics do not belong here; a command returns them as its error.
pub struct Output {
    to: Box<dyn Write + Send>,
    terminal: bool,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

impl Output {
    /// The process's standard output.
    pub fn stdout() -> Self {
        Self { to: Box::new(io::stdout()), terminal: io::stdout().is_terminal() }
    }

    /// Any other place, never taken for a terminal.
    pub fn to(to: impl Write + Send + 'static) -> Self {
        Self { to: Box::new(to), terminal: false }
    }

    /// Whether a person is looking: only then colour and progress make sense. `NO_COLOR` is the
    /// caller's to ask, see [`Output::colour`].
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether escape sequences are welcome.
    pub fn colour(&self) -> bool {
        self.terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// Prints `line` and ends it.
    ///
    /// # Errors
    /// That of the standard output; a closed pipe ends the program quietly.
    pub fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.to, "{line}")
    }

    /// Prints `bytes` as they are.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    /// Prints `table` without trailing blanks.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        for line in table.lines() {
            writeln!(self.to, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Hands everything printed so far to the reader.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// An empty table in the house's looks: a header, no borders, columns two blanks apart.
pub fn table<T: ToString>(header: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.into_iter().map(|name| name.to_string().to_uppercase()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_no_borders_and_aligned_columns() {
        let mut shown = table(["pod", "state"]);
        shown.add_row(["demo-namesrv-0", "ready"]);
        let text: Vec<_> = shown.lines().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(text, ["POD             STATE", "demo-namesrv-0  ready"]);
    }
}
