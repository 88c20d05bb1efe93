//! Header and trailer fields.
//!
//! A field has its meaning, not its bytes, compared: how is one row of a table ([`table`]).

mod cookies;
mod glob;
mod place;
mod table;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use encoding_rs::Encoding;

use crate::answer::{Answer, Field};
use crate::body::percent_decoded;
use crate::charset::{both, byte_by_byte};
use crate::dates::http_date;
use crate::findings::Findings;
use crate::media::{BodyKind, MediaType, split_unquoted, unquote};
use crate::outcome::Kind;
use crate::rules::Rules;

use cookies::Jar;
pub(crate) use glob::Glob;
pub(crate) use place::{FieldPlace, is_name};
use table::{Treatment, treatment};

/// Where a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Header,
    Trailer,
}

impl Section {
    /// What its fields' places begin with.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Section::Header => "header:",
            Section::Trailer => "trailer:",
        }
    }
}

/// Which fields are compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldRules {
    /// These headers alone; `None`: what the table says.
    pub(crate) only: Option<Vec<Glob>>,
    /// Never these.
    pub(crate) ignored: Vec<FieldPlace>,
}

/// What of two answers decides how their fields are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Content-Length is what there is of the bodies.
    pub(crate) lengths_count: bool,
    /// What bodies of parts are delimited by is what their fields say, or nothing speaks against it.
    pub(crate) boundaries_fit: bool,
}

impl FieldRules {
    fn ignores_cookie(&self, section: Section, name: &str) -> bool {
        self.ignored.iter().any(|place| place.has_cookie(section, name))
    }

    /// How a field of this name, in lower case, is compared.
    fn treatment(&self, section: Section, name: &str, setting: Setting) -> Treatment {
        if self.ignored.iter().any(|place| place.has_field(section, name)) {
            return Treatment::Ignored;
        }
        let by_table = match treatment(name) {
            Treatment::Length if !setting.lengths_count => Treatment::Ignored,
            other => other,
        };
        match &self.only {
            Some(only) if section == Section::Header => {
                let is_named = only.iter().any(|glob| glob.as_str() != ALL && glob.fits(name));
                match by_table {
                    // Whoever names it wants all of it compared.
                    Treatment::Ignored | Treatment::Presence | Treatment::Length if is_named => {
                        Treatment::Exact
                    }
                    other if is_named || only.iter().any(|glob| glob.as_str() == ALL) => other,
                    _ => Treatment::Ignored,
                }
            }
            _ => by_table,
        }
    }
}

/// In a list of headers: all that the table compares.
const ALL: &str = "*";

/// Compares all header and trailer fields.
pub(crate) fn compare(
    old: &Fields<'_>,
    new: &Fields<'_>,
    setting: Setting,
    rules: &Rules,
    findings: &mut Findings,
) {
    for section in [Section::Header, Section::Trailer] {
        let names: BTreeSet<&String> =
            old.section(section).keys().chain(new.section(section).keys()).collect();
        for name in names {
            let pair = Pair { section, name, old: old.values(section, name), new: new.values(section, name) };
            match rules.fields().treatment(section, name, setting) {
                Treatment::Cookies => {
                    let old = Jar { fields: &pair.old, date: old.date };
                    let new = Jar { fields: &pair.new, date: new.date };
                    let is_ignored = |cookie: &str| rules.fields().ignores_cookie(section, cookie);
                    cookies::compare(&old, &new, &is_ignored, rules, findings);
                }
                treatment => pair.compare(treatment, setting, rules, findings),
            }
        }
    }
}

/// The fields of one answer by name, in lower case.
pub(crate) struct Fields<'a> {
    headers: BTreeMap<String, Vec<&'a [u8]>>,
    trailers: BTreeMap<String, Vec<&'a [u8]>>,
    /// When the answer was made, in seconds since 1970.
    date: Option<i64>,
}

impl<'a> Fields<'a> {
    /// `more_trailers` came in the body.
    pub(crate) fn of(answer: &Answer<'a>, more_trailers: impl Iterator<Item = Field<'a>>) -> Self {
        let mut headers = by_name(answer.headers.iter().copied());
        let mut trailers = by_name(answer.trailers.iter().copied().chain(more_trailers));
        if MediaType::of(answer).is_some_and(|media| media.kind() == BodyKind::Grpc) {
            // An answer without messages may have its status in the head: "Trailers-Only" of gRPC over HTTP/2.
            for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
                if let Some(values) = headers.remove(name) {
                    trailers.entry(name.to_owned()).or_insert(values);
                }
            }
        }
        let date = headers.get("date").and_then(|values| http_date(values.first()?));
        Fields { headers, trailers, date }
    }

    fn values(&self, section: Section, name: &str) -> Vec<&'a [u8]> {
        self.section(section).get(name).cloned().unwrap_or_default()
    }

    fn section(&self, section: Section) -> &BTreeMap<String, Vec<&'a [u8]>> {
        match section {
            Section::Header => &self.headers,
            Section::Trailer => &self.trailers,
        }
    }
}

fn by_name<'a>(fields: impl Iterator<Item = Field<'a>>) -> BTreeMap<String, Vec<&'a [u8]>> {
    let mut names: BTreeMap<String, Vec<&'a [u8]>> = BTreeMap::new();
    for field in fields {
        names.entry(byte_by_byte(field.name).to_ascii_lowercase()).or_default().push(field.value);
    }
    names
}

/// The values of one name.
struct Pair<'a> {
    section: Section,
    /// In lower case.
    name: &'a str,
    old: Vec<&'a [u8]>,
    new: Vec<&'a [u8]>,
}

