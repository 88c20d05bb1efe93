//! The places of differences, read back from how they are written.

use crate::limits::Work;
use crate::path::{Step, push_name};
use crate::{Difference, json};

use super::headers::Section;
use super::pass::Pass;
use super::{Redactor, names};

/// One step of a place, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Name(String),
    /// `[3]` or `[*]`.
    Element(String),
}

/// `$.items[3]['odd name']` as steps; `None` where it is not the place of a JSON value.
pub(super) fn steps(place: &str) -> Option<Vec<Written>> {
    let mut rest = place.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            steps.push(Written::Name(after[..end].to_owned()));
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix("['") {
            let (name, length) = quoted(after)?;
            steps.push(Written::Name(name));
            rest = after[length..].strip_prefix(']')?;
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Written::Element(format!("[{index}]")));
            rest = after;
        }
    }
    Some(steps)
}

/// The name up to the closing quote, and how long it is as written, quote included.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Some((name, at + 1)),
            '\\' => match letters.next()?.1 {
                'b' => name.push('\u{8}'),
                't' => name.push('\t'),
                'n' => name.push('\n'),
                'f' => name.push('\u{c}'),
                'r' => name.push('\r'),
                'u' => {
                    let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    name.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => name.push(other),
            },
            other => name.push(other),
        }
    }
    None
}

/// A name that a person has given to a field, rather than one that a program has made.
pub(super) fn is_plain_word(name: &str) -> bool {
    (1..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

impl Redactor {
    /// The place with `*` for names that may be secrets; `None` where there are none.
    pub(super) fn with_hidden_names(&self, place: &str) -> Option<String> {
        let steps = steps(place)?;
        let secret = self.secret_from(&steps)?;
        let hidden = |step: &Written| matches!(step, Written::Name(name) if !is_plain_word(name));
        if !steps[secret..].iter().any(hidden) {
            return None;
        }
        let mut out = "$".to_owned();
        for (number, step) in steps.iter().enumerate() {
            match step {
                _ if number >= secret && hidden(step) => out.push_str(".*"),
                Written::Name(name) => push_name(&mut out, name),
                Written::Element(element) => out.push_str(element),
            }
        }
        Some(out)
    }

    /// The number of the step behind which everything is secret; `None` where nothing is.
    pub(super) fn secret_from(&self, steps: &[Written]) -> Option<usize> {
        // No rule of names and wildcards looks at a value, so that any will do.
        let nothing = json::parse("null", &self.limits).ok()?;
        let mut work = Work::new(&self.limits);
        let mut place = self.loose.start().clone();
        if self.loose.chosen(&place).next().is_some() {
            return Some(0);
        }
        for (number, step) in steps.iter().enumerate() {
            let (step, by_name) = match step {
                Written::Name(name) => (Step::Name(name), names::is_secret(name)),
                Written::Element(_) => (Step::Index(0), false),
            };
            place = self.loose.step(&place, step, 1, nothing.root(), &mut work);
            if by_name || self.loose.chosen(&place).next().is_some() || work.is_spent() {
                return Some(number + 1);
            }
        }
        None
    }
}

impl Pass<'_> {
    /// What a difference shows of one answer.
    pub(super) fn shown_at(&mut self, difference: &Difference, text: &str) -> String {
        let path = difference.path.as_str();
        if let Some(name) = path.strip_prefix("header:") {
            return self.field_shown(Section::Headers, name, &difference.at, text);
        }
        if let Some(name) = path.strip_prefix("trailer:") {
            return self.field_shown(Section::Trailers, name, &difference.at, text);
        }
        match steps(&difference.at) {
            Some(steps) => {
                let is_secret = self.redactor.secret_from(&steps).is_some();
                self.json_shown(&steps, is_secret, text)
            }
            None => self.free(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::concrete;

    #[test]
    fn places_are_read_as_they_are_written() {
        for names in [
            &["items", "price"][..],
            &["odd name", "it's\\\"\u{1}\n\t\r\u{8}\u{c}"],
            &["", "größe", "_x-y"],
            &[],
        ] {
            let place = concrete(names.iter().map(|name| Step::Name(name)));
            let expected: Vec<_> = names.iter().map(|name| Written::Name((*name).to_owned())).collect();
            assert_eq!(steps(&place), Some(expected), "{place}");
        }
        assert_eq!(
            steps("$.items[*]['a.b'][3]"),
            Some(vec![
                Written::Name("items".to_owned()),
                Written::Element("[*]".to_owned()),
                Written::Name("a.b".to_owned()),
                Written::Element("[3]".to_owned()),
            ])
        );
        for other in ["status", "body", "header:date", "$['open", "$[3", "$x"] {
            assert_eq!(steps(other), None, "{other}");
        }
    }
}
