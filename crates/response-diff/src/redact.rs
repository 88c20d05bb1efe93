//! What is secret does not get stored, logged or shown.
//!
//! Two answers are compared as they are. What is kept of them afterwards goes through a [`Redactor`], which alone makes
//! [`Redacted`] texts; whatever stores or shows something takes only those, so that forgetting it does not compile.
//!
//! A secret value is replaced by a mark such as `«redacted 3fa9c1»`: 24 bits of HMAC-SHA-256 of the value under a key that
//! is not stored beside it. Equal values have equal marks, so that a person sees whether a token differs between old and
//! new or stands in two places, and nobody sees which it is, nor how long. Texts, numbers and booleans become marks alike;
//! `null` stays, since it says that there is no value.
//!
//! # What is secret
//!
//! - The values of headers, trailers, members of JSON, fields of forms and parameters of queries whose name says so:
//!   `authorization`, `x-api-key`, `password`, `client_secret`, `accessToken`, `card`, `cvv`, `iban`, `sessionId` and
//!   the like. Everything inside such a member is secret too. Cookies keep their names and attributes.
//! - What the operator names: `$.customer.email` (RFC 9535), `header:x-tenant`, `trailer:x-checksum`, `query:code`, which
//!   holds for all links.
//! - In all texts: JSON web tokens, credentials after `Bearer` and `Basic` and in URLs, private keys in PEM, and what
//!   matches the operator's `text:REGEX`; where that has a group, only the group.
//! - In all texts, those within JSON and header fields too, what is written beside a secret's name: `name=value`,
//!   `name: value` and `"name": "value"`, also in queries, fragments and forms of links, percent-encoded once or twice or
//!   with `&amp;` between; and in HTML and XML `<name>value</name>`, `<x name="value">`, and the `value`, `content` or text
//!   of an element whose `name`, `key` or `id` is a secret's. The parts of a form with files, too.
//! - Not prose (`your password is ...`), segments of paths, and names and values beside each other in lists. More cannot be
//!   known of a text; what else is secret in one needs a `text:` rule.
//! - **Every other occurrence** of a value of four bytes and more that was found to be secret in either of both answers,
//!   or in the header fields, the target and the content of their request: a token that an answer repeats in a message or
//!   a link is hidden there too. Only the words `true`, `false` and `null` are not looked for.
//!
//! Names of members are shown, but inside a secret place only if they are plain words, since some services use tokens as
//! names; [`Redactor::hide_names`] does the same for the places of differences. Bodies that are neither JSON nor text are
//! never kept, only how long they are, with a mark of their content.
//!
//! Redacting twice changes nothing more. What cannot be redacted within the limits is not kept.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::answer::{Answer, Body, Field};
use crate::limits::Limits;
use crate::outcome::{Difference, Kind};
use crate::path::{PathSet, Query};

use marks::Marks;
use pass::Pass;
use secrets::Secrets;

mod body;
mod headers;
mod json;
mod marks;
mod markup;
mod names;
mod pairs;
mod pass;
mod place;
mod scan;
mod secrets;

/// Text without secrets. Only a [`Redactor`] makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redacted(String);

impl Redacted {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A difference of which nothing is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedactedDifference {
    /// The place, normalised.
    pub path: Redacted,
    /// The place in this answer.
    pub at: Redacted,
    /// In which way the answers differ.
    pub kind: Kind,
    /// What old has there.
    pub old: Option<Redacted>,
    /// What new has there.
    pub new: Option<Redacted>,
}

/// What an operator's rule is wrong in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedactError {
    /// The number of the rule, from 0.
    pub entry: usize,
    /// What is wrong with it, as a sentence without its full stop.
    pub message: String,
}

impl fmt::Display for RedactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redact[{}]: {}", self.entry, self.message)
    }
}

impl std::error::Error for RedactError {}

/// Bytes that a compiled pattern may take.
const PATTERN_SIZE: usize = 1 << 20;

