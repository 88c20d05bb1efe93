//! Header and trailer fields.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;

use crate::answer::Field;
use crate::charset;

use super::pass::Pass;

/// Whether fields are headers or trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Headers,
    Trailers,
}

impl Pass<'_> {
    /// `name: value` and a line's end.
    pub(super) fn field(&mut self, section: Section, field: &Field<'_>) -> String {
        let name = shown(field.name).to_ascii_lowercase();
        let value = self.field_value(section, &name, &shown(field.value));
        format!("{name}: {value}\n")
    }

    /// The value of a field. `name` is in lower case.
    pub(super) fn field_value(&mut self, section: Section, name: &str, value: &str) -> String {
        let rules = match section {
            Section::Headers => &self.redactor.headers,
            Section::Trailers => &self.redactor.trailers,
        };
        if rules.iter().any(|rule| rule == name) {
            return self.hide(value);
        }
        match name {
            "set-cookie" => self.set_cookie(value),
            "cookie" => {
                let pairs: Vec<_> = value.split(';').map(|pair| self.cookie(pair)).collect();
                pairs.join(";")
            }
            "authorization" | "proxy-authorization" => self.credentials(value),
            "www-authenticate" | "proxy-authenticate" => self.free(value),
            _ if self.is_secret(name) => self.hide(value),
            _ => self.free(value),
        }
    }

    /// RFC 9110 section 11.4: a scheme, and what is secret.
    fn credentials(&mut self, value: &str) -> String {
        match value.split_once(' ') {
            Some((scheme, rest))
                if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
            {
                if scheme.eq_ignore_ascii_case("basic") {
                    self.basic(rest.trim());
                }
                format!("{scheme} {}", self.hide(rest.trim()))
            }
            _ => self.hide(value),
        }
    }

    /// Takes note of the password in it (RFC 7617 section 2).
    fn basic(&mut self, coded: &str) {
        let Some(found) = &mut self.found else { return };
        let Ok(plain) = BASE64.decode(coded) else { return };
        let plain = String::from_utf8_lossy(&plain);
        if let Some((_, password)) = plain.split_once(':') {
            found.add(&plain);
            found.add(password);
        }
    }

    fn set_cookie(&mut self, value: &str) -> String {
        match value.split_once(';') {
            Some((pair, attributes)) => format!("{};{}", self.cookie(pair), self.free(attributes)),
            None => self.cookie(value),
        }
    }

    fn cookie(&mut self, pair: &str) -> String {
        match pair.split_once('=') {
            Some((name, value)) => format!("{name}={}", self.hide(value.trim())),
            None => self.hide(pair.trim()),
        }
    }

    /// What a difference shows of a field: its value, or of a cookie the value, the whole, or an attribute of it.
    pub(super) fn field_shown(&mut self, section: Section, name: &str, at: &str, text: &str) -> String {
        let Some((header, cookie)) = name.split_once(':') else {
            return self.field_value(section, name, text);
        };
        if header != "set-cookie" {
            return self.field_value(section, header, text);
        }
        if at.contains(';') {
            return self.free(text);
        }
        let is_whole = text.strip_prefix(cookie).is_some_and(|rest| rest.starts_with('='));
        if is_whole { self.set_cookie(text) } else { self.hide(text) }
    }
}

/// Text as far as it is, else a character for each byte.
fn shown(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| charset::byte_by_byte(bytes), Cow::Borrowed)
}
