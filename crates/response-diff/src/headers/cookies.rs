//! Set-Cookie (RFC 6265, and the drafts of its successor), by name and attributes.

use std::collections::{BTreeMap, BTreeSet};

use crate::charset::byte_by_byte;
use crate::dates::http_date;
use crate::findings::Findings;
use crate::outcome::Kind;
use crate::rules::Rules;

/// Values from this length on are taken for what a session or a signature looks like, and not compared.
const RANDOM_BYTES: usize = 16;
/// By how much lifetimes may differ: answers of the two arms are not made in the same second.
const SLACK_S: u64 = 5;

/// How long a cookie stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// Until the browser is closed.
    Session,
    /// It is taken away.
    Deleted,
    /// That many seconds.
    Seconds(u64),
    /// Until this moment, in seconds since 1970; the answer does not say when it was made.
    Until(i64),
}

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    /// By name in lower case, without `expires` and `max-age`.
    attributes: BTreeMap<String, String>,
    lifetime: Lifetime,
}

/// The cookies of one side, and the moment at which its answer was made.
pub(crate) struct Jar<'a> {
    pub(crate) fields: &'a [&'a [u8]],
    pub(crate) date: Option<i64>,
}

/// Compares all cookies that are set. `is_ignored` is asked with a cookie's name.
pub(crate) fn compare(
    old: &Jar<'_>,
    new: &Jar<'_>,
    is_ignored: &dyn Fn(&str) -> bool,
    rules: &Rules,
    findings: &mut Findings,
) {
    let mut names: BTreeMap<String, (Vec<Cookie>, Vec<Cookie>)> = BTreeMap::new();
    // As in `charset::both`: texts are the same only where the bytes are.
    let is_utf8 = old.fields.iter().chain(new.fields).all(|field| str::from_utf8(field).is_ok());
    for cookie in old.cookies(is_utf8) {
        names.entry(cookie.name.clone()).or_default().0.push(cookie);
    }
    for cookie in new.cookies(is_utf8) {
        names.entry(cookie.name.clone()).or_default().1.push(cookie);
    }
    for (name, (old, new)) in names {
        if is_ignored(&name) {
            continue;
        }
        for pair in paired(old, new) {
            compare_pair(&format!("header:set-cookie:{name}"), &pair, rules, findings);
        }
    }
}

impl Jar<'_> {
    fn cookies(&self, is_utf8: bool) -> impl Iterator<Item = Cookie> {
        let read = if is_utf8 { String::from_utf8_lossy } else { byte_by_byte };
        self.fields.iter().filter_map(move |field| Cookie::parse(&read(field), self.date))
    }
}

impl Cookie {
    /// RFC 6265 section 5.2. A cookie without a name is none that could be compared by name, and dropped by browsers
    /// where its value is empty too.
    fn parse(text: &str, date: Option<i64>) -> Option<Cookie> {
        let mut parts = text.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let mut attributes = BTreeMap::new();
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = name.trim().to_ascii_lowercase();
            if !name.is_empty() {
                // The last one counts.
                attributes.insert(name, value.trim().to_owned());
            }
        }
        let max_age = attributes.remove("max-age");
        let expires = attributes.remove("expires");
        let lifetime = lifetime(max_age.as_deref(), expires.as_deref(), date);
        for name in ["domain", "samesite", "priority"] {
            if let Some(value) = attributes.get_mut(name) {
                *value = value.trim_start_matches('.').to_ascii_lowercase();
            }
        }
        // Without a host of its own, an empty Domain is none (RFC 6265 section 5.2.3).
        if attributes.get("domain").is_some_and(String::is_empty) {
            attributes.remove("domain");
        }
        for flag in ["secure", "httponly", "partitioned"] {
            if let Some(value) = attributes.get_mut(flag) {
                value.clear();
            }
        }
        Some(Cookie {
            name: name.trim().to_owned(),
            value: value.trim().trim_matches('"').to_owned(),
            attributes,
            lifetime,
        })
    }

    /// What, beside the name, makes it another cookie (RFC 6265 section 5.3).
    fn scope(&self) -> (Option<&str>, Option<&str>) {
        let attribute = |name| self.attributes.get(name).map(String::as_str);
        (attribute("domain"), attribute("path"))
    }

    fn shown(&self) -> String {
        let attributes = self.attributes.iter().map(|(name, value)| {
            if value.is_empty() { format!("; {name}") } else { format!("; {name}={value}") }
        });
        format!("{}={}{}", self.name, self.value, attributes.collect::<String>())
    }
}

