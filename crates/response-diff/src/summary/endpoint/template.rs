//! Templates of paths that an operator has written: `/orders/{id}`.

use std::error::Error;
use std::fmt;

/// Paths that are one endpoint, in the spelling of a migration's `match`: `/orders/{id}`, `/files/*`.
///
/// `{name}` is any one segment that is not empty; `*`, alone at the end, is nothing, a slash, or everything below.
/// Segments are compared after percent-decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    // In the order of how much they say: the order of templates follows from it.
    Literal(Vec<u8>),
    Param,
    Rest,
}

/// Why a text is no [`Template`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// More than 64 segments.
    TooManySegments,
    /// Braces that are not `{name}`, alone between two slashes.
    BadParam,
    /// `*` stands elsewhere than alone at the end.
    MisplacedStar,
}

const MAX_SEGMENTS: usize = 64;

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::NotAbsolute => f.write_str("a path begins with `/`, as in `/orders/{id}`"),
            TemplateError::TooManySegments => write!(f, "a path has at most {MAX_SEGMENTS} segments"),
            TemplateError::BadParam => {
                f.write_str("expected `{name}` alone between slashes; a brace itself is `%7B` or `%7D`")
            }
            TemplateError::MisplacedStar => {
                f.write_str("`*` stands only alone at the end, as in `/files/*`; a star itself is `%2A`")
            }
        }
    }
}

impl Error for TemplateError {}

impl Template {
    /// Whether both are for the same paths, whatever their parameters are called.
    #[must_use]
    pub fn is_for_paths_of(&self, other: &Template) -> bool {
        self.segments == other.segments
    }

    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] says why the text is none.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let below_root = text.strip_prefix('/').ok_or(TemplateError::NotAbsolute)?;
        let count = below_root.split('/').count();
        if count > MAX_SEGMENTS {
            return Err(TemplateError::TooManySegments);
        }
        let read = |(index, segment): (usize, &str)| match segment {
            "*" if index + 1 == count => Ok(Segment::Rest),
            _ if segment.contains('*') => Err(TemplateError::MisplacedStar),
            _ if segment.contains(['{', '}']) => {
                let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
                let named = name.is_some_and(|name| !name.is_empty() && !name.contains(['{', '}']));
                if named { Ok(Segment::Param) } else { Err(TemplateError::BadParam) }
            }
            _ => Ok(Segment::Literal(decoded(segment))),
        };
        let segments = below_root.split('/').enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Template { text: text.to_owned(), segments })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this path, without its query, is one of the template's.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
        for segment in &self.segments {
            match (segment, parts.next()) {
                (Segment::Rest, _) => return true,
                (Segment::Param, Some(part)) if !part.is_empty() => {}
                (Segment::Literal(text), Some(part)) if decoded(part) == *text => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }

    /// A key by which the template that says the most comes first.
    pub(crate) fn rank(&self) -> impl Ord + use<'_> {
        &self.segments
    }
}

fn decoded(segment: &str) -> Vec<u8> {
    let bytes = segment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = (byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let value = escape.and_then(|hex| Some(hex_digit(hex[0])? << 4 | hex_digit(hex[1])?));
        out.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_as_a_migrations_paths_do() {
        for (template, path, expected) in [
            ("/orders/{id}", "/orders/42", true),
            ("/orders/{id}", "/orders/a%2Fb", true),
            ("/orders/{id}", "/orders/", false),
            ("/orders/{id}", "/orders", false),
            ("/orders/{id}", "/orders/42/", false),
            ("/orders/{id}", "/orders/42/items", false),
            ("/orders/{id}/items", "/orders/42/items", true),
            ("/caf%C3%A9", "/caf%c3%a9", true),
            ("/a%zz", "/a%zz", true),
            ("/a%+f", "/a%0f", false),
            ("/", "/", true),
            ("/", "/x", false),
            ("/files/*", "/files", true),
            ("/files/*", "/files/", true),
            ("/files/*", "/files/a/b", true),
            ("/files/*", "/filesystem", false),
            ("/*", "/", true),
        ] {
            assert_eq!(Template::parse(template).unwrap().matches(path), expected, "{template} {path}");
        }
    }

    #[test]
    fn what_is_no_template_is_said() {
        for (text, expected) in [
            ("orders", TemplateError::NotAbsolute),
            ("/orders/{}", TemplateError::BadParam),
            ("/orders/{id}x", TemplateError::BadParam),
            ("/orders/{{id}}", TemplateError::BadParam),
            ("/*/orders", TemplateError::MisplacedStar),
            ("/ord*", TemplateError::MisplacedStar),
            (&"/x".repeat(65), TemplateError::TooManySegments),
        ] {
            assert_eq!(Template::parse(text), Err(expected), "{text}");
            assert!(!expected.to_string().is_empty());
        }
    }
}
