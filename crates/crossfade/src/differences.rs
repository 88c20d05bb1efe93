//! Differences between two answers, as a person reads them.

use std::fmt::Write;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use response_diff::Difference;
use rustix::termios::tcgetwinsize;

use crate::output;

/// Columns where nobody knows how many there are.
const COLUMNS: usize = 100;
/// Fewer leave no room for anything beside anything.
const FEWEST_COLUMNS: usize = 40;

/// How wide the text may be, and whether it has colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) columns: usize,
    pub(crate) is_coloured: bool,
}

impl Style {
    /// As it suits a stream.
    pub(crate) fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let columns = stream.is_terminal().then(|| tcgetwinsize(stream).ok()).flatten();
        let columns = columns.map_or(COLUMNS, |size| usize::from(size.ws_col));
        let columns = if columns == 0 { COLUMNS } else { columns.max(FEWEST_COLUMNS) };
        Style { columns, is_coloured: output::is_colourful(stream) }
    }

    pub(crate) fn good(&self, text: &str) -> String {
        self.in_colour("1;32", text)
    }

    pub(crate) fn bad(&self, text: &str) -> String {
        self.in_colour("1;31", text)
    }

    pub(crate) fn doubtful(&self, text: &str) -> String {
        self.in_colour("1;33", text)
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.in_colour("1", text)
    }

    pub(crate) fn of_old(&self, text: &str) -> String {
        self.in_colour("31", text)
    }

    pub(crate) fn of_new(&self, text: &str) -> String {
        self.in_colour("32", text)
    }

    pub(crate) fn faint(&self, text: &str) -> String {
        self.in_colour("2", text)
    }

    fn in_colour(&self, code: &str, text: &str) -> String {
        if self.is_coloured && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// All of them: each place with what old and new have there, and lines of text side by side.
pub(crate) fn list(list: &[Difference], style: &Style) -> String {
    let mut out = String::new();
    let mut rest = list;
    while let Some(first) = rest.first() {
        let lines = rest.iter().take_while(|next| next.path == first.path && line_of(next).is_some()).count();
        if lines > 0 {
            let (of_text, behind) = rest.split_at(lines);
            side_by_side(of_text, style, &mut out);
            rest = behind;
        } else {
            one(first, style, &mut out);
            rest = &rest[1..];
        }
    }
    out
}

/// The number of the line, for a difference in text.
fn line_of(difference: &Difference) -> Option<usize> {
    difference.at.strip_prefix(&difference.path)?.strip_prefix(':')?.parse().ok()
}

fn one(difference: &Difference, style: &Style, out: &mut String) {
    let Difference { path, at, kind, old, new, .. } = difference;
    let place = if at == path { String::new() } else { style.faint(&format!("  at {}", visible(at))) };
    let _ = writeln!(out, "{}  {kind}{place}", style.bold(&visible(path)));
    let room = style.columns.saturating_sub(8);
    if let Some(old) = old {
        let _ = writeln!(out, "  old │ {}", style.of_old(&cut(&visible(old), room)));
    }
    if let Some(new) = new {
        let _ = writeln!(out, "  new │ {}", style.of_new(&cut(&visible(new), room)));
    }
    out.push('\n');
}

/// Lines of text: those of old on the left, those of new on the right.
fn side_by_side(lines: &[Difference], style: &Style, out: &mut String) {
    let Some(first) = lines.first() else { return };
    let count = if lines.len() == 1 { "1 line".to_owned() } else { format!("{} lines", lines.len()) };
    let _ = writeln!(out, "{}  {}, {count}", style.bold(&visible(&first.path)), first.kind);
    let number = lines.iter().filter_map(line_of).max().unwrap_or_default().to_string().len().max(4);
    let room = style.columns.saturating_sub(number + 6) / 2;
    let row = |number_of: &str, old: &str, new: &str, out: &mut String| {
        let (old, new) = (cut(&visible(old), room), cut(&visible(new), room));
        let gap = " ".repeat(room - old.chars().count());
        let _ = writeln!(out, "{number_of:>number$} │ {}{gap} │ {}", style.of_old(&old), style.of_new(&new));
    };
    row("line", "old", "new", out);
    for line in lines {
        let text = |side: &Option<String>| side.clone().unwrap_or_default();
        row(&line_of(line).unwrap_or_default().to_string(), &text(&line.old), &text(&line.new), out);
    }
    out.push('\n');
}

/// The text without what would move a terminal's cursor or change its colours: answers come from anywhere.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Marks that turn the direction of what stands behind them, and line ends that are no control characters.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The beginning of the text, with `…` where it has more than so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use response_diff::Kind;

    use super::*;

    fn difference(path: &str, at: &str, kind: Kind, old: Option<&str>, new: Option<&str>) -> Difference {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Difference { path: path.to_owned(), at: at.to_owned(), kind, old: own(old), new: own(new), extent: 1 }
    }

    fn examples() -> Vec<Difference> {
        vec![
            difference("status", "status", Kind::Value, Some("200"), Some("404")),
            difference("$.items[*].price", "$.items[3].price", Kind::Type, Some("10.5"), Some("\"10.5\"")),
            difference(
                "header:x-name",
                "header:x-name",
                Kind::Missing,
                Some("\u{1b}[31mred\r\n\u{202e}"),
                None,
            ),
            difference("body", "body:2", Kind::Value, Some("<p>Hello"), Some("<p>Hallo")),
            difference(
                "body",
                "body:11",
                Kind::Value,
                None,
                Some("a line that is longer than there is room for it"),
            ),
            difference("body", "body:12", Kind::Value, Some("\tgone"), None),
        ]
    }

    #[test]
    fn it_reads_well() {
        let style = Style { columns: 60, is_coloured: false };
        insta::assert_snapshot!(list(&examples(), &style));
    }

    #[test]
    fn colours_only_add_escapes_and_nothing_else_does() {
        let plain = list(&examples(), &Style { columns: 60, is_coloured: false });
        let coloured = list(&examples(), &Style { columns: 60, is_coloured: true });
        assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'));
        let mut parts = coloured.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        let bare = parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest));
        assert_eq!(bare, plain);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in [FEWEST_COLUMNS, 80, 200] {
            let text = list(&examples(), &Style { columns, is_coloured: false });
            for line in text.lines().filter(|line| line.contains('│')) {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
    }
}
