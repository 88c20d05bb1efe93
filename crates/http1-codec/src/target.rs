//! The four forms of a request target (RFC 9112 section 3.2).

use crate::authority::check_authority;
use crate::chars::{is_path_byte, is_query_byte};
use crate::{Reason, Span};

/// A request target, taken apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target {
    /// The authority of an absolute-form target.
    pub(crate) authority: Option<Span>,
    /// Path and query; `*` for the asterisk-form. An absolute-form target may leave the path out.
    pub(crate) path_and_query: Span,
}

/// Takes the target at `span` apart. Does not know the authority-form: that belongs to CONNECT, which is
/// refused.
pub(crate) fn read_target(buf: &[u8], span: Span, method: &[u8]) -> Result<Target, Reason> {
    let target = span.of(buf);
    match target {
        [] => Err(Reason::BadRequestLine),
        [b'/', ..] => {
            check_path_and_query(target)?;
            Ok(Target { authority: None, path_and_query: span })
        }
        b"*" if method == b"OPTIONS" => Ok(Target { authority: None, path_and_query: span }),
        _ => read_absolute(buf, span),
    }
}

fn read_absolute(buf: &[u8], span: Span) -> Result<Target, Reason> {
    let target = span.of(buf);
    let Some(colon) = target.windows(3).position(|three| three == b"://") else {
        return Err(if target.contains(&b'\r') { Reason::BareCr } else { Reason::BadTarget });
    };
    let scheme = target.get(..colon).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(Reason::BadScheme);
    }
    let from = colon + "://".len();
    let rest = target.get(from..).unwrap_or_default();
    let path = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at_checked(path).ok_or(Reason::BadTarget)?;
    check_authority(authority)?;
    check_path_and_query(path_and_query)?;
    let start = span.start as usize + from;
    Ok(Target {
        authority: Some(Span::new(start, start + path)),
        path_and_query: Span::new(start + path, span.end as usize),
    })
}

/// Checks what follows the authority: nothing, or a path, a query or both.
fn check_path_and_query(bytes: &[u8]) -> Result<(), Reason> {
    let Some(end) = bytes.iter().position(|&byte| !is_path_byte(byte)) else { return Ok(()) };
    let bad = match bytes.get(end..) {
        Some([b'?', query @ ..]) => query.iter().find(|&&byte| !is_query_byte(byte)),
        rest => rest.and_then(<[u8]>::first),
    };
    match bad {
        None => Ok(()),
        Some(b'\r') => Err(Reason::BareCr),
        Some(_) => Err(Reason::BadTarget),
    }
}