/// Hides what is secret.
#[derive(Clone)]
pub struct Redactor {
    marks: Marks,
    headers: Vec<String>,
    trailers: Vec<String>,
    parameters: Vec<String>,
    /// As the rules say.
    paths: PathSet,
    /// Names and wildcards of the rules alone: for a value of which the rest of the document is not at hand. It chooses
    /// all that `paths` chooses, and more.
    loose: PathSet,
    /// Whether any rule is a path.
    has_paths: bool,
    patterns: Vec<Regex>,
    limits: Limits,
    /// The most bytes that are kept of one answer.
    kept_bytes: usize,
}

impl fmt::Debug for Redactor {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Redactor { headers, trailers, parameters, kept_bytes, .. } = self;
        let lists = [("headers", headers), ("trailers", trailers), ("parameters", parameters)];
        let mut debug = f.debug_struct("Redactor");
        lists.into_iter().for_each(|(name, list)| {
            debug.field(name, list);
        });
        debug.field("kept_bytes", kept_bytes).finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor with these rules beside the default ones. `key` is random, and kept where samples are kept by nobody
    /// who may read those; a new one makes new marks. At most `kept_bytes` are kept of one answer.
    ///
    /// # Errors
    /// One for each rule that is none: `$...` (a JSONPath), `header:NAME`, `trailer:NAME`, `query:NAME` or `text:REGEX`.
    pub fn new(
        key: &[u8; 32],
        rules: &[String],
        limits: &Limits,
        kept_bytes: usize,
    ) -> Result<Redactor, Vec<RedactError>> {
        let mut queries = Vec::new();
        let mut patterns = Vec::new();
        let (mut headers, mut trailers, mut parameters) = (Vec::new(), Vec::new(), Vec::new());
        let mut errors = Vec::new();
        for (entry, rule) in rules.iter().enumerate() {
            let done = match rule.split_once(':') {
                _ if rule.starts_with('$') => {
                    Query::parse(rule).map(|query| queries.push(query)).map_err(|error| error.to_string())
                }
                Some(("header", name)) => field_name(name).map(|name| headers.push(name)),
                Some(("trailer", name)) => field_name(name).map(|name| trailers.push(name)),
                Some(("query", name)) if !name.is_empty() => {
                    parameters.push(name.to_owned());
                    Ok(())
                }
                Some(("text", pattern)) if !pattern.is_empty() => {
                    pattern_of(pattern).map(|pattern| patterns.push(pattern))
                }
                _ => {
                    Err("it begins with none of `$`, `header:`, `trailer:`, `query:` and `text:`".to_owned())
                }
            };
            errors.extend(done.err().map(|message| RedactError { entry, message }));
        }
        if queries.len() > usize::from(u16::MAX) {
            let message = format!("there are more than {} paths", u16::MAX);
            errors.push(RedactError { entry: usize::from(u16::MAX), message });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let loose = PathSet::of(queries.iter().map(Query::loosened).collect());
        Ok(Redactor {
            marks: Marks::new(key),
            headers,
            trailers,
            parameters,
            has_paths: !queries.is_empty(),
            paths: PathSet::of(queries),
            loose,
            patterns,
            limits: *limits,
            kept_bytes,
        })
    }

    /// Looks for what is secret in both answers, so that all that is kept of them can be redacted.
    #[must_use]
    pub fn pair(&self, old: &Answer<'_>, new: &Answer<'_>) -> Redaction<'_> {
        let mut secrets = Secrets::default();
        let nothing = Secrets::default();
        for answer in [old, new] {
            Pass { redactor: self, known: &nothing, found: Some(&mut secrets) }.answer(answer);
        }
        Redaction { redactor: self, secrets }
    }

    /// A text of which nothing is known: only patterns and what is written beside a secret's name are hidden.
    #[must_use]
    pub fn text(&self, text: &str) -> Redacted {
        Redaction { redactor: self, secrets: Secrets::default() }.text(text)
    }

    /// The path and query of a request.
    #[must_use]
    pub fn target(&self, target: &str) -> Redacted {
        Redaction { redactor: self, secrets: Secrets::default() }.target(target)
    }

    /// Takes up a text that was redacted when it was stored. Whoever gives it anything else breaks the promise.
    #[must_use]
    pub fn restored(&self, stored: String) -> Redacted {
        Redacted(stored)
    }

