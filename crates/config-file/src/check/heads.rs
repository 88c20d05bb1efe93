//! What is changed in the heads of the messages of one arm or route.

use std::collections::HashSet;

use route_plan::{Credentials, HeaderRules, HostRule, PathPrefix, Rules, normalise_path};

use super::{host, is_token};
use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::written::{Said, Table};

/// The changes that a table of rules asks for; `None` only when a part of it is wrong.
pub(super) fn rules(table: &Table, sink: &mut Sink) -> Option<Rules> {
    let path_prefix = table.table("path_prefix").map(|table| path_prefix(table, sink));
    let host = table.text("host").and_then(|said| host_rule(&said, sink));
    let request_headers = table.table("request_headers").map(|table| header_rules(table, true, sink));
    let response_headers = table.table("response_headers").map(|table| header_rules(table, false, sink));
    Some(Rules {
        path_prefix: path_prefix.unwrap_or_default(),
        host: host?,
        location: table.flag("location")?,
        request_headers: request_headers?,
        response_headers: response_headers?,
    })
}

/// The host that an upstream is asked for.
pub(super) fn host_rule(said: &Said<&str>, sink: &mut Sink) -> Option<HostRule> {
    match said.value {
        "client" => Some(HostRule::Client),
        "endpoint" => Some(HostRule::Endpoint),
        _ => host(said, sink).map(HostRule::Fixed),
    }
}

/// What becomes of clients' credentials in copies; names in lower case.
pub(super) fn credentials(table: &Table, sink: &mut Sink) -> Credentials {
    let remove = removed(table, true, sink);
    let set = set(table, true, sink).into_iter();
    let set = set.map(|(name, value)| (name.to_ascii_lowercase(), value.into_bytes().into_boxed_slice()));
    Credentials { remove, set: set.collect() }
}

fn path_prefix(table: &Table, sink: &mut Sink) -> Option<PathPrefix> {
    let from = table.text("from").and_then(|said| prefix(&said, sink));
    let to = table.text("to").and_then(|said| prefix(&said, sink));
    Some(PathPrefix { from: from?, to: to? })
}

/// The prefix without a slash at its end. Paths are brought into normal form before a prefix is looked for, so one that
/// is not in normal form itself would never be found; and what it becomes must be no other path to the upstream.
fn prefix(said: &Said<&str>, sink: &mut Sink) -> Option<String> {
    let text = said.value;
    let bare = match text.trim_end_matches(['/', '*']) {
        "" => "/",
        bare => bare,
    };
    let (message, help) = match normalise_path(text.as_bytes()) {
        _ if !text.starts_with('/') => {
            (format!("`{text}` does not begin with `/`"), Some(format!("write \"/{text}\"")))
        }
        _ if text.contains(['*', '{', '}']) => {
            let help = format!("whatever follows the prefix stays: write \"{bare}\"");
            let is_plain = bare.starts_with('/') && !bare.contains(['*', '{', '}']);
            ("a prefix has neither parameters nor a `*`".to_owned(), Some(help).filter(|_| is_plain))
        }
        _ if text.contains(['?', '#']) => {
            let path = text.split(['?', '#']).next().unwrap_or_default();
            (format!("`{text}` is more than a path"), Some(format!("write \"{path}\"")))
        }
        Err(reason) => (format!("`{text}` is not a path: {reason}"), None),
        Ok(_) if text.contains("//") => ("a prefix has no empty segments".to_owned(), None),
        Ok(_) if !text.is_ascii() => {
            let help = format!("write \"{}\"", percent_encoded(text));
            (format!("`{text}` is not spelt as requests spell it"), Some(help))
        }
        Ok(normal) if *normal != *text.as_bytes() => {
            let help = format!("write \"{}\"", String::from_utf8_lossy(&normal));
            (format!("`{text}` is another spelling of a path"), Some(help))
        }
        Ok(_) => return Some(text.strip_suffix('/').unwrap_or(text).to_owned()),
    };
    let diagnostic = Diagnostic::error("bad-path", &said.spot, message);
    sink.push(diagnostic.expected("a path such as \"/v1\"").maybe_help(help));
    None
}

