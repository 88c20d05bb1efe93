//! What came of reading a configuration, for programs.

use std::ops::Range;

use serde_json::{Value, json};

use crate::checked::Checked;
use crate::diagnostic::{Diagnostic, Lines, Severity};
use crate::render;

/// How many diagnostics a person is shown.
const MAX_SHOWN: usize = 50;

/// What came of reading a configuration.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The configuration; `None` when there is any error.
    pub checked: Option<Checked>,
    /// Errors, warnings and notes, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    file_name: String,
    text: String,
}

impl Outcome {
    pub(crate) fn new(
        checked: Option<Checked>,
        diagnostics: Vec<Diagnostic>,
        file_name: &str,
        text: &str,
    ) -> Self {
        Outcome { checked, diagnostics, file_name: file_name.to_owned(), text: text.to_owned() }
    }

    /// How many errors there are. None exactly when there are checked values.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings there are.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// How many notes there are.
    #[must_use]
    pub fn notes(&self) -> usize {
        self.count(Severity::Note)
    }

    /// All of it for a person, in the manner of `rustc`, with a summary as its last line.
    ///
    /// At most 50 are shown, errors first where there are more; `colour` adds ANSI escapes. Characters of the file that would steer a terminal are shown, not sent.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        let most = self.diagnostics.len() > MAX_SHOWN;
        // Where not all fit, what keeps the file from running goes before what does not.
        let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
        let (errors, warnings): (Vec<_>, Vec<_>) =
            self.diagnostics.iter().partition(|diagnostic| !most || is_error(diagnostic));
        for diagnostic in errors.into_iter().chain(warnings).take(MAX_SHOWN) {
            out.push_str(&render::draw(diagnostic, &self.file_name, &self.text, colour));
            out.push_str("\n\n");
        }
        if most {
            out.push_str(&format!("and {} more\n\n", self.diagnostics.len() - MAX_SHOWN));
        }
        out.push_str(&self.summary());
        out.push('\n');
        out
    }

    /// `crossfade.toml: 3 errors, 1 warning`.
    #[must_use]
    pub fn summary(&self) -> String {
        let counted = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{count} {what}s")),
        };
        let counts = [(self.errors(), "error"), (self.warnings(), "warning"), (self.notes(), "note")];
        let parts: Vec<String> =
            counts.into_iter().filter_map(|(count, what)| counted(count, what)).collect();
        let parts = if parts.is_empty() { "no errors".to_owned() } else { parts.join(", ") };
        format!("{}: {parts}", self.file_name)
    }

    /// All of it for a program. Lines and columns count from 1, columns in characters; `offset` counts bytes from 0.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let lines = Lines::new(&self.text);
        let place = |span: &Range<usize>, message: &str| {
            let (line, column) = lines.position(&self.text, span.start);
            let (end_line, end_column) = lines.position(&self.text, span.end);
            json!({
                "message": message,
                "line": line, "column": column, "end_line": end_line, "end_column": end_column,
                "offset": span.start, "length": span.len(),
            })
        };
        let one = |diagnostic: &Diagnostic| {
            let mut entry = place(&diagnostic.span, &diagnostic.message);
            entry["severity"] = json!(diagnostic.severity.as_str());
            entry["code"] = json!(diagnostic.code);
            entry["path"] = json!(diagnostic.path);
            entry["expected"] = json!(diagnostic.expected);
            entry["help"] = json!(diagnostic.help);
            entry["labels"] = diagnostic.labels.iter().map(|(span, words)| place(span, words)).collect();
            entry
        };
        let diagnostics: Vec<Value> = self.diagnostics.iter().map(one).collect();
        json!({
            "file": self.file_name,
            "valid": self.checked.is_some(),
            "errors": self.errors(),
            "warnings": self.warnings(),
            "notes": self.notes(),
            "diagnostics": diagnostics,
        })
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }
}