    /// Makes `*` of member names that may be secrets, in the places of differences: those inside secret places that are
    /// not plain words. To be done before anything is counted or kept by place.
    pub fn hide_names(&self, differences: &mut [Difference]) {
        for difference in differences {
            for place in [&mut difference.path, &mut difference.at] {
                if let Some(hidden) = self.with_hidden_names(place) {
                    *place = hidden;
                }
            }
        }
    }
}

/// What a client said, which answers may repeat.
#[derive(Clone, Debug, Default)]
pub struct Said<'a> {
    /// The path and query.
    pub target: &'a str,
    /// Header fields: credentials, those of which nothing is known, and what the content is written in.
    pub fields: Vec<Field<'a>>,
    /// The content, without transfer codings.
    pub content: &'a [u8],
}

/// All that is to be kept of one pair of answers goes through here.
#[derive(Clone)]
pub struct Redaction<'r> {
    redactor: &'r Redactor,
    secrets: Secrets,
}

impl fmt::Debug for Redaction<'_> {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").field("redactor", self.redactor).finish_non_exhaustive()
    }
}

impl Redaction<'_> {
    fn pass(&self) -> Pass<'_> {
        Pass { redactor: self.redactor, known: &self.secrets, found: None }
    }

    /// Looks for what is secret in their request too, so that it is hidden where an answer repeats it.
    #[must_use]
    pub fn knowing(mut self, said: &Said<'_>) -> Self {
        let nothing = Secrets::default();
        let mut pass = Pass { redactor: self.redactor, known: &nothing, found: Some(&mut self.secrets) };
        pass.target(said.target);
        // Its content is decoded and gone through as that of an answer.
        pass.answer(&Answer {
            status: 0,
            headers: said.fields.clone(),
            trailers: Vec::new(),
            body: Body::Whole(said.content),
        });
        self
    }

    /// One of both answers as text: status, headers, body, trailers. JSON is written in lines.
    #[must_use]
    pub fn answer(&self, answer: &Answer<'_>) -> Redacted {
        if !self.secrets.is_complete() {
            return Redacted(format!(
                "{}\n\n(not kept: it cannot be redacted within the limits)\n",
                answer.status
            ));
        }
        Redacted(self.pass().answer(answer))
    }

    /// One difference between both.
    #[must_use]
    pub fn difference(&self, difference: &Difference) -> RedactedDifference {
        let mut pass = self.pass();
        let place = |text: &str, pass: &mut Pass<'_>| {
            let hidden = self.redactor.with_hidden_names(text);
            Redacted(pass.scrub(hidden.as_deref().unwrap_or(text)))
        };
        let (path, at) = (place(&difference.path, &mut pass), place(&difference.at, &mut pass));
        let side = |text: &Option<String>, pass: &mut Pass<'_>| {
            let text = text.as_deref()?;
            let hidden =
                if self.secrets.is_complete() { pass.shown_at(difference, text) } else { pass.hide(text) };
            Some(Redacted(hidden))
        };
        let (old, new) = (side(&difference.old, &mut pass), side(&difference.new, &mut pass));
        RedactedDifference { path, at, kind: difference.kind, old, new }
    }

    /// Any other text that belongs to them, such as a request id.
    #[must_use]
    pub fn text(&self, text: &str) -> Redacted {
        Redacted(self.pass().free(text))
    }

    /// The path and query of their request.
    #[must_use]
    pub fn target(&self, target: &str) -> Redacted {
        Redacted(self.pass().target(target))
    }
}

fn field_name(name: &str) -> Result<String, String> {
    let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if is_token { Ok(name.to_ascii_lowercase()) } else { Err(format!("{name:?} is no name of a header")) }
}

fn pattern_of(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE).build();
    let built = built.map_err(|error| {
        // The first lines draw where it is; the last one says what.
        let lines = error.to_string();
        let what = lines.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("the regular expression `{pattern}` is not valid: {what}")
    })?;
    if built.is_match("") {
        Err(format!("{pattern:?} matches nothing at all, everywhere"))
    } else {
        Ok(built)
    }
}

#[cfg(test)]
mod tests;
