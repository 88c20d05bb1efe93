//! Backend systems, and the places that name them.

use route_plan::authority::host_and_port;
use route_plan::{Endpoint, Upstream, UpstreamLimits};

use super::{health, size};
use crate::diagnostic::{Diagnostic, Sink};
use crate::nearest::suggest;
use crate::written::{Said, Table};

/// The upstreams in file order. What is wrong with one is reported; its index stays, so that references hold.
pub(super) fn upstreams(root: &Table, sink: &mut Sink) -> Vec<Upstream> {
    let upstream = |(name, table): &(Said<String>, Table)| {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for said in table.texts("endpoints") {
            let Some(endpoint) = endpoint(&said, sink) else { continue };
            if endpoints.contains(&endpoint) {
                let message = format!("`{}` stands in the list twice", said.value);
                let diagnostic = Diagnostic::warning("duplicate-endpoint", &said.spot, message);
                sink.push(diagnostic.help("it would get twice the requests; remove one"));
            }
            endpoints.push(endpoint);
        }
        Upstream {
            name: name.value.clone(),
            endpoints,
            limits: limits(table).unwrap_or_default(),
            health: table.table("health").and_then(|table| health::health(table, sink)),
            ejection: health::ejection(table, sink),
            retry: health::retry(table, sink).unwrap_or_default(),
        }
    };
    root.named("upstream").iter().map(upstream).collect()
}

fn limits(upstream: &Table) -> Option<UpstreamLimits> {
    let table = upstream.table("limits")?;
    Some(UpstreamLimits {
        connections: size(&table.count("connections")?),
        pending: size(&table.count("pending")?),
        requests: size(&table.count("requests")?),
        idle_timeout_ms: upstream.millis("idle_timeout")?.value,
        lifetime_ms: upstream.millis("lifetime")?.value,
    })
}

/// The index of the upstream that a field names.
pub(super) fn reference(table: &Table, field: &str, root: &Table, sink: &mut Sink) -> Option<usize> {
    let said = table.text(field)?;
    let upstreams = root.named("upstream");
    let found = upstreams.iter().position(|(name, _)| name.value == said.value);
    if found.is_none() {
        let names = upstreams.iter().map(|(name, _)| name.value.as_str());
        let help = suggest(said.value, names, "upstream");
        let help =
            help.or_else(|| Some(format!("define it: `[upstream.{}]` with its `endpoints`", said.value)));
        let message = format!("no upstream is called `{}`", said.value);
        let diagnostic = Diagnostic::error("unknown-upstream", &said.spot, message);
        sink.push(diagnostic.expected("the name of an upstream").maybe_help(help));
    }
    found
}

/// Warns of upstreams that nothing names. Where anything else is wrong, that may be why.
pub(super) fn unused(root: &Table, sink: &mut Sink) {
    if sink.has_errors() {
        return;
    }
    let migrations =
        root.named("migration").iter().flat_map(|(_, table)| [table.text("old"), table.text("new")]);
    let routes = root.named("route").iter().map(|(_, table)| table.text("to"));
    let used: Vec<&str> = migrations.chain(routes).flatten().map(|said| said.value).collect();
    for (name, _) in root.named("upstream") {
        if !used.contains(&name.value.as_str()) {
            let message = format!("no migration and no route uses the upstream `{}`", name.value);
            sink.push(Diagnostic::warning("unused-upstream", &name.spot, message));
        }
    }
}

fn endpoint(said: &Said<&str>, sink: &mut Sink) -> Option<Endpoint> {
    match parse_endpoint(said.value) {
        Ok(endpoint) => Some(endpoint),
        Err(Flaw::Later(scheme)) => {
            let message = format!("`{scheme}://` endpoints are not supported by this version");
            sink.push(Diagnostic::error("not-yet", &said.spot, message).expected("`http://`"));
            None
        }
        Err(Flaw::Wrong(message, help)) => {
            let diagnostic = Diagnostic::error("bad-endpoint", &said.spot, message);
            sink.push(diagnostic.expected("an address such as \"http://10.0.0.11:8080\"").maybe_help(help));
            None
        }
    }
}

enum Flaw {
    Later(String),
    /// What is wrong, and what to write.
    Wrong(String, Option<String>),
}

fn parse_endpoint(text: &str) -> Result<Endpoint, Flaw> {
    let wrong = |message: &str, help: Option<String>| Err(Flaw::Wrong(message.to_owned(), help));
    let authority = match text.split_once("://") {
        Some(("http", authority)) => authority,
        Some((scheme @ ("https" | "h2" | "h2c" | "unix"), _)) => return Err(Flaw::Later(scheme.to_owned())),
        Some((scheme, _)) => {
            return wrong(&format!("`{scheme}` is not a protocol that upstreams speak"), None);
        }
        None => return wrong("the endpoint lacks its protocol", Some(format!("write \"http://{text}\""))),
    };
    if let Some((bare, _)) = authority.split_once(['/', '?', '#']) {
        return wrong("an endpoint has no path", Some(format!("write \"http://{bare}\"")));
    }
    if authority.contains('@') {
        return wrong("an endpoint carries no user name or password", None);
    }
    let (host, port) = host_and_port(authority).map_err(|message| Flaw::Wrong(message, None))?;
    Ok(Endpoint::new(host, port.unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (text, authority) in [
            ("http://10.0.0.11:8080", Some("10.0.0.11:8080")),
            ("http://shop-old", Some("shop-old:80")),
            ("http://shop_old.internal.:81", Some("shop_old.internal.:81")),
            ("http://[::1]:8080", Some("[::1]:8080")),
            ("http://[2001:db8::1]", Some("[2001:db8::1]:80")),
            ("http://", None),
            ("http://:80", None),
            ("http://host:", None),
            ("http://host:0", None),
            ("http://host:65536", None),
            ("http://host:+80", None),
            ("http://::1", None),
            ("http://[::1", None),
            ("http://[::1]x", None),
            ("http://[host]:80", None),
            ("http://10.0.0.300", None),
            ("http://10.0.0", None),
            ("http://-host", None),
            ("http://ho st", None),
            ("http://host/", None),
            ("http://user@host", None),
            ("https://host", None),
            ("host:80", None),
        ] {
            assert_eq!(
                parse_endpoint(text).ok().map(|endpoint| endpoint.authority).as_deref(),
                authority,
                "{text}"
            );
        }
    }
}
