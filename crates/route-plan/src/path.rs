//! One spelling for each path, so that what is matched is what the backend is asked for.
//!
//! `/checkout/pay`, `/x/../checkout/pay` and `/%63heckout/pay` are one path to most backends. If the route table saw
//! three, a client could choose its route, and with it its arm, by spelling. So the path is brought into the normal
//! form of RFC 3986 section 6.2.2 first; the normal form is matched *and forwarded*, and backend and proxy cannot read
//! it differently. Paths that are in normal form already, nearly all, are borrowed and forwarded byte for byte.
//!
//! | in the path | what happens | because |
//! |---|---|---|
//! | `.` and `..` segments, also as `%2e` in either case | resolved (RFC 3986 section 5.2.4) | a backend would |
//! | `..` above the root | refused | servers disagree about what it means, and no client sends it |
//! | encoded unreserved characters (`%41`, `%7E`) | decoded | the two spellings are equivalent (section 2.3) |
//! | lower-case hex (`%c3`) | upper-cased | likewise (section 6.2.2.1) |
//! | other encoded bytes | kept | decoding would change the meaning |
//! | `%2F`, `%5C` | kept encoded, never a separator | they are data in a segment, and old systems live on that |
//! | `\` | kept, an ordinary byte | likewise |
//! | `//` | kept and forwarded, but *matched* as one `/` | an old system may tell them apart, so its users must get what they asked for; but `//admin` must not slip past a rule for `/admin` |
//! | `..` or `.` beside `%2F`, `%5C`, `\` or `;` in one segment (`..%2f`, `..;x`, `a\..\b`) | refused | some servers climb there and others do not; no honest client sends it |
//! | `%00`, `%` without two hex digits | refused | servers cut or guess |
//! | control characters, space, DEL, `?`, `#` | refused | they cannot be part of a path |
//!
//! Other bytes from 0x80 on are kept; the route table compares decoded bytes, so they match their encoded spelling.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// The normal form of a raw path (without query): see the [module](self). Borrows when nothing changes, without
/// taking apart paths that hold neither `%`, `\` nor a segment that begins with a dot.
///
/// `*` (RFC 9112 section 3.2.4) is its own normal form, the empty path's is `/` (RFC 9110 section 4.2.3).
///
/// # Errors
/// [`PathError`] when servers could disagree about what is meant: answer 400.
pub fn normalise_path(raw: &[u8]) -> Result<Cow<'_, [u8]>, PathError> {
    let Some(below_root) = raw.strip_prefix(b"/") else {
        return match raw {
            b"*" => Ok(Cow::Borrowed(raw)),
            b"" => Ok(Cow::Borrowed(b"/")),
            _ => Err(PathError::NotAbsolute),
        };
    };
    if is_plain(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut is_normal = true;
    for segment in segments(below_root) {
        is_normal &= Shape::of(segment)? == Shape::Normal;
    }
    if is_normal { Ok(Cow::Borrowed(raw)) } else { rewrite(below_root).map(Cow::Owned) }
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A byte that cannot be part of a path.
    ForbiddenByte(u8),
    /// A `%` without two hex digits.
    MalformedPercent,
    /// An encoded NUL.
    Nul,
    /// `..` above the root.
    AboveRoot,
    /// A dot segment that only some servers would see.
    HiddenDotSegment,
}

impl PathError {
    /// A stable word for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            PathError::NotAbsolute => "path-not-absolute",
            PathError::ForbiddenByte(_) => "path-forbidden-byte",
            PathError::MalformedPercent => "path-malformed-percent",
            PathError::Nul => "path-nul",
            PathError::AboveRoot => "path-above-root",
            PathError::HiddenDotSegment => "path-hidden-dot-segment",
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::NotAbsolute => f.write_str("the path does not begin with `/`"),
            PathError::ForbiddenByte(byte) => write!(f, "byte 0x{byte:02x} cannot be part of a path"),
            PathError::MalformedPercent => f.write_str("the path holds a `%` without two hex digits"),
            PathError::Nul => f.write_str("the path holds an encoded NUL"),
            PathError::AboveRoot => f.write_str("the path climbs above the root"),
            PathError::HiddenDotSegment => {
                f.write_str("the path hides a `.` or `..` beside an encoded slash, a backslash or a `;`")
            }
        }
    }
}

impl Error for PathError {}

/// What a segment needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing: it is in normal form.
    Normal,
    /// Another encoding of some bytes.
    Reencode,
    /// It is `.` in some spelling.
    Dot,
    /// It is `..` in some spelling.
    DotDot,
}

