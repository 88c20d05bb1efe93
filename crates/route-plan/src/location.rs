//! Leading the places that an upstream names back to what its client knows.
//!
//! An upstream that is asked under another host or another path than its client asked for answers with references to
//! itself that the client cannot use: `Location: http://10.0.0.11:8080/v2/cart`. Here such a reference becomes what the
//! client would have to ask for. A reference to anywhere else stays.

use crate::path::normalise_path;
use crate::rules::PathPrefix;

/// The names by which the two sides of one request know the same place.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownAs<'a> {
    /// The host and port of the endpoint that was asked.
    pub endpoint: &'a [u8],
    /// What it was asked as `Host`.
    pub host: &'a [u8],
    /// Scheme and authority that the client used: `http://shop.example`. Empty when it named no host (HTTP/1.0).
    pub origin: &'a [u8],
}

/// Writes into `out` what the client is told for the value of a `Location` or `Content-Location` field (RFC 9110
/// sections 10.2.2 and 8.7). `false`: the value stays, and `out` is empty.
///
/// - `http://` or `https://` with the endpoint's authority, or with the host that it was asked as, becomes the client's
///   scheme and authority. Hosts are compared in any letter case, ports with the scheme's own filled in (RFC 3986 section
///   6.2.3). One exception: `https://` before the very host that the client used stays, since that is how an upstream
///   sends clients to TLS, and leading them back would have them go round in circles.
/// - There, and in a reference that begins with one `/`, the prefix that was put into the path is taken out again. The
///   path is compared in its normal form; one that has none stays.
/// - Where the client named no host, what remains of an absolute reference is its path.
///
/// What would be read as another host than it was before is never written: `//x`, or `/\x`, which browsers take for it.
#[must_use]
pub fn lead_back(
    value: &[u8],
    prefix: Option<&PathPrefix>,
    known_as: KnownAs<'_>,
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    let rest = match Absolute::read(value) {
        Some(absolute) if absolute.is_upstream(known_as) => {
            let is_meant = absolute.is_https && absolute.is_at(authority_of(known_as.origin));
            out.extend_from_slice(if is_meant { absolute.origin } else { known_as.origin });
            absolute.rest
        }
        None if value.starts_with(b"/") && !reads_as_host(value) => value,
        _ => return false,
    };
    let path_end = rest.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(rest.len());
    let (path, behind) = rest.split_at_checked(path_end).unwrap_or((rest, b""));
    let path = if path.is_empty() { b"/" } else { path };
    let restored =
        prefix.zip(normalise_path(path).ok()).is_some_and(|(prefix, normal)| prefix.restore(&normal, out));
    if !restored {
        out.extend_from_slice(path);
    }
    out.extend_from_slice(behind);
    let is_changed = out != value && !reads_as_host(out);
    if !is_changed {
        out.clear();
    }
    is_changed
}

/// Whether a reference that begins with a slash names a host all the same (RFC 3986 section 4.2). Browsers take a
/// backslash for a slash, and tabs for nothing at all.
fn reads_as_host(reference: &[u8]) -> bool {
    matches!(reference, [b'/', b'/' | b'\\' | b'\t', ..])
}

/// A reference with `http` or `https` and an authority, taken apart.
struct Absolute<'a> {
    is_https: bool,
    /// Scheme and authority.
    origin: &'a [u8],
    authority: &'a [u8],
    /// Path, query and fragment.
    rest: &'a [u8],
}

impl<'a> Absolute<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
            value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })?;
        let behind = value.get(scheme.len()..)?;
        // What else could end an authority for some reader (`\`, `@`) becomes part of it, and then it is no known one.
        let length =
            behind.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(behind.len());
        let (authority, rest) = behind.split_at_checked(length)?;
        let origin = value.get(..scheme.len() + length)?;
        Some(Absolute { is_https: scheme.len() == b"https://".len(), origin, authority, rest })
    }

    fn is_upstream(&self, known_as: KnownAs<'_>) -> bool {
        self.is_at(known_as.endpoint) || self.is_at(known_as.host)
    }

    fn is_at(&self, authority: &[u8]) -> bool {
        let own_port: &[u8] = if self.is_https { b"443" } else { b"80" };
        let [(host, port), (other, other_port)] = [self.authority, authority].map(host_and_port);
        !host.is_empty()
            && host.eq_ignore_ascii_case(other)
            && port.unwrap_or(own_port) == other_port.unwrap_or(own_port)
    }
}

/// What follows the scheme.
fn authority_of(origin: &[u8]) -> &[u8] {
    let at = origin.windows(3).position(|three| three == b"://").map_or(0, |at| at + 3);
    origin.get(at..).unwrap_or_default()
}

/// An IPv6 literal keeps its brackets; an empty port is none (RFC 3986 section 3.2.3).
fn host_and_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let colon = authority.iter().rposition(|byte| matches!(byte, b':' | b']'));
    match colon.and_then(|at| authority.split_at_checked(at)) {
        Some((host, [b':', port @ ..])) => (host, Some(port).filter(|port| !port.is_empty())),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests;