/// `Max-Age` goes before `Expires`; what cannot be read counts as left out (RFC 6265 section 5.2).
fn lifetime(max_age: Option<&str>, expires: Option<&str>, date: Option<i64>) -> Lifetime {
    let seconds = |seconds: i64| {
        u64::try_from(seconds)
            .ok()
            .filter(|seconds| *seconds > 0)
            .map_or(Lifetime::Deleted, Lifetime::Seconds)
    };
    if let Some(max_age) = max_age.and_then(|text| text.parse().ok()) {
        return seconds(max_age);
    }
    match (expires.and_then(|text| http_date(text.as_bytes())), date) {
        (None, _) => Lifetime::Session,
        (Some(until), Some(date)) => seconds(until - date),
        // No clock here, but what is meant to delete a cookie names a moment of the last century.
        (Some(..YEAR_2000), None) => Lifetime::Deleted,
        (Some(until), None) => Lifetime::Until(until),
    }
}

/// In seconds since 1970.
const YEAR_2000: i64 = 946_684_800;

impl Lifetime {
    fn is_as(self, other: Lifetime) -> bool {
        match (self, other) {
            (Lifetime::Seconds(one), Lifetime::Seconds(other)) => one.abs_diff(other) <= SLACK_S,
            (Lifetime::Until(one), Lifetime::Until(other)) => one.abs_diff(other) <= SLACK_S,
            // One counts, the other names a moment, and nothing says how far off that was.
            (Lifetime::Until(_), Lifetime::Seconds(_)) | (Lifetime::Seconds(_), Lifetime::Until(_)) => true,
            (one, other) => one == other,
        }
    }

    fn shown(self) -> String {
        match self {
            Lifetime::Session => "for the session".to_owned(),
            Lifetime::Deleted => "deleted".to_owned(),
            Lifetime::Seconds(seconds) => format!("for {seconds} s"),
            Lifetime::Until(moment) => format!("until {moment} s after 1970"),
        }
    }
}

type Pair = (Option<Cookie>, Option<Cookie>);

/// Cookies of one name: those of the same scope together, the others in their order.
fn paired(old: Vec<Cookie>, mut new: Vec<Cookie>) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut left = Vec::new();
    for cookie in old {
        match new.iter().position(|other| other.scope() == cookie.scope()) {
            Some(at) => pairs.push((Some(cookie), Some(new.remove(at)))),
            None => left.push(cookie),
        }
    }
    let (mut left, mut new) = (left.into_iter(), new.into_iter());
    loop {
        match (left.next(), new.next()) {
            (None, None) => return pairs,
            pair => pairs.push(pair),
        }
    }
}

/// Whatever differs of a cookie is a difference of this cookie; which attribute it is, the place in the answer says.
fn compare_pair(path: &str, pair: &Pair, rules: &Rules, findings: &mut Findings) {
    let (old, new) = match pair {
        (Some(old), Some(new)) => (old, new),
        (Some(old), None) => return findings.push(path, Kind::Missing, Some(&old.shown()), None),
        (None, Some(new)) => return findings.push(path, Kind::Added, None, Some(&new.shown())),
        (None, None) => return,
    };
    let is_deleted = old.lifetime == Lifetime::Deleted && new.lifetime == Lifetime::Deleted;
    let is_random = old.value.len() >= RANDOM_BYTES && new.value.len() >= RANDOM_BYTES;
    if !rules.is_same_text(path, &old.value, &new.value) && !is_random && !is_deleted {
        findings.push(path, Kind::Value, Some(&old.value), Some(&new.value));
    }
    if !old.lifetime.is_as(new.lifetime) {
        let (old, new) = (old.lifetime.shown(), new.lifetime.shown());
        findings.push_at(path, &format!("{path};expires"), Kind::Value, Some(&old), Some(&new));
    }
    let names: BTreeSet<&String> = old.attributes.keys().chain(new.attributes.keys()).collect();
    for name in names {
        let (old, new) = (old.attributes.get(name), new.attributes.get(name));
        if old != new {
            // A flag has no value to show but its name.
            let shown = |value: &String| if value.is_empty() { name.clone() } else { value.clone() };
            let (old, new) = (old.map(shown), new.map(shown));
            let at = format!("{path};{name}");
            findings.push_at(path, &at, Kind::Value, old.as_deref(), new.as_deref());
        }
    }
}