impl Pair<'_> {
    fn compare(&self, treatment: Treatment, setting: Setting, rules: &Rules, findings: &mut Findings) {
        if treatment == Treatment::Ignored {
            return;
        }
        let place = format!("{}{}", self.section.prefix(), self.name);
        // Several lines of a name are one list (RFC 9110 section 5.3).
        let (old, new) = (self.old.join(&b", "[..]), self.new.join(&b", "[..]));
        let (old, new) = both(&old, &new);
        let kind = match (self.old.is_empty(), self.new.is_empty()) {
            (false, true) | (true, false) if treatment == Treatment::Length => return,
            (false, true) => Kind::Missing,
            (true, false) => Kind::Added,
            _ if treatment == Treatment::Presence => return,
            _ if rules.is_same_text(&place, &old, &new) => return,
            _ if old != new => Kind::Value,
            _ => return,
        };
        // Senders differ in what they escape.
        if self.name == "grpc-message" && percent_decoded(&old) == percent_decoded(&new) {
            return;
        }
        if let Some((old, new)) = meanings(treatment, setting, &old, &new)
            && old == new
        {
            return;
        }
        let mut lines = (self.old.clone(), self.new.clone());
        lines.0.sort_unstable();
        lines.1.sort_unstable();
        let kind = if kind == Kind::Value && lines.0 == lines.1 { Kind::Order } else { kind };
        let shown = |values: &[&[u8]], text: Cow<'_, str>| (!values.is_empty()).then(|| text.into_owned());
        let (old, new) = (shown(&self.old, old), shown(&self.new, new));
        findings.push(&place, kind, old.as_deref(), new.as_deref());
    }
}

/// What the two values mean, where that is more than their bytes. A list without members is the same as none.
fn meanings(
    treatment: Treatment,
    setting: Setting,
    old: &str,
    new: &str,
) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    let of: &dyn Fn(&str) -> BTreeSet<String> = match treatment {
        Treatment::Caseless => &|value| [value.to_ascii_lowercase()].into(),
        Treatment::Members => &|value| members(value).map(str::to_owned).collect(),
        Treatment::CaselessMembers => &|value| members(value).map(str::to_ascii_lowercase).collect(),
        Treatment::Directives => &|value| members(value).map(directive).collect(),
        Treatment::Parameters => &|value| parts(value, ';').map(directive).collect(),
        Treatment::Policy => &|value| members(value).map(policy).collect(),
        Treatment::Length => &|value| members(value).map(length).collect(),
        Treatment::Moment => {
            return match (http_date(old.as_bytes()), http_date(new.as_bytes())) {
                (Some(old), Some(new)) => Some(([old.to_string()].into(), [new.to_string()].into())),
                _ => None,
            };
        }
        Treatment::MediaType => {
            return match (media(old, setting), media(new, setting)) {
                (Some(old), Some(new)) => Some((old, new)),
                _ => None,
            };
        }
        Treatment::Ignored | Treatment::Presence | Treatment::Exact | Treatment::Cookies => return None,
    };
    Some((of(old), of(new)))
}

fn members(value: &str) -> impl Iterator<Item = &str> {
    parts(value, ',')
}

fn parts(value: &str, separator: char) -> impl Iterator<Item = &str> {
    split_unquoted(value, separator).into_iter().map(str::trim).filter(|part| !part.is_empty())
}

/// `Max-Age="60"` -> `max-age=60`
fn directive(text: &str) -> String {
    match text.split_once('=') {
        Some((name, value)) => {
            format!("{}={}", name.trim_end().to_ascii_lowercase(), unquote(value.trim_start()))
        }
        None => text.to_ascii_lowercase(),
    }
}

/// `007` -> `7`. Several that are equal are one (RFC 9110 section 8.6).
fn length(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), |bytes: u64| bytes.to_string())
}

/// One Content-Security-Policy: its directives by name, the sources of each in a fixed order, nonces without their
/// value. Of a directive that is there twice the first one counts, by the standard.
fn policy(text: &str) -> String {
    let mut directives: BTreeMap<String, String> = BTreeMap::new();
    for part in parts(text, ';') {
        let (name, sources) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let sources: BTreeSet<&str> = sources
            .split_whitespace()
            .map(|source| if source.starts_with("'nonce-") { "'nonce-'" } else { source })
            .collect();
        let sources = sources.into_iter().collect::<Vec<_>>().join(" ");
        directives.entry(name.to_ascii_lowercase()).or_insert(sources);
    }
    let directives: Vec<String> =
        directives.into_iter().map(|(name, sources)| format!("{name} {sources}")).collect();
    directives.join("; ")
}

/// A media type as what it means: JSON and events are UTF-8 whether that is said or not (RFC 8259 section 11), and a
/// boundary, where it is what the body has, is drawn anew for each answer.
fn media(value: &str, setting: Setting) -> Option<BTreeSet<String>> {
    let media = MediaType::parse(value.as_bytes())?;
    let kind = media.kind();
    let is_always_utf8 =
        matches!(kind, BodyKind::Json | BodyKind::JsonLines | BodyKind::JsonSequence | BodyKind::Events);
    let mut meaning = BTreeSet::from([media.essence]);
    for (name, value) in media.parameters {
        let value = match name.as_str() {
            "boundary" if kind == BodyKind::Multipart && setting.boundaries_fit => String::new(),
            "charset" => match Encoding::for_label(value.as_bytes()) {
                Some(encoding) if is_always_utf8 && encoding == encoding_rs::UTF_8 => continue,
                Some(encoding) => encoding.name().to_owned(),
                None => value.to_ascii_lowercase(),
            },
            _ => value,
        };
        meaning.insert(format!("{name}={value}"));
    }
    Some(meaning)
}

#[cfg(test)]
mod tests;
