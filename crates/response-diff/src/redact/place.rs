//! The places of differences, read back from how they are written.

use crate::limits::Work;
use crate::path::{Step, Written, push_name, written_steps as steps};
use crate::{Difference, json};

use super::headers::Section;
use super::pass::Pass;
use super::{Redactor, names};

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
