//! Where a request's key comes from.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::form::{query_value, split_once};
use crate::jwt::bearer_claim;
use crate::view::RequestView;

/// One place to look for a key. A source that is there but empty counts as absent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// `header:NAME`: the value of the first field of this name (kept in lower case), without surrounding space.
    Header(String),
    /// `cookie:NAME`: the value of the first cookie of this name over all `Cookie` fields (RFC 6265 section 4.2),
    /// with its quotes if it has any.
    Cookie(String),
    /// `query:NAME`: the decoded value of the first parameter of this name, see [`query_value`].
    Query(String),
    /// `path:N`: the Nth segment of the path, from 1. Empty segments do not count: `/users//42` has 42 second.
    Path(usize),
    /// `jwt:CLAIM`: a string or integer claim of the bearer token in `Authorization`. Read, not verified.
    Jwt(String),
    /// `client-ip`: the canonical text of the client's address; IPv4 mapped into IPv6 reads as IPv4.
    ClientIp,
    /// `request-id`: another one for every request, so what it decides is not sticky.
    RequestId,
}

impl KeySource {
    /// How each kind is written, for messages.
    pub const FORMS: [&str; 7] =
        ["header:NAME", "cookie:NAME", "query:NAME", "path:N", "jwt:CLAIM", "client-ip", "request-id"];

    /// The request's key by this source; `None` when it is absent or empty. Allocates only for a query value that
    /// has to be decoded, for a claim and for an address.
    #[must_use]
    pub fn find<'a>(&self, view: &'a (impl RequestView + ?Sized)) -> Option<Cow<'a, [u8]>> {
        let key = match self {
            KeySource::Header(name) => view.header(name, 0).map(|value| Cow::Borrowed(trim_space(value))),
            KeySource::Cookie(name) => cookie(view, name.as_bytes()).map(Cow::Borrowed),
            KeySource::Query(name) => view.query().and_then(|query| query_value(query, name.as_bytes())),
            KeySource::Path(number) => segment(view.path(), *number).map(Cow::Borrowed),
            KeySource::Jwt(claim) => {
                let authorization = view.header("authorization", 0)?;
                bearer_claim(authorization, claim).map(Cow::Owned)
            }
            KeySource::ClientIp => Some(Cow::Owned(view.client_ip().to_canonical().to_string().into_bytes())),
            KeySource::RequestId => Some(Cow::Borrowed(view.request_id())),
        };
        key.filter(|key| !key.is_empty())
    }

    /// Whether the same user gets the same key with the next request: all but `request-id`.
    #[must_use]
    pub fn is_sticky(&self) -> bool {
        !matches!(self, KeySource::RequestId)
    }
}

impl fmt::Display for KeySource {
    /// As configuration writes it; reading it gives the same source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Header(name) => write!(f, "header:{name}"),
            KeySource::Cookie(name) => write!(f, "cookie:{name}"),
            KeySource::Query(name) => write!(f, "query:{name}"),
            KeySource::Path(number) => write!(f, "path:{number}"),
            KeySource::Jwt(claim) => write!(f, "jwt:{claim}"),
            KeySource::ClientIp => f.write_str("client-ip"),
            KeySource::RequestId => f.write_str("request-id"),
        }
    }
}

impl FromStr for KeySource {
    type Err = KeySourceError;

    /// Reads one of [`KeySource::FORMS`]. The kind is in lower case; a header's name may be in any.
    ///
    /// # Errors
    /// [`KeySourceError`] says what is wrong with which part.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) => (kind, Some(name)),
            None => (text, None),
        };
        let named = |form| name.filter(|name| !name.is_empty()).ok_or(KeySourceError::MissingName { form });
        let token = |form| named(form).and_then(checked_token);
        let unnamed = |source| if name.is_none() { Ok(source) } else { Err(KeySourceError::TakesNoName) };
        match kind {
            "header" => Ok(KeySource::Header(token("header:NAME")?.to_ascii_lowercase())),
            "cookie" => Ok(KeySource::Cookie(token("cookie:NAME")?.to_owned())),
            "query" => Ok(KeySource::Query(checked_text(named("query:NAME")?)?.to_owned())),
            "path" => segment_number(named("path:N")?).map(KeySource::Path),
            "jwt" => Ok(KeySource::Jwt(checked_text(named("jwt:CLAIM")?)?.to_owned())),
            "client-ip" => unnamed(KeySource::ClientIp),
            "request-id" => unnamed(KeySource::RequestId),
            _ => Err(KeySourceError::UnknownKind),
        }
    }
}

/// Why a text is no [`KeySource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySourceError {
    /// What stands before the colon is no kind of source.
    UnknownKind,
    /// The kind needs a name behind a colon.
    MissingName {
        /// How the kind is written.
        form: &'static str,
    },
    /// The kind stands alone.
    TakesNoName,
    /// Names of headers and cookies are tokens (RFC 9110 5.6.2, RFC 6265 4.1.1); this byte cannot be part of one.
    BadName {
        /// The first character that does not fit.
        found: char,
    },
    /// Segments are counted from 1.
    BadSegment,
}

impl fmt::Display for KeySourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySourceError::UnknownKind => {
                write!(f, "unknown kind of key; expected one of `{}`", KeySource::FORMS.join("`, `"))
            }
            KeySourceError::MissingName { form } => write!(f, "expected `{form}`"),
            KeySourceError::TakesNoName => {
                f.write_str("`client-ip` and `request-id` stand alone, without `:`")
            }
            KeySourceError::BadName { found } => write!(f, "{found:?} cannot be part of this name"),
            KeySourceError::BadSegment => {
                f.write_str("expected the number of a path segment, counted from 1, such as `path:2`")
            }
        }
    }
}

impl Error for KeySourceError {}

fn checked_token(name: &str) -> Result<&str, KeySourceError> {
    let is_token = |letter: char| {
        letter.is_ascii_alphanumeric()
            || matches!(letter, '!' | '#'..='\'' | '*' | '+' | '-' | '.' | '^'..='`' | '|' | '~')
    };
    match name.chars().find(|letter| !is_token(*letter)) {
        Some(found) => Err(KeySourceError::BadName { found }),
        None => Ok(name),
    }
}

fn checked_text(name: &str) -> Result<&str, KeySourceError> {
    match name.chars().find(|letter| letter.is_control()) {
        Some(found) => Err(KeySourceError::BadName { found }),
        None => Ok(name),
    }
}

fn segment_number(text: &str) -> Result<usize, KeySourceError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_plain && *number > 0);
    number.ok_or(KeySourceError::BadSegment)
}

fn cookie<'a>(view: &'a (impl RequestView + ?Sized), name: &[u8]) -> Option<&'a [u8]> {
    let fields = (0..).map_while(|nth| view.header("cookie", nth));
    fields.flat_map(|field| field.split(|byte| *byte == b';')).find_map(|pair| {
        let (pair_name, value) = split_once(pair, b'=')?;
        (trim_space(pair_name) == name).then(|| trim_space(value))
    })
}

fn segment(path: &[u8], number: usize) -> Option<&[u8]> {
    let mut segments = path.strip_prefix(b"/")?.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    segments.nth(number.checked_sub(1)?)
}

/// Without optional white space on either side (RFC 9110 5.6.3).
fn trim_space(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests;
