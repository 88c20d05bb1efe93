//! Where the process listens.

use std::net::{IpAddr, SocketAddr};

use route_plan::ListenerLimits;

use super::size;
use crate::Files;
use crate::checked::{Admin, Listener, Secret};
use crate::diagnostic::{Diagnostic, Sink};
use crate::reader::is_name;
use crate::written::{Said, Table};

/// The shortest token that the admin API takes.
const MIN_TOKEN_BYTES: usize = 12;

pub(super) fn listeners(root: &Table, sink: &mut Sink) -> Vec<Listener> {
    let mut names: Vec<Said<&str>> = Vec::new();
    let mut listeners = Vec::new();
    for table in root.tables("listener") {
        let listen = table.text("listen").and_then(|said| Some((address(&said, sink)?, said.value)));
        if let Some(name) = table.text("name") {
            check_name(&name, &names, sink);
            names.push(name);
        }
        if let Some((listen, written)) = listen {
            let name = table.text("name").map_or(written, |name| name.value);
            let limits = limits(table, root, sink);
            listeners.push(Listener { name: name.to_owned(), listen, limits });
        }
    }
    listeners
}

fn limits(table: &Table, root: &Table, sink: &mut Sink) -> ListenerLimits {
    let mut limit = |name| {
        let said = table.count(name)?;
        let process = root.table("proxy").and_then(|proxy| Some((proxy.count(name)?, proxy.wrote(name))));
        if let Some((process, is_written)) = process.filter(|(process, _)| said.value > process.value) {
            let message =
                format!("`{name}` is never reached: all listeners together may have {}", process.value);
            let diagnostic = Diagnostic::warning("limit-never-reached", &said.spot, message);
            sink.push(if is_written {
                diagnostic.label(process.span(), "the limit of the process")
            } else {
                diagnostic.help(format!("raise `proxy.{name}` too"))
            });
        }
        Some(size(&said))
    };
    ListenerLimits { connections: limit("connections"), requests: limit("requests") }
}

pub(super) fn admin(table: &Table, files: &dyn Files, sink: &mut Sink) -> Option<Admin> {
    let said = table.text("listen");
    let listen = said.as_ref().and_then(|said| address(said, sink));
    let probe_listen = table.text("probe_listen").map(|said| address(&said, sink));
    let token_file = table.text("token_file").map(|said| said.value.to_owned());
    if let (Some(said), Some(listen)) = (said, listen)
        && !is_loopback(listen.ip())
        && !table.wrote("token_file")
    {
        let message = format!("anybody who reaches {listen} could move traffic");
        let diagnostic = Diagnostic::error("open-admin", &said.spot, message);
        sink.push(diagnostic.expected("a loopback address, or `token_file`").help(
            "set `token_file`, or listen on \"127.0.0.1:9900\" and open only metrics and health with `probe_listen`",
        ));
    }
    let token = table.text("token_file").and_then(|said| token(&said, files, sink));
    Some(Admin { listen: listen?, token_file, token, probe_listen: probe_listen.unwrap_or_default() })
}

fn token(file: &Said<&str>, files: &dyn Files, sink: &mut Sink) -> Option<Secret> {
    let text = match files.read(file.value) {
        Ok(text) => text,
        Err(reason) => {
            let message = format!("the file `{}` cannot be read: {reason}", file.value);
            let diagnostic = Diagnostic::error("unreadable-file", &file.spot, message);
            sink.push(diagnostic.expected("a file with a token as its only line"));
            return None;
        }
    };
    let token = text.trim();
    if token.len() < MIN_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("the file `{}` holds no token that the admin API takes", file.value);
        let diagnostic = Diagnostic::error("bad-token", &file.spot, message);
        let expected = format!("at least {MIN_TOKEN_BYTES} characters of printable ASCII without spaces");
        sink.push(diagnostic.expected(expected));
        return None;
    }
    Some(Secret::new(token))
}

/// Reports every address that another one takes already.
pub(super) fn conflicts(root: &Table, sink: &mut Sink) {
    let admin = root.table("admin");
    let said = root.tables("listener").iter().filter_map(|table| table.text("listen"));
    let said = said.chain(admin.and_then(|table| table.text("listen")));
    let said = said.chain(admin.and_then(|table| table.text("probe_listen")));
    let mut taken: Vec<(Said<&str>, SocketAddr)> = Vec::new();
    for said in said {
        let Ok(address) = said.value.parse() else { continue };
        if let Some((earlier, _)) = taken.iter().find(|(_, other)| collide(*other, address)) {
            let (first, second) =
                if earlier.span().start <= said.span().start { (earlier, &said) } else { (&said, earlier) };
            let message =
                format!("`{}` and `{}` listen on the same address", first.spot.path, second.spot.path);
            let diagnostic = Diagnostic::error("duplicate-address", &second.spot, message);
            sink.push(diagnostic.expected("another port").label(first.span(), "already taken here"));
        }
        taken.push((said, address));
    }
}

fn address(said: &Said<&str>, sink: &mut Sink) -> Option<SocketAddr> {
    if let Ok(address) = said.value.parse() {
        return Some(address);
    }
    let (host, port) = said.value.rsplit_once(':').unwrap_or((said.value, ""));
    let help = match (host, said.value.parse::<IpAddr>()) {
        (_, Ok(IpAddr::V4(ip))) => Some(format!("add the port: \"{ip}:8080\"")),
        (_, Ok(IpAddr::V6(ip))) => Some(format!("write it in brackets and add the port: \"[{ip}]:8080\"")),
        ("" | "*", _) => {
            Some(format!("for all addresses write \"0.0.0.0:{port}\", or \"[::]:{port}\" with IPv6"))
        }
        ("localhost", _) => Some(format!("names are not looked up here: write \"127.0.0.1:{port}\"")),
        (host, _) if host.contains(':') && !host.starts_with('[') => {
            Some("write an IPv6 address in brackets".to_owned())
        }
        _ => None,
    };
    let message = format!("`{}` is not an IP address with a port", said.value);
    let diagnostic = Diagnostic::error("bad-address", &said.spot, message);
    sink.push(diagnostic.expected("an address such as \"0.0.0.0:8080\" or \"[::]:8080\"").maybe_help(help));
    None
}

fn check_name(name: &Said<&str>, earlier: &[Said<&str>], sink: &mut Sink) {
    if !is_name(name.value) {
        let diagnostic = Diagnostic::error("bad-name", &name.spot, format!("`{}` is not a name", name.value));
        sink.push(diagnostic.expected("up to 63 lower-case letters, digits, `-`, `_` and `.`"));
    }
    if let Some(first) = earlier.iter().find(|other| other.value == name.value) {
        let diagnostic = Diagnostic::error(
            "duplicate-name",
            &name.spot,
            format!("two listeners are called `{}`", name.value),
        );
        sink.push(diagnostic.expected("another name").label(first.span(), "first used here"));
    }
}

/// Whether both cannot be listened on: an unspecified address takes its port on every other one.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
