//! Going through texts: what is looked for, and what it is replaced by.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::markup::Reading;
use super::secrets::Secrets;
use super::{Redactor, marks, names};

/// One way through texts: to find secrets, or to hide them.
pub(super) struct Pass<'p> {
    pub(super) redactor: &'p Redactor,
    /// What is hidden wherever it stands.
    pub(super) known: &'p Secrets,
    /// What is found is put here.
    pub(super) found: Option<&'p mut Secrets>,
}

/// Patterns that are built when they are first used; all of them are constants.
macro_rules! pattern {
    ($text:expr) => {{
        static PATTERN: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($text).expect("a constant that the tests have built"));
        &*PATTERN
    }};
}

/// What is a secret in any text: the first group, or all of it where there is none. Built when a text is first looked at:
/// they take megabytes, which a proxy that compares nothing does not have to spend.
fn default_patterns() -> [&'static Regex; 5] {
    [
        // JSON web tokens (RFC 7519): a JSON object in base64 begins with `eyJ`.
        pattern!(r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]+){1,4}"),
        // RFC 6750 section 2.1, RFC 7617 section 2, and whatever is written in their place.
        pattern!(r"(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/-]{8,}[A-Za-z0-9._~+/=-]*)"),
        pattern!(r"://[^/\s:@]{0,256}:([^/\s@]{1,256})@"),
        pattern!(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"),
        // How a difference shows bytes. Of few bytes a hash without a key tells all.
        pattern!(r"\bXXH3 ([0-9a-f]{32})\b"),
    ]
}

/// How often a text is gone through for names while more is found. One round finds what is well written.
const ROUNDS: usize = 4;

impl Pass<'_> {
    /// The mark of a secret value.
    pub(super) fn hide(&mut self, value: &str) -> String {
        if let Some(found) = &mut self.found {
            found.add(value);
        }
        self.redactor.marks.of(value)
    }

    /// A secret value, of which parts may be hidden already. A scheme alone is none: `Authorization: Bearer`.
    pub(super) fn hide_beside_marks(&mut self, value: &str) -> String {
        marks::between(value, |part, out| {
            let word = part.trim();
            if word.is_empty() || ["bearer", "basic"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme)) {
                out.push_str(part);
            } else {
                out.push_str(&self.hide(part));
            }
        })
    }

    /// A text that is not secret by its place.
    pub(super) fn free(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for pattern in default_patterns().into_iter().chain(&self.redactor.patterns) {
            if pattern.is_match(&text) {
                text = marks::between(&text, |part, out| out.push_str(&self.replaced(pattern, part)));
            }
        }
        // A part of a form with files (RFC 7578 section 4.2): its name, other fields, an empty line, its value.
        let part_of_form = pattern!(
            r#"(?i)\bform-data;[^\r\n]{0,128}?\bname="([^"\r\n]{1,64})"[^\r\n]{0,256}\r?\n(?:[^\r\n]{1,256}\r?\n){0,4}\r?\n([^\r\n]+)"#
        );
        if part_of_form.is_match(&text) {
            text = marks::between(&text, |part, out| out.push_str(&self.named(part_of_form, part)));
        }
        // What is hidden may have been what an element seemed to be made of: what is there now is what it says.
        for _ in 0..ROUNDS {
            let Some(hidden) = self.beside_names(&text) else { break };
            text = hidden;
        }
        self.scrub(&text)
    }

    /// Hides the values of markup and pairs; `None` where there are none.
    fn beside_names(&mut self, text: &str) -> Option<String> {
        let marked = self.markup(text, Reading::Elements);
        let marked = self.markup(&marked, Reading::Quotes);
        let hidden = self.pairs(&marked);
        (hidden != text).then(|| hidden.into_owned())
    }

    fn replaced(&mut self, pattern: &Regex, part: &str) -> String {
        let with = |found: &Captures<'_>, pass: &mut Self| {
            let whole = found.get(0).map(|whole| (whole.start(), whole.as_str()));
            let (start, whole) = whole.unwrap_or_default();
            match found.iter().skip(1).flatten().next() {
                Some(group) => {
                    let (before, after) = (&whole[..group.start() - start], &whole[group.end() - start..]);
                    format!("{before}{}{after}", pass.hide(group.as_str()))
                }
                None => pass.hide(whole),
            }
        };
        pattern.replace_all(part, |found: &Captures<'_>| with(found, self)).into_owned()
    }

    /// Hides the second group where the first one is a secret's name.
    fn named(&mut self, pattern: &Regex, part: &str) -> String {
        let with = |found: &Captures<'_>, pass: &mut Self| {
            let whole = found.get(0).map(|whole| (whole.start(), whole.as_str()));
            let (start, whole) = whole.unwrap_or_default();
            match (found.get(1), found.get(2)) {
                (Some(name), Some(value)) if pass.is_secret(name.as_str()) => {
                    let (before, after) = (&whole[..value.start() - start], &whole[value.end() - start..]);
                    format!("{before}{}{after}", pass.hide(value.as_str()))
                }
                _ => whole.to_owned(),
            }
        };
        pattern.replace_all(part, |found: &Captures<'_>| with(found, self)).into_owned()
    }

    /// Whether a member, field or parameter of this name is secret.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        names::is_secret(name)
    }

    /// Hides every known secret; in a text that was cut also the beginning of one at its end.
    pub(super) fn scrub(&self, text: &str) -> String {
        if self.known.is_empty() {
            return text.to_owned();
        }
        marks::between(text, |part, out| {
            let mut at = 0;
            while let Some(letter) = part[at..].chars().next() {
                let rest = &part[at..];
                let secret = self.known.at_start_of(rest).or_else(|| {
                    let rest = rest.strip_suffix('…')?;
                    self.known.has_start(rest).then_some(rest)
                });
                match secret {
                    Some(secret) => {
                        out.push_str(&self.redactor.marks.of(secret));
                        at += secret.len();
                    }
                    None => {
                        out.push(letter);
                        at += letter.len_utf8();
                    }
                }
            }
        })
    }

    /// Path and query.
    pub(super) fn target(&mut self, target: &str) -> String {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut out = self.free(path);
        if let Some(query) = query {
            let pairs: Vec<_> = query.split('&').map(|pair| self.parameter(pair)).collect();
            out.push('?');
            out.push_str(&pairs.join("&"));
        }
        self.scrub(&out)
    }

    fn parameter(&mut self, pair: &str) -> String {
        let Some((name, value)) = pair.split_once('=') else { return self.free(pair) };
        let decoded = percent_decoded(name);
        let by_rule = self.redactor.parameters.contains(&decoded);
        if value.is_empty() || !(by_rule || self.is_secret(&decoded)) {
            return self.free(pair);
        }
        if let Some(found) = &mut self.found {
            found.add(&percent_decoded(value));
        }
        format!("{name}={}", self.hide(value))
    }
}

/// What percent-encoded text stands for, as far as it is text; a plus is a space, as in forms.
pub(super) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let value = (*byte == b'%').then(|| Some(digit(at + 1)? * 16 + digit(at + 2)?)).flatten();
        match value.and_then(|value| u8::try_from(value).ok()) {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
