//! What is wrong with a file, and where.
//!
//! A [`Diagnostic`] is plain data: a stable code for programs, a sentence for people, the bytes it is about, and
//! where possible what was expected and what to do. The checks hand theirs to a [`Sink`] in whatever order they
//! run; line and column are worked out once, at the end, and the list is put into file order.

use std::ops::Range;

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused as a whole.
    Error,
    /// The file is taken; a person should look at this.
    Warning,
    /// The file is taken; a person should know this.
    Note,
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One thing that is wrong, or at least doubtful, in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the file is refused for it.
    pub severity: Severity,
    /// A stable name in kebab case for the kind of problem, such as `unknown-key`.
    pub code: &'static str,
    /// One sentence, without a full stop.
    pub message: String,
    /// The offending bytes of the text. Lies within the text and on character borders; may be empty.
    pub span: Range<usize>,
    /// The line on which `span` starts, from 1.
    pub line: usize,
    /// The column at which `span` starts, from 1, in characters.
    pub column: usize,
    /// The key it is about, such as `migration.shop.percent`; empty for the file as a whole.
    pub path: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What to do about it: mostly the nearest valid name.
    pub help: Option<String>,
    /// Other places that explain it, each with a few words.
    pub labels: Vec<(Range<usize>, String)>,
}

impl Diagnostic {
    pub(crate) fn error(code: &'static str, at: &Spot, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, at, message.into())
    }

    pub(crate) fn warning(code: &'static str, at: &Spot, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, at, message.into())
    }

    pub(crate) fn note(code: &'static str, at: &Spot, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, at, message.into())
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    pub(crate) fn label(mut self, span: Range<usize>, words: impl Into<String>) -> Self {
        self.labels.push((span, words.into()));
        self
    }

    fn new(severity: Severity, code: &'static str, at: &Spot, message: String) -> Self {
        Diagnostic {
            severity,
            code,
            message,
            span: at.span.clone(),
            line: 0,
            column: 0,
            path: at.path.clone(),
            expected: None,
            help: None,
            labels: Vec::new(),
        }
    }
}

/// A place in the file: its bytes and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) span: Range<usize>,
    pub(crate) path: String,
}

impl Spot {
    /// The place of `key`, written at `span`, in the table at this spot.
    pub(crate) fn child(&self, key: &str, span: Range<usize>) -> Spot {
        let key = if is_bare_key(key) { key.to_owned() } else { format!("{key:?}") };
        let path = if self.path.is_empty() { key } else { format!("{}.{key}", self.path) };
        Spot { span, path }
    }

    /// The place of the list's entry `index`, from 0, written at `span`.
    pub(crate) fn entry(&self, index: usize, span: Range<usize>) -> Spot {
        Spot { span, path: format!("{}[{index}]", self.path) }
    }

    /// The same key at other bytes.
    pub(crate) fn at(&self, span: Range<usize>) -> Spot {
        Spot { span, path: self.path.clone() }
    }
}

/// Collects what the checks find.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    found: Vec<Diagnostic>,
}

impl Sink {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether a key of the table at this spot, or of one within it, was reported as unknown.
    pub(crate) fn has_unknown_key_in(&self, table: &Spot) -> bool {
        let is_below = |path: &str| path.strip_prefix(&table.path).is_some_and(|rest| rest.starts_with('.'));
        self.found.iter().any(|d| d.code == "unknown-key" && is_below(&d.path))
    }

    /// Whether an error was reported of just this value.
    pub(crate) fn has_error_at(&self, spot: &Spot) -> bool {
        self.found.iter().any(|d| d.severity == Severity::Error && d.span == spot.span && d.path == spot.path)
    }

    /// Whether an error was reported of this value or of a part of it.
    pub(crate) fn has_error_in(&self, spot: &Spot) -> bool {
        let is_inside = |span: &Range<usize>| span.start >= spot.span.start && span.end <= spot.span.end;
        self.found.iter().any(|d| d.severity == Severity::Error && is_inside(&d.span))
    }

    /// Everything found, with line and column, in file order and without repetitions.
    pub(crate) fn finish(self, text: &str) -> Vec<Diagnostic> {
        let lines = Lines::new(text);
        let mut found = self.found;
        for diagnostic in &mut found {
            diagnostic.span = clamp(text, &diagnostic.span);
            for (span, _) in &mut diagnostic.labels {
                *span = clamp(text, span);
            }
            (diagnostic.line, diagnostic.column) = lines.position(text, diagnostic.span.start);
        }
        found.sort_by(|a, b| {
            (a.span.start, a.severity, a.span.end).cmp(&(b.span.start, b.severity, b.span.end))
        });
        found.dedup();
        found
    }
}

/// Where the lines of a text begin.
pub(crate) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        let after_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Lines { starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    /// Line and column, both from 1, the column in characters.
    pub(crate) fn position(&self, text: &str, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.start_of(line);
        let before = text.get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The offset at which a line, counted from 1, begins.
    pub(crate) fn start_of(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or(0)
    }
}

/// The nearest span that lies within the text and on character borders.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    start..end
}

fn is_bare_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = "a = \"grün\" # ✓\nb = 1\r\nc = 2\n";
        let lines = Lines::new(text);
        assert_eq!(lines.position(text, 0), (1, 1));
        assert_eq!(lines.position(text, text.find('#').unwrap()), (1, 12));
        assert_eq!(lines.position(text, text.find('b').unwrap()), (2, 1));
        assert_eq!(lines.position(text, text.find('c').unwrap()), (3, 1));
        assert_eq!(lines.position(text, text.len()), (4, 1));
        assert_eq!(lines.position("", 0), (1, 1));
    }

    #[test]
    fn spans_are_brought_onto_character_borders() {
        assert_eq!(clamp("grün", &(3..3)), 2..4);
        assert_eq!(clamp("grün", &(1..90)), 1..5);
        assert_eq!(clamp("", &(4..9)), 0..0);
    }

    #[test]
    fn paths_quote_what_toml_would_quote() {
        let root = Spot::default();
        let migration = root.child("migration", 0..0);
        assert_eq!(
            migration.child("shop.v2", 0..0).child("match", 0..0).entry(1, 0..0).path,
            "migration.\"shop.v2\".match[1]"
        );
    }
}