fn percent_encoded(text: &str) -> String {
    let spelt =
        |byte: u8| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(spelt).collect()
}

fn header_rules(table: &Table, of_requests: bool, sink: &mut Sink) -> HeaderRules {
    let (remove, set) = (removed(table, of_requests, sink), set(table, of_requests, sink));
    let add = table.pairs("add").iter();
    let add = add.filter_map(|(name, value)| field(name, value, of_requests, sink)).collect();
    HeaderRules { remove, set, add }
}

fn removed(table: &Table, of_requests: bool, sink: &mut Sink) -> Vec<String> {
    let mut remove = Vec::new();
    for said in table.texts("remove") {
        let name = said.value.to_ascii_lowercase();
        if is_free(said.value, &said.spot, of_requests, sink) && !remove.contains(&name) {
            remove.push(name);
        }
    }
    remove
}

fn set(table: &Table, of_requests: bool, sink: &mut Sink) -> Vec<(String, String)> {
    let (mut seen, mut set) = (HashSet::new(), Vec::new());
    for (name, value) in table.pairs("set") {
        if !seen.insert(name.value.to_ascii_lowercase()) {
            let message = format!("`{}` is set twice; case makes no difference", name.value);
            sink.push(Diagnostic::error("header-twice", &name.spot, message).expected("each header once"));
        }
        set.extend(field(name, value, of_requests, sink));
    }
    set
}

fn field(
    name: &Said<String>,
    value: &Said<String>,
    of_requests: bool,
    sink: &mut Sink,
) -> Option<(String, String)> {
    let is_free = is_free(&name.value, &name.spot, of_requests, sink);
    let fits = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    // The value may be a secret from the environment, and stays out of messages.
    let message = if !value.value.bytes().all(fits) {
        format!("the value of `{}` cannot be sent in a header", name.value)
    } else if value.value.trim() != value.value {
        format!("the spaces around the value of `{}` would be lost", name.value)
    } else {
        return is_free.then(|| (name.value.clone(), value.value.clone()));
    };
    let diagnostic = Diagnostic::error("bad-header-value", &value.spot, message);
    sink.push(diagnostic.expected("visible ASCII characters, with spaces only between them"));
    None
}

/// Whether rules may change this field: what carries the message itself, or what the proxy says in its own name, is
/// not theirs. `_` counts as `-`, since many servers cannot tell them apart.
fn is_free(name: &str, spot: &Spot, of_requests: bool, sink: &mut Sink) -> bool {
    if !is_token(name) {
        let message = format!("`{name}` is not a header name");
        let diagnostic = Diagnostic::error("bad-header-name", spot, message);
        sink.push(diagnostic.expected("letters, digits and `-`"));
        return false;
    }
    let plain = name.to_ascii_lowercase().replace('_', "-");
    let message = if plain == "host" {
        format!("`{name}` is not changed as a header")
    } else if MESSAGE_HEADERS.contains(&plain.as_str()) {
        format!("`{name}` carries the message itself and cannot be changed")
    } else if PROXY_HEADERS.contains(&plain.as_str())
        || PROXY_PREFIXES.iter().any(|prefix| plain.starts_with(prefix))
    {
        format!("`{name}` is what the proxy itself says, and cannot be changed")
    } else {
        return true;
    };
    let help = "write `host = \"endpoint\"`, or a host of your own, beside `request_headers`";
    let help = (plain == "host" && of_requests).then(|| help.to_owned());
    let diagnostic = Diagnostic::error("reserved-header", spot, message);
    sink.push(diagnostic.expected("a header that the proxy only passes on").maybe_help(help));
    false
}

/// Fields about the connection, or about where the message ends.
const MESSAGE_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that the proxy writes itself.
const PROXY_HEADERS: &[&str] = &["forwarded", "via", "x-request-id"];
const PROXY_PREFIXES: &[&str] = &["crossfade-", "x-forwarded-"];
