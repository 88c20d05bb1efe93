//! Which fields and cookies a rule is for.

use super::{Glob, Section};

/// The field whose parts have places of their own.
const COOKIES: &str = "set-cookie";

/// `header:x-*`, `trailer:grpc-message`, `header:set-cookie:session`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldPlace {
    section: Section,
    field: Glob,
    /// Only cookies of such a name. Unlike those of fields, their names have case (RFC 6265 section 5.3).
    cookie: Option<Glob>,
}

impl FieldPlace {
    /// Reads a place; `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<FieldPlace> {
        let (section, name) = [Section::Header, Section::Trailer]
            .into_iter()
            .find_map(|section| text.strip_prefix(section.prefix()).map(|name| (section, name)))?;
        let (field, cookie) = match name.split_once(':') {
            Some((field, cookie)) if field.eq_ignore_ascii_case(COOKIES) && is_name(cookie) => {
                (field, Some(Glob::of_case(cookie)))
            }
            Some(_) => return None,
            None => (name, None),
        };
        is_name(field).then(|| FieldPlace { section, field: Glob::new(field), cookie })
    }

    /// Whether it is for all of a field, its name in lower case.
    pub(super) fn has_field(&self, section: Section, name: &str) -> bool {
        self.section == section && self.cookie.is_none() && self.field.fits(name)
    }

    /// Whether it is for a cookie, by itself or with all others.
    pub(super) fn has_cookie(&self, section: Section, name: &str) -> bool {
        let is_named = self.cookie.as_ref().is_none_or(|cookie| cookie.fits(name));
        self.section == section && self.field.fits(COOKIES) && is_named
    }

    /// Whether it is for what is called `header:location` or `header:set-cookie:session`.
    pub(crate) fn has(&self, place: &str) -> bool {
        let Some(name) = place.strip_prefix(self.section.prefix()) else { return false };
        match name.split_once(':') {
            Some((_, cookie)) => self.has_cookie(self.section, cookie),
            None => self.has_field(self.section, name),
        }
    }
}

/// A token (RFC 9110 section 5.6.2), which may have stars in it anyway.
pub(crate) fn is_name(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::FieldPlace;

    #[test]
    fn fields_have_no_case_and_cookies_do() {
        for (rule, place, expected) in [
            ("header:X-A", "header:x-a", true),
            ("header:x-*", "header:x-a", true),
            ("header:x-a", "trailer:x-a", false),
            ("header:x-a", "body", false),
            ("header:Set-Cookie:V", "header:set-cookie:V", true),
            ("header:set-cookie:V", "header:set-cookie:v", false),
            ("header:set-cookie:s*", "header:set-cookie:sid", true),
            ("header:set-cookie:s*", "header:set-cookie:s:id", true),
            ("header:set-cookie:sid", "header:set-cookie", false),
            ("header:set-cookie", "header:set-cookie:sid", true),
            ("header:*", "header:set-cookie:sid", true),
            ("header:x-*", "header:set-cookie:x-a", false),
            ("trailer:*", "header:set-cookie:sid", false),
        ] {
            assert_eq!(FieldPlace::parse(rule).map(|read| read.has(place)), Some(expected), "{rule} {place}");
        }
        for text in ["x-a", "header:", "header:a b", "header:x:y", "header:set-cookie:", "$.header:a"] {
            assert_eq!(FieldPlace::parse(text), None, "{text}");
        }
    }
}
