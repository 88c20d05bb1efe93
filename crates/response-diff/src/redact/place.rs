//! The places of differences, read back from how they are written.

use crate::limits::Work;
use crate::path::{Step, Written, push_name, written_steps as steps};
use crate::{Difference, json};

use super::headers::Section;
use super::pass::Pass;
use super::secrets::{SHORTEST, Secrets};
use super::{Redaction, Redactor, Said, names};

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
        Some(written(&steps, |number, name| number >= secret && !is_plain_word(name)))
    }

    /// Makes `*` of member names that the request says in secret: a service that answers with what is known of a token may
    /// use the token as a name. To be done before anything is counted or kept by place.
    pub fn hide_names_said(&self, differences: &mut [Difference], said: &Said<'_>) {
        // Compressed or escaped, a name does not stand there as it is.
        let is_veiled = memchr::memchr2(b'\\', b'%', said.content).is_some()
            || said.fields.iter().any(|field| field.name.eq_ignore_ascii_case(b"content-encoding"));
        let is_said = |name: &str| {
            let name = memchr::memmem::Finder::new(name);
            let stands_in = |text: &[u8]| name.find(text).is_some();
            name.needle().len() >= SHORTEST
                && (is_veiled
                    || stands_in(said.target.as_bytes())
                    || stands_in(said.content)
                    || said.fields.iter().any(|field| stands_in(field.value)))
        };
        // Who knows what is secret has to look through all of the request, which hardly any difference is worth.
        let mut request = None;
        for difference in differences {
            for place in [&mut difference.path, &mut difference.at] {
                let Some(steps) = steps(place) else { continue };
                let names = steps.iter().filter_map(|step| match step {
                    Written::Name(name) => Some(name),
                    Written::Element(_) => None,
                });
                if !names.clone().any(|name| is_said(name)) {
                    continue;
                }
                let redaction = request.get_or_insert_with(|| {
                    Redaction { redactor: self, secrets: Secrets::default() }.knowing(said)
                });
                let pass = redaction.pass();
                if names.clone().any(|name| pass.scrub(name) != **name) {
                    *place = written(&steps, |_, name| pass.scrub(name) != name);
                }
            }
        }
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

/// The place again, with `*` for some names.
fn written(steps: &[Written], is_hidden: impl Fn(usize, &str) -> bool) -> String {
    let mut out = "$".to_owned();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Written::Name(name) if is_hidden(number, name) => out.push_str(".*"),
            Written::Name(name) => push_name(&mut out, name),
            Written::Element(element) => out.push_str(element),
        }
    }
    out
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
