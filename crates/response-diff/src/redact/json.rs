//! JSON without its secrets.

use std::fmt::Write as _;

use crate::json::{Unparsed, Value, View, parse};
use crate::limits::Work;
use crate::path::{PathSet, Place, Step, Written};

use super::pass::Pass;
use super::place::is_plain_word;

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In lines, two spaces for each level.
    Lines,
    /// In one line.
    Compact,
}

/// Why a document was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwritten {
    /// It is none.
    NoJson,
    /// It cannot be gone through within the limits.
    Limit,
}

struct Writer<'w, 'p> {
    pass: &'w mut Pass<'p>,
    set: &'w PathSet,
    work: Work,
    out: String,
    form: Form,
    /// How much of what is written is of use. Behind it values are still looked at, for what is secret.
    most: usize,
}

impl Pass<'_> {
    /// A whole document, as far as `most` bytes.
    pub(super) fn document(&mut self, text: &str, most: usize) -> Result<String, Unwritten> {
        let document = parse(text, &self.redactor.limits).map_err(|why| match why {
            Unparsed::Malformed { .. } => Unwritten::NoJson,
            Unparsed::TooMuch(_) => Unwritten::Limit,
        })?;
        let set = &self.redactor.paths;
        let written = self.write(document.root(), set, &set.start().clone(), false, Form::Lines, most);
        written.ok_or(Unwritten::Limit)
    }

    fn write(
        &mut self,
        value: Value<'_>,
        set: &PathSet,
        place: &Place,
        is_secret: bool,
        form: Form,
        most: usize,
    ) -> Option<String> {
        let work = Work::new(&self.redactor.limits);
        let mut writer = Writer { pass: self, set, work, out: String::new(), form, most };
        writer.value(value, place, is_secret, 0);
        (!writer.work.is_spent()).then_some(writer.out)
    }

    /// What a difference shows of the value at this place: compact JSON, which may be cut.
    pub(super) fn json_shown(&mut self, steps: &[Written], is_secret: bool, text: &str) -> String {
        let cut = text.strip_suffix('…');
        let ending = if cut.is_some() { "…" } else { "" };
        let whole = match cut {
            Some(cut) => mended(cut),
            None => Some(text.to_owned()),
        };
        if let Some(shown) = whole.and_then(|whole| self.value_shown(steps, is_secret, &whole)) {
            return shown + ending;
        }
        let text = cut.unwrap_or(text);
        let inner = text.strip_prefix('"').map(unescaped);
        match inner {
            _ if is_secret => self.hide(inner.as_deref().unwrap_or(text)),
            Some(inner) => quoted(&self.free(&(inner + ending))),
            None => self.free(&format!("{text}{ending}")),
        }
    }

    fn value_shown(&mut self, steps: &[Written], is_secret: bool, text: &str) -> Option<String> {
        let limits = self.redactor.limits;
        let document = parse(text, &limits).ok()?;
        let set = &self.redactor.loose;
        let mut work = Work::new(&limits);
        let mut place = set.start().clone();
        for step in steps {
            let step = match step {
                Written::Name(name) => Step::Name(name),
                Written::Element(_) => Step::Index(0),
            };
            place = set.step(&place, step, 1, document.root(), &mut work);
        }
        let most = usize::MAX;
        self.write(document.root(), set, &place, is_secret, Form::Compact, most)
    }
}

impl Writer<'_, '_> {
    /// Documents nest no deeper than their limit, so neither does this.
    fn value(&mut self, value: Value<'_>, place: &Place, is_inside: bool, depth: usize) {
        self.work.take(1);
        if self.work.is_spent() {
            return;
        }
        let is_secret = is_inside || self.set.chosen(place).next().is_some();
        match value.view() {
            View::Null => self.push("null"),
            View::Bool(is) => self.scalar(if is { "true" } else { "false" }, is_secret),
            View::Number(number) => self.scalar(number, is_secret),
            View::String(text) => {
                let hidden = if is_secret { self.pass.hide(text) } else { self.pass.free(text) };
                self.push(&quoted(&hidden));
            }
            View::Array(elements) => {
                let siblings = elements.count();
                let children = elements.enumerate().map(|(index, child)| (Step::Index(index), child));
                self.container('[', children, siblings, place, is_secret, depth, ']');
            }
            View::Object(members) => {
                let children = members.map(|(name, child)| (Step::Name(name), child));
                self.container('{', children, 0, place, is_secret, depth, '}');
            }
        }
    }

