//! What a rule may say about host and path.

use std::error::Error;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::path::{PathError, Shape, hex_digit};

/// Hosts that a rule answers for. Letter case, port and a trailing dot make no difference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host, in lower case: a name, an IPv4 literal or an IPv6 literal in brackets.
    Exact(String),
    /// Every host with one or more labels in front of this suffix: `*.example.com` is kept as `example.com`.
    Wildcard(String),
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    /// Reads `shop.example.com`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]`, each with an optional port, which is
    /// ignored since a listener has one anyway.
    ///
    /// # Errors
    /// [`HostPatternError`] says why the text is no host.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host = without_port(text)?.to_ascii_lowercase();
        if host.starts_with('[') {
            let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let is_v6 = literal.is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok());
            return if is_v6 { Ok(HostPattern::Exact(host)) } else { Err(HostPatternError::BadAddress) };
        }
        let host = host.strip_suffix('.').unwrap_or(&host);
        match host.strip_prefix("*.") {
            Some(suffix) => checked_name(suffix).map(|suffix| HostPattern::Wildcard(suffix.to_owned())),
            None => checked_name(host).map(|host| HostPattern::Exact(host.to_owned())),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => f.write_str(host),
            HostPattern::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

/// Why a text is no [`HostPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPatternError {
    /// There is nothing, or nothing between two dots.
    EmptyLabel,
    /// `*` stands elsewhere than alone in front.
    MisplacedStar,
    /// A character that no host name holds.
    BadCharacter(char),
    /// What stands in brackets is no IPv6 address.
    BadAddress,
    /// What follows the colon is no port.
    BadPort,
}

impl fmt::Display for HostPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPatternError::EmptyLabel => f.write_str("expected a host such as `shop.example.com`"),
            HostPatternError::MisplacedStar => f.write_str(
                "`*` stands only in front, as in `*.example.com`; for every host leave `host` out",
            ),
            HostPatternError::BadCharacter(found) if !found.is_ascii() => {
                write!(f, "{found:?} cannot be part of a host as sent; write it in its `xn--` form")
            }
            HostPatternError::BadCharacter(found) => write!(f, "{found:?} cannot be part of a host"),
            HostPatternError::BadAddress => {
                f.write_str("expected an IPv6 address in the brackets, such as `[2001:db8::1]`")
            }
            HostPatternError::BadPort => f.write_str("expected a port number after `:`"),
        }
    }
}

impl Error for HostPatternError {}

/// The route table is as deep as its deepest pattern, and is walked by recursion.
const MAX_SEGMENTS: usize = 64;

/// Paths that a rule answers for. Segments are compared after percent-decoding, and `//` counts as one `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// `/*`: every path, and `*` of `OPTIONS *`.
    #[default]
    Any,
    /// `/checkout`: this path and no other; `/checkout/` is another.
    Exact(String),
    /// `/checkout/*`, kept as `/checkout`: this path with or without a slash behind, and everything below. Only at the
    /// borders of segments: not `/checkouts`.
    Prefix(String),
    /// `/users/{id}/orders`: some segments may be anything, but not empty.
    Segments(Vec<Segment>),
}

/// One segment of [`PathPattern::Segments`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text. An empty one, in the last place only, is a slash at the end.
    Literal(String),
    /// `{name}`: any one segment that is not empty. The name is for readers.
    Param(String),
    /// `*`, in the last place only: nothing, a slash, or everything below.
    Rest,
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    /// Reads the spellings that the variants show.
    ///
    /// # Errors
    /// [`PathPatternError`] says why the text is no pattern, or one that could never match.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "/*" {
            return Ok(PathPattern::Any);
        }
        let below_root = text.strip_prefix('/').ok_or(PathPatternError::NotAbsolute)?;
        if text == "/" {
            return Ok(PathPattern::Exact(text.to_owned()));
        }
        let count = below_root.split('/').count();
        if count > MAX_SEGMENTS {
            return Err(PathPatternError::TooManySegments);
        }
        let is_last = |index: usize| index + 1 == count;
        let segments = below_root.split('/').enumerate().map(|(index, text)| segment(text, is_last(index)));
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        Ok(if segments.iter().any(|segment| matches!(segment, Segment::Param(_))) {
            PathPattern::Segments(segments)
        } else if let Some(prefix) = text.strip_suffix("/*") {
            PathPattern::Prefix(prefix.to_owned())
        } else {
            PathPattern::Exact(text.to_owned())
        })
    }
}

impl fmt::Display for PathPattern {
    /// As configuration writes it; reading it gives the same pattern.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathPattern::Any => f.write_str("/*"),
            PathPattern::Exact(path) => f.write_str(path),
            PathPattern::Prefix(path) => write!(f, "{path}/*"),
            PathPattern::Segments(segments) => segments.iter().try_for_each(|segment| match segment {
                Segment::Literal(text) => write!(f, "/{text}"),
                Segment::Param(name) => write!(f, "/{{{name}}}"),
                Segment::Rest => f.write_str("/*"),
            }),
        }
    }
}

