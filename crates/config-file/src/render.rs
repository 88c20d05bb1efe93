//! What is wrong, drawn for a person.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};

use crate::diagnostic::{Diagnostic, Severity};

/// Lines of a terminal as they mostly are; longer source lines are trimmed around what is underlined.
const WIDTH: usize = 120;

/// The diagnostic with the lines it is about, without a line break at its end.
pub(crate) fn draw(diagnostic: &Diagnostic, file_name: &str, text: &str, colour: bool) -> String {
    let (level, prefix) = match diagnostic.severity {
        Severity::Error => (Level::ERROR, "expected "),
        Severity::Warning => (Level::WARNING, ""),
        Severity::Note => (Level::NOTE, ""),
    };
    let excerpt = Excerpt::new(diagnostic, text);
    let label = diagnostic.expected.as_ref().map(|expected| format!("{prefix}{expected}"));
    let mut snippet = Snippet::source(excerpt.text)
        .path(file_name)
        .line_start(excerpt.first_line)
        .annotation(AnnotationKind::Primary.span(excerpt.place(&diagnostic.span)).label(label));
    for (span, words) in &diagnostic.labels {
        snippet = snippet.annotation(AnnotationKind::Context.span(excerpt.place(span)).label(words.as_str()));
    }
    let mut group: Group<'_> =
        level.primary_title(diagnostic.message.as_str()).id(diagnostic.code).element(snippet);
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(WIDTH).render(&[group])
}

/// The lines that a diagnostic is about, so that drawing it does not cost the whole file.
struct Excerpt<'a> {
    text: &'a str,
    start: usize,
    first_line: usize,
}

impl<'a> Excerpt<'a> {
    fn new(diagnostic: &Diagnostic, text: &'a str) -> Self {
        let spans = || diagnostic.labels.iter().map(|(span, _)| span).chain([&diagnostic.span]);
        let first = spans().map(|span| span.start).min().unwrap_or_default();
        let last = spans().map(|span| span.start).max().unwrap_or_default();
        let start = text.get(..first).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let lines_before = text.get(start..diagnostic.span.start).unwrap_or_default().matches('\n').count();
        let first_line = diagnostic.line.saturating_sub(lines_before).max(1);
        let end = line_end(text, last);
        Excerpt { text: text.get(start..end).unwrap_or_default(), start, first_line }
    }

    /// The span within the excerpt, as far as its first line goes.
    fn place(&self, span: &Range<usize>) -> Range<usize> {
        let start = span.start.saturating_sub(self.start).min(self.text.len());
        let end = span.end.saturating_sub(self.start).clamp(start, line_end(self.text, start).max(start));
        start..end
    }
}

/// The end of the line on which the offset lies, before its line break.
fn line_end(text: &str, offset: usize) -> usize {
    let rest = text.get(offset..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    offset + line.strip_suffix('\r').unwrap_or(line).len()
}
