//! What is not TOML at all.

use std::ops::Range;

use toml::de::Error;

use crate::diagnostic::{Diagnostic, Lines, Sink, Spot};

/// Reports the parser's errors, for each line the first: those that follow on the same line are mostly its echo.
///
/// Gives whether the tree can be used nonetheless: it can when keys were written twice and nothing else was wrong.
pub(crate) fn report(errors: &[Error], text: &str, sink: &mut Sink) -> bool {
    let lines = Lines::new(text);
    let mut reported = Vec::new();
    let mut usable = true;
    let mut twice: Option<usize> = None;
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let (line, _) = lines.position(text, span.start);
        if reported.contains(&line) {
            continue;
        }
        if error.message() != "duplicate key" {
            usable = false;
            reported.push(line);
            sink.push(broken(error.message(), &Spot { span, path: String::new() }));
            continue;
        }
        // Under a header that stands there twice, all keys do; the header says it for them.
        let is_header = line_around(text, &span).starts_with('[');
        let same_table = |start: usize| !text.get(start..span.start).unwrap_or_default().contains("\n[");
        if is_header || !twice.is_some_and(same_table) {
            reported.push(line);
            sink.push(duplicate_key(text, span.clone(), is_header));
        }
        if is_header {
            twice = Some(span.end);
        }
    }
    usable
}

fn duplicate_key(text: &str, span: Range<usize>, is_header: bool) -> Diagnostic {
    let key = text.get(span.clone()).unwrap_or_default();
    let spot = Spot { span: span.clone(), path: String::new() };
    let diagnostic = Diagnostic::error("duplicate-key", &spot, format!("`{key}` is written twice"));
    let diagnostic = diagnostic.expected(if is_header { "each table once" } else { "each key once" });
    match first_occurrence(text, &span, is_header) {
        Some(first) => diagnostic.label(first, "first written here"),
        None => diagnostic,
    }
}

/// `message` is the parser's: what it saw, a comma, and what it expected.
fn broken(message: &str, spot: &Spot) -> Diagnostic {
    let (what, expected) = match message.split_once(", expected ") {
        // The parser takes whatever it cannot read for text without its quotes.
        Some(("string values must be quoted", _)) if spot.span.is_empty() => {
            ("a value is missing", Some("a value"))
        }
        Some((what @ "string values must be quoted", _)) => {
            (what, Some("text in quotes, a number, or `true` or `false`"))
        }
        Some((what, expected)) => (what, Some(expected)),
        None => (message, None),
    };
    let mut diagnostic = Diagnostic::error("syntax", spot, format!("not valid TOML: {what}"));
    diagnostic.expected = expected.map(str::to_owned);
    diagnostic
}

/// Where the same key, or the same header, stands for the first time.
///
/// The parser knows but does not tell; a line that looks the same, for a key below the same header, is the one.
fn first_occurrence(text: &str, span: &Range<usize>, is_header: bool) -> Option<Range<usize>> {
    let key = text.get(span.clone())?;
    let line = line_around(text, span);
    let mut found = None;
    let mut offset = 0;
    for earlier in text.get(..line_start(text, span))?.split_inclusive('\n') {
        let trimmed = earlier.trim_start();
        let at = offset + earlier.len() - trimmed.len();
        let same = if is_header { trimmed.trim_end() == line } else { names(trimmed, key) };
        if trimmed.starts_with('[') && !is_header {
            found = None;
        } else if same && found.is_none() {
            let length = if is_header { line.len() } else { key.len() };
            found = Some(at..at + length);
        }
        offset += earlier.len();
    }
    found
}

/// The line on which the span starts, without the space around it.
fn line_around<'a>(text: &'a str, span: &Range<usize>) -> &'a str {
    text.get(line_start(text, span)..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim()
}

fn line_start(text: &str, span: &Range<usize>) -> usize {
    text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
}

fn names(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
}
