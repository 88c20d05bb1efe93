//! What identifies a user.

use route_plan::{AssignCookie, key_list};
use traffic_split::KeySource;

use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::nearest::{nearest, one_of};
use crate::written::{Said, Table};

/// The kinds of sources, as far as the colon.
const KINDS: &[&str] = &["header", "cookie", "query", "path", "jwt", "client-ip", "request-id"];

/// The migration's key list as written.
pub(super) fn sources(table: &Table, sink: &mut Sink) -> Vec<Said<KeySource>> {
    let mut sources: Vec<Said<KeySource>> = Vec::new();
    for said in table.texts("key") {
        let Some(source) = source(&said, sink) else { continue };
        let constant = sources.iter().find(|earlier| is_always_present(&earlier.value));
        let same = sources.iter().find(|earlier| earlier.value == source);
        let never = match (same, constant) {
            (Some(earlier), _) => Some((earlier, "it stands in the list already")),
            (None, Some(earlier)) => Some((earlier, "every request has what stands before it")),
            (None, None) => None,
        };
        if let Some((earlier, why)) = never {
            let message = format!("`{source}` is never looked at: {why}");
            sink.push(
                Diagnostic::warning("key-never-reached", &said.spot, message)
                    .label(earlier.span(), "this one counts"),
            );
        }
        sources.push(Said::new(source, said.spot));
    }
    sources
}

/// Warns when users would be dealt anew with every request.
pub(super) fn stickiness(
    table: &Table,
    listed: &[Said<KeySource>],
    cookie: Option<&AssignCookie>,
    sink: &mut Sink,
) {
    let keys = key_list(listed.iter().map(|said| said.value.clone()).collect(), cookie);
    // What stands behind a source that is always there is never asked, and an assigned cookie is always there.
    let assigned =
        |key: &KeySource| cookie.is_some_and(|cookie| *key == KeySource::Cookie(cookie.name.clone()));
    let last = keys.iter().find(|key| is_always_present(key) || assigned(key));
    // The default list may be in force only because the key that was meant is wrong.
    let doubtful = !table.wrote("key") && sink.has_errors();
    if doubtful || last.is_none_or(KeySource::is_sticky) {
        return;
    }
    let listed = listed.iter().find(|said| !said.value.is_sticky());
    let spot = match listed {
        Some(said) if table.wrote("key") => said.spot.clone(),
        _ => Spot { span: table.spot.span.clone(), path: format!("{}.key", table.spot.path) },
    };
    let message =
        "users without any other key are not sticky: `request-id` deals each of their requests anew";
    sink.push(Diagnostic::warning("not-sticky", &spot, message).help(
        "give them a key with `assign_cookie`, or leave `request-id` out of `key`: then they stay on old",
    ));
}

fn source(said: &Said<&str>, sink: &mut Sink) -> Option<KeySource> {
    let error = match said.value.parse::<KeySource>() {
        Ok(source) => return Some(source),
        Err(error) => error,
    };
    let (kind, name) = said.value.split_once(':').unwrap_or((said.value, ""));
    let (message, help) = if KINDS.contains(&kind) {
        (format!("`{}`: {error}", said.value), None)
    } else {
        let help = match nearest(kind, KINDS.iter().copied()) {
            Some(near) if name.is_empty() => format!("did you mean `{near}`?"),
            Some(near) => format!("did you mean `{near}:{name}`?"),
            None if name.is_empty() => {
                format!("for a header write `header:{kind}`, for a cookie `cookie:{kind}`")
            }
            None => format!("the kinds are {}", one_of(KINDS)),
        };
        (format!("`{}` is not a source of keys", said.value), Some(help))
    };
    let diagnostic = Diagnostic::error("bad-key-source", &said.spot, message);
    sink.push(
        diagnostic.expected("a source such as \"header:x-user-id\" or \"cookie:session\"").maybe_help(help),
    );
    None
}

fn is_always_present(source: &KeySource) -> bool {
    matches!(source, KeySource::ClientIp | KeySource::RequestId)
}
