//! What is changed in the heads of one arm's or route's messages, beside what every proxy has to change.

use crate::pattern::Decoded;

/// Changes to the heads of requests to one upstream, and of its answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The prefix of the path that is replaced.
    pub path_prefix: Option<PathPrefix>,
    /// What the upstream is asked as `Host`.
    pub host: HostRule,
    /// Whether `Location` in answers is led back to what the client knows: the upstream's own authority becomes the
    /// client's, the prefix that was put in is taken out.
    pub location: bool,
    /// Changes to the fields of requests.
    pub request_headers: HeaderRules,
    /// Changes to the fields of answers.
    pub response_headers: HeaderRules,
}

impl Rules {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Rules { path_prefix, host, location, request_headers, response_headers } = self;
        path_prefix.is_none()
            && *host == HostRule::Client
            && !location
            && request_headers.is_empty()
            && response_headers.is_empty()
    }
}

/// A prefix of paths, and what takes its place. Both begin with `/` and end without one; the root is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix {
    /// What the path must begin with, up to the border of a segment.
    pub from: String,
    /// What takes its place.
    pub to: String,
}

impl PathPrefix {
    /// Appends `path`, in normal form, with `to` in the place of `from`. `false`, and nothing is appended, when the path
    /// is neither `from` nor below it.
    ///
    /// What begins with `from` is decided as the route table decides what `from/*` matches: segment by segment, each
    /// decoded, and any number of slashes counts as one. Else a client could get around the change by its spelling,
    /// `//v1/x` or `/%C3%A9` for a raw byte, and reach what lies outside of `to`. Behind the prefix all stays as it is,
    /// but for one thing: where `to` is the root, several slashes that would come to stand first become one, since many
    /// take a path that begins with `//` for a host (RFC 3986 section 4.2).
    #[must_use]
    pub fn rewrite(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        replace(&self.from, &self.to, path, out)
    }

    /// The way back: appends `path` with `from` in the place of `to`, by the same rules.
    #[must_use]
    pub fn restore(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        replace(&self.to, &self.from, path, out)
    }
}

fn replace(from: &str, to: &str, path: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(rest) = behind(path, from) else { return false };
    out.extend_from_slice(to.as_bytes());
    if !to.is_empty() {
        out.extend_from_slice(rest);
        return true;
    }
    let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
    out.push(b'/');
    out.extend_from_slice(rest.get(slashes..).unwrap_or_default());
    true
}

/// What follows the prefix in the path, from its slash on; `None` when the path is neither the prefix nor below it.
fn behind<'a>(path: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    if !path.starts_with(b"/") {
        // `*` of `OPTIONS *`, which is no path.
        return None;
    }
    let mut rest = path;
    for wanted in prefix.as_bytes().split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()) {
        let start = rest.iter().position(|byte| *byte != b'/')?;
        let below = rest.get(start..)?;
        let end = below.iter().position(|byte| *byte == b'/').unwrap_or(below.len());
        let (segment, behind) = below.split_at_checked(end)?;
        if !Decoded(segment).eq(Decoded(wanted)) {
            return None;
        }
        rest = behind;
    }
    Some(rest)
}

/// What an upstream is asked as `Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostRule {
    /// What the client asked for.
    #[default]
    Client,
    /// The endpoint's own host and port.
    Endpoint,
    /// This.
    Fixed(String),
}

/// Changes to fields: first those to remove go, then those to set replace all of their name, then others are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Names of fields to remove, in lower case.
    pub remove: Vec<String>,
    /// Fields that replace all of their name, names as they are to be written.
    pub set: Vec<(String, String)>,
    /// Fields to add beside those of their name.
    pub add: Vec<(String, String)>,
}

impl HeaderRules {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Whether a field of this name gives way, because it is removed or another takes its place. Letter case makes no
    /// difference, nor does `_` for `-`: many application servers cannot tell those two apart, so a client could bring
    /// back what is to be removed.
    #[must_use]
    pub fn replaces(&self, name: &[u8]) -> bool {
        let set = self.set.iter().map(|(name, _)| name);
        self.remove.iter().chain(set).any(|known| is_same_name(known.as_bytes(), name))
    }

    /// The fields that are written, in their order.
    pub fn written(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().chain(&self.add).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Whether two names are one to servers that cannot tell `_` from `-`. Letter case makes no difference.
pub(crate) fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(plain).eq(other.iter().map(plain))
}

#[cfg(test)]
mod tests;