impl Shape {
    /// Looks at one segment the way that any server might: dots are also sought between what some take for separators.
    pub(crate) fn of(segment: &[u8]) -> Result<Self, PathError> {
        let mut shape = Shape::Normal;
        let mut part = DotPart::default();
        let mut is_split = false;
        for unit in Units(segment) {
            let unit = unit?;
            if !unit.is_normal() {
                shape = Shape::Reencode;
            }
            match unit.byte() {
                separator @ (b'/' | b'\\' | b';') => {
                    if part.dots().is_some() {
                        return Err(PathError::HiddenDotSegment);
                    }
                    is_split = true;
                    part = DotPart { dots: 0, is_other: separator == b';' };
                }
                b'.' => part.dots = part.dots.saturating_add(1),
                _ => part.is_other = true,
            }
        }
        match part.dots() {
            Some(_) if is_split => Err(PathError::HiddenDotSegment),
            Some(dots) => Ok(dots),
            None => Ok(shape),
        }
    }
}

/// What stands between two separators: dots only, or something else. What follows a `;` are parameters: something else.
#[derive(Default)]
struct DotPart {
    dots: u8,
    is_other: bool,
}

impl DotPart {
    fn dots(&self) -> Option<Shape> {
        match (self.is_other, self.dots) {
            (false, 1) => Some(Shape::Dot),
            (false, 2) => Some(Shape::DotDot),
            _ => None,
        }
    }
}

/// One byte of a path as it is written.
#[derive(Clone, Copy)]
enum Unit {
    Literal(u8),
    Encoded { byte: u8, is_upper_case: bool },
}

impl Unit {
    fn byte(self) -> u8 {
        match self {
            Unit::Literal(byte) | Unit::Encoded { byte, .. } => byte,
        }
    }

    fn is_normal(self) -> bool {
        match self {
            Unit::Literal(_) => true,
            Unit::Encoded { byte, is_upper_case } => is_upper_case && !is_unreserved(byte),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Unit::Encoded { byte, .. } if !is_unreserved(byte) => {
                out.extend([b'%', upper_hex(byte >> 4), upper_hex(byte & 15)]);
            }
            Unit::Literal(byte) | Unit::Encoded { byte, .. } => out.push(byte),
        }
    }
}

/// Reads a segment byte by byte; whoever meets an error stops.
struct Units<'a>(&'a [u8]);

impl Iterator for Units<'_> {
    type Item = Result<Unit, PathError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        if *first != b'%' {
            let is_forbidden = is_forbidden(*first);
            return Some(if is_forbidden {
                Err(PathError::ForbiddenByte(*first))
            } else {
                Ok(Unit::Literal(*first))
            });
        }
        let [high, low, rest @ ..] = rest else { return Some(Err(PathError::MalformedPercent)) };
        self.0 = rest;
        Some(match (hex_digit(*high), hex_digit(*low)) {
            (Some(0), Some(0)) => Err(PathError::Nul),
            (Some(upper), Some(lower)) => {
                let is_upper_case = !high.is_ascii_lowercase() && !low.is_ascii_lowercase();
                Ok(Unit::Encoded { byte: upper << 4 | lower, is_upper_case })
            }
            _ => Err(PathError::MalformedPercent),
        })
    }
}

/// Whether the path is in normal form at first sight: nothing encoded, no backslash, no segment that begins with a dot.
/// Looks at every byte instead of stopping at the first that is special, which lets the compiler take many at a time.
fn is_plain(path: &[u8]) -> bool {
    let is_special = |byte: u8| matches!(byte, b'%' | b'\\') | is_forbidden(byte);
    let has_special = path.iter().fold(false, |found, byte| found | is_special(*byte));
    let pairs = path.iter().zip(path.iter().skip(1));
    let has_dots = pairs.fold(false, |found, (byte, next)| found | ((*byte == b'/') & (*next == b'.')));
    !has_special && !has_dots
}

/// RFC 3986 section 5.2.4, on whole segments.
fn rewrite(below_root: &[u8]) -> Result<Vec<u8>, PathError> {
    // Normalising never lengthens.
    let mut out = Vec::with_capacity(below_root.len() + 1);
    let mut ends_in_slash = false;
    for segment in segments(below_root) {
        let shape = Shape::of(segment)?;
        ends_in_slash = matches!(shape, Shape::Dot | Shape::DotDot);
        match shape {
            Shape::Dot => {}
            Shape::DotDot => {
                let parent = out.iter().rposition(|byte| *byte == b'/').ok_or(PathError::AboveRoot)?;
                out.truncate(parent);
            }
            Shape::Normal | Shape::Reencode => {
                out.push(b'/');
                for unit in Units(segment) {
                    unit?.write(&mut out);
                }
            }
        }
    }
    if ends_in_slash {
        out.push(b'/');
    }
    Ok(out)
}

fn segments(below_root: &[u8]) -> impl Iterator<Item = &[u8]> {
    below_root.split(|byte| *byte == b'/')
}

fn is_forbidden(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | 0x7f | b'?' | b'#')
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn upper_hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'A' + digit - 10 }
}

pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
