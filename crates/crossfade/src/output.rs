//! Standard output, standard error and the exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Refused or failed.
    Failed,
    /// Usage or bad configuration.
    Usage,
    /// The admin API cannot be reached.
    Unreachable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
        })
    }
}

/// Prints to standard output as it is. A reader that has gone away (`| head`) is no error.
pub(crate) fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Prints a line to standard output.
pub(crate) fn say_line(line: &str) {
    say(&format!("{line}\n"));
}

/// Prints to standard error, ending the last line if it is open.
pub(crate) fn complain(text: &str) {
    let mut stderr = io::stderr().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let _ = write!(stderr, "{text}{end}");
}

/// Whether to colour what goes to `stream`: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(crate) fn is_colourful(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns of a table, as wide as their widest cell, two spaces apart.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["NAME", "ASKED", "OLD→NEW"]), row(["checkout", "5", "a→b"]), row(["é", "37.5", ""])];
        assert_eq!(table(&rows), "NAME      ASKED  OLD→NEW\ncheckout  5      a→b\né         37.5\n");
        assert_eq!(table(&[]), "");
    }
}