    /// A number or a word: a secret one is a text from now on.
    fn scalar(&mut self, text: &str, is_secret: bool) {
        let hidden = if is_secret { self.pass.hide(text) } else { self.pass.scrub(text) };
        if hidden == text { self.push(text) } else { self.push(&quoted(&hidden)) }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "arrays and objects differ in two characters and their steps"
    )]
    fn container<'v>(
        &mut self,
        open: char,
        children: impl Iterator<Item = (Step<'v>, Value<'v>)>,
        siblings: usize,
        place: &Place,
        is_secret: bool,
        depth: usize,
        close: char,
    ) {
        self.push(open.encode_utf8(&mut [0; 4]));
        let mut is_empty = true;
        for (step, child) in children {
            if !is_empty {
                self.push(",");
            }
            is_empty = false;
            self.line(depth + 1);
            let next = self.set.step(place, step, siblings, child, &mut self.work);
            let mut is_inside = is_secret;
            if let Step::Name(name) = step {
                is_inside |= self.pass.is_secret(name);
                let name = if is_secret && !is_plain_word(name) {
                    self.pass.hide(name)
                } else {
                    self.pass.scrub(name)
                };
                self.push(&quoted(&name));
                self.push(if self.form == Form::Lines { ": " } else { ":" });
            }
            self.value(child, &next, is_inside, depth + 1);
        }
        if !is_empty {
            self.line(depth);
        }
        self.push(close.encode_utf8(&mut [0; 4]));
    }

    fn line(&mut self, depth: usize) {
        if self.form == Form::Lines && self.out.len() < self.most {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', depth * 2));
        }
    }

    fn push(&mut self, text: &str) {
        if self.out.len() < self.most {
            self.out.push_str(text);
        }
    }
}

/// A text as JSON writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// What a text that was cut means, without its first quote.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('u') => {
                    let digits: String = letters.by_ref().take(4).collect();
                    out.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                }
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    out
}

/// A cut container up to the last value that is whole, closed.
fn mended(cut: &str) -> Option<String> {
    let mut open: Vec<char> = Vec::new();
    let mut whole = None;
    let (mut in_text, mut escaped) = (false, false);
    for (at, letter) in cut.char_indices() {
        if in_text {
            in_text = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        match letter {
            '"' => in_text = true,
            ',' if !open.is_empty() => whole = Some((at, open.clone())),
            '{' | '[' => {
                open.push(if letter == '{' { '}' } else { ']' });
                whole = Some((at + 1, open.clone()));
            }
            '}' | ']' => {
                open.pop();
                whole = Some((at + 1, open.clone()));
            }
            _ => {}
        }
    }
    let (end, open) = whole?;
    let mut out = cut[..end].to_owned();
    out.extend(open.iter().rev());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_is_closed_behind_its_last_whole_value() {
        for (cut, expected) in [
            (r#"{"a":1,"card":{"number":"41"#, Some(r#"{"a":1,"card":{}}"#)),
            (r#"{"a":1,"card":{"number":"4111","c"#, Some(r#"{"a":1,"card":{"number":"4111"}}"#)),
            (r#"[1,[2,{"x":"},{[\"",3"#, Some("[1,[2,{\"x\":\"},{[\\\"\"}]]")),
            (r#"[[1],[2]"#, Some("[[1],[2]]")),
            ("[", Some("[]")),
            (r#""a text"#, None),
            ("12", None),
            ("", None),
        ] {
            assert_eq!(mended(cut).as_deref(), expected, "{cut}");
        }
    }
}