/// Why a text is no [`PathPattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPatternError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// More than 64 segments.
    TooManySegments,
    /// Two slashes follow each other.
    EmptySegment,
    /// `*` stands elsewhere than alone at the end.
    MisplacedStar,
    /// Braces that are not `{name}`, alone between two slashes.
    BadParam,
    /// `.` or `..`, which no normalised path holds.
    DotSegment,
    /// What no path may hold.
    BadPath(PathError),
}

impl fmt::Display for PathPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathPatternError::NotAbsolute => f.write_str("a path begins with `/`; every path is `/*`"),
            PathPatternError::TooManySegments => {
                write!(f, "a path pattern has at most {MAX_SEGMENTS} segments")
            }
            PathPatternError::EmptySegment => {
                f.write_str("`//` never matches: slashes are merged before paths are compared")
            }
            PathPatternError::MisplacedStar => {
                f.write_str("`*` stands only alone at the end, as in `/checkout/*`; a star itself is `%2A`")
            }
            PathPatternError::BadParam => {
                f.write_str("expected `{name}` alone between slashes; a brace itself is `%7B` or `%7D`")
            }
            PathPatternError::DotSegment => {
                f.write_str("`.` and `..` never match: they are resolved before paths are compared")
            }
            PathPatternError::BadPath(PathError::ForbiddenByte(b'?')) => {
                f.write_str("a path holds no `?`; conditions on the query have their own place")
            }
            PathPatternError::BadPath(error) => error.fmt(f),
        }
    }
}

impl Error for PathPatternError {}

/// A path pattern as the route table walks it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Steps {
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
}

/// What one segment must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// These bytes, after decoding.
    Literal(Box<[u8]>),
    Any,
}

/// What must follow the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Nothing,
    Slash,
    Whatever,
}

impl PathPattern {
    pub(crate) fn steps(&self) -> Steps {
        let literals = |path: &str| {
            let segments = path.split('/').filter(|segment| !segment.is_empty());
            segments.map(Step::literal).collect()
        };
        match self {
            PathPattern::Any => Steps { steps: Vec::new(), end: End::Whatever },
            PathPattern::Prefix(path) => Steps { steps: literals(path), end: End::Whatever },
            PathPattern::Exact(path) => {
                let end = if path.ends_with('/') { End::Slash } else { End::Nothing };
                Steps { steps: literals(path), end }
            }
            PathPattern::Segments(segments) => {
                let mut steps = Steps { steps: Vec::new(), end: End::Nothing };
                for segment in segments {
                    match segment {
                        Segment::Literal(text) if text.is_empty() => steps.end = End::Slash,
                        Segment::Literal(text) => steps.steps.push(Step::literal(text)),
                        Segment::Param(_) => steps.steps.push(Step::Any),
                        Segment::Rest => steps.end = End::Whatever,
                    }
                }
                steps
            }
        }
    }
}

impl Step {
    fn literal(text: &str) -> Self {
        Step::Literal(Decoded(text.as_bytes()).collect())
    }
}

/// The bytes that a segment stands for; a `%` without two hex digits stands for itself.
pub(crate) struct Decoded<'a>(pub(crate) &'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            self.0 = rest;
            return Some(high << 4 | low);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

fn without_port(text: &str) -> Result<&str, HostPatternError> {
    let port_at = match text.rfind(']') {
        Some(bracket) => text.get(bracket..).and_then(|rest| rest.find(':')).map(|colon| bracket + colon),
        None => text.find(':'),
    };
    let Some((host, port)) = port_at.and_then(|at| text.split_at_checked(at)) else { return Ok(text) };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_port = digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    if is_port { Ok(host) } else { Err(HostPatternError::BadPort) }
}

fn checked_name(name: &str) -> Result<&str, HostPatternError> {
    for letter in name.chars() {
        match letter {
            '*' => return Err(HostPatternError::MisplacedStar),
            '-' | '_' | '.' => {}
            _ if letter.is_ascii_alphanumeric() => {}
            _ => return Err(HostPatternError::BadCharacter(letter)),
        }
    }
    if name.split('.').any(str::is_empty) { Err(HostPatternError::EmptyLabel) } else { Ok(name) }
}

fn segment(text: &str, is_last: bool) -> Result<Segment, PathPatternError> {
    match text {
        "" if is_last => return Ok(Segment::Literal(String::new())),
        "" => return Err(PathPatternError::EmptySegment),
        "*" if is_last => return Ok(Segment::Rest),
        _ if text.contains('*') => return Err(PathPatternError::MisplacedStar),
        _ => {}
    }
    if text.contains(['{', '}']) {
        let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let is_name = |name: &&str| {
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
            !name.is_empty() && name.chars().all(is_part)
        };
        let name = name.filter(is_name).ok_or(PathPatternError::BadParam)?;
        return Ok(Segment::Param(name.to_owned()));
    }
    match Shape::of(text.as_bytes()).map_err(PathPatternError::BadPath)? {
        Shape::Dot | Shape::DotDot => Err(PathPatternError::DotSegment),
        Shape::Normal | Shape::Reencode => Ok(Segment::Literal(text.to_owned())),
    }
}

#[cfg(test)]
mod tests;
