//! Request lines, targets and hosts.

use http1_codec::{Framing, Reason};

use crate::{Also, Case, accept, refuse};

const NONE: Framing = Framing::None;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = request_lines();
    cases.extend(versions());
    cases.extend(targets());
    cases.extend(absolute_targets());
    cases.extend(hosts());
    cases
}

/// A request with this line and a good host.
fn line(line: &str) -> String {
    format!("{line}\r\nHost: a\r\n\r\n")
}

/// A request with this host line, if any.
fn host(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\n{fields}\r\n")
}

#[rustfmt::skip]
fn request_lines() -> Vec<Case> {
    vec![
        accept("RFC 9112 3", "the smallest request", line("GET / HTTP/1.1"), ("GET", "/"), NONE, ""),
        accept("RFC 9110 9.1", "a method of one's own", line("PURGE-all /x HTTP/1.1"), ("PURGE-all", "/x"), NONE, ""),
        accept("RFC 9110 9.1", "methods are case-sensitive", line("get / HTTP/1.1"), ("get", "/"), NONE, ""),
        accept("RFC 9110 9.1", "every token character in a method", line("!#$%&'*+-.^_`|~aZ09 / HTTP/1.1"), ("!#$%&\\'*+-.^_`|~aZ09", "/"), NONE, ""),
        accept("RFC 9110 9.3.2", "HEAD", line("HEAD / HTTP/1.1"), ("HEAD", "/"), NONE, ""),
        accept("RFC 9112 2.2", "one empty line before the request line", format!("\r\n{}", line("GET / HTTP/1.1")), ("GET", "/"), NONE, ""),
        refuse("RFC 9112 2.2", "two empty lines before the request line", format!("\r\n\r\n{}", line("GET / HTTP/1.1")), 400, Reason::EmptyLines),
        refuse("RFC 9112 2.2", "a bare LF before the request line", format!("\n{}", line("GET / HTTP/1.1")), 400, Reason::BareLf),
        refuse("RFC 9112 2.2", "a bare LF after an empty line", format!("\r\n\n{}", line("GET / HTTP/1.1")), 400, Reason::BareLf),
        refuse("RFC 9112 2.2", "a bare CR before the request line", format!("\r{}", line("GET / HTTP/1.1")), 400, Reason::BareCr),
        refuse("RFC 9112 2.2", "a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, Reason::BareLf),
        refuse("RFC 9112 2.2", "a bare CR in the method", line("G\rT / HTTP/1.1"), 400, Reason::BareCr),
        refuse("RFC 9112 2.2", "a bare CR in the target", line("GET /\r HTTP/1.1"), 400, Reason::BareCr),
        refuse("RFC 9112 2.2", "a bare CR in the query", line("GET /?\r HTTP/1.1"), 400, Reason::BareCr),
        refuse("RFC 9112 2.2", "a bare CR in place of a target", line("GET \r HTTP/1.1"), 400, Reason::BareCr),
        refuse("RFC 9112 2.2", "a bare CR after the version", line("GET / HTTP/1.1\r"), 400, Reason::BareCr),
        refuse("RFC 9112 2.1", "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, Reason::NotHttp),
        refuse("RFC 9112 2.1", "a NUL", b"\x00GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, Reason::NotHttp),
        refuse("RFC 9112 2.1", "UTF-8 where a method should be", "\u{e9} / HTTP/1.1\r\nHost: a\r\n\r\n", 400, Reason::NotHttp),
        refuse("RFC 9112 3", "a space before the method", line(" GET / HTTP/1.1"), 400, Reason::BadMethod),
        refuse("RFC 9110 9.1", "a delimiter in the method", line("GE(T) / HTTP/1.1"), 400, Reason::BadMethod),
        refuse("RFC 9110 9.1", "tabs for spaces", line("GET\t/\tHTTP/1.1 x y"), 400, Reason::BadMethod),
        refuse("RFC 9112 3", "two spaces before the target", line("GET  / HTTP/1.1"), 400, Reason::BadRequestLine),
        refuse("RFC 9112 3", "two spaces before the version", line("GET /  HTTP/1.1"), 400, Reason::BadRequestLine),
        refuse("RFC 9112 3", "a space after the version", line("GET / HTTP/1.1 "), 400, Reason::BadRequestLine),
        refuse("RFC 9112 3", "a space in the target", line("GET /a b HTTP/1.1"), 400, Reason::BadRequestLine),
        refuse("RFC 9112 3", "no target", line("GET HTTP/1.1"), 400, Reason::BadRequestLine),
        refuse("RFC 9112 3", "an empty target", line("GET  HTTP/1.1"), 400, Reason::BadRequestLine),
        refuse("RFC 9112 3", "HTTP/0.9", "GET /\r\n\r\n", 400, Reason::BadRequestLine),
        refuse("RFC 9112 3", "a method alone", "GET\r\n\r\n", 400, Reason::BadRequestLine),
        refuse("RFC 9110 9.3.6", "CONNECT", line("CONNECT a:443 HTTP/1.1"), 501, Reason::ConnectMethod),
    ]
}

#[rustfmt::skip]
fn versions() -> Vec<Case> {
    vec![
        accept("RFC 9112 2.3", "HTTP/1.0", line("GET / HTTP/1.0"), ("GET", "/"), NONE, "")
            .also(Also::Http10)
            .also(Also::KeepsAlive(false)),
        accept("RFC 9112 9.3", "HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", ("GET", "/"), NONE, "")
            .also(Also::KeepsAlive(true))
            .also(Also::Host("")),
        refuse("RFC 9110 15.6.6", "HTTP/2.0", line("GET / HTTP/2.0"), 505, Reason::UnsupportedVersion),
        refuse("RFC 9110 15.6.6", "HTTP/1.2", line("GET / HTTP/1.2"), 505, Reason::UnsupportedVersion),
        refuse("RFC 9113 3.4", "the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Reason::UnsupportedVersion),
        refuse("RFC 9112 2.3", "a version in lower case", line("GET / http/1.1"), 400, Reason::BadVersion),
        refuse("RFC 9112 2.3", "a version of two digits", line("GET / HTTP/1.10"), 400, Reason::BadVersion),
        refuse("RFC 9112 2.3", "a version without a dot", line("GET / HTTP/11"), 400, Reason::BadVersion),
        refuse("RFC 9112 2.3", "another protocol", line("GET / ICAP/1.0"), 400, Reason::BadVersion),
    ]
}

#[rustfmt::skip]
fn targets() -> Vec<Case> {
    vec![
        accept("RFC 9112 3.2.1", "a path and a query", line("GET /a/b?c=d&e?/f HTTP/1.1"), ("GET", "/a/b?c=d&e?/f"), NONE, "")
            .also(Also::Path("/a/b?c=d&e?/f")),
        accept("RFC 9112 3.2.1", "a path that looks like an authority", line("GET //b/c HTTP/1.1"), ("GET", "//b/c"), NONE, "")
            .also(Also::Host("a")),
        accept("RFC 9112 3.2.1", "percent-encoding is left alone", line("GET /%2e%2E/%zz HTTP/1.1"), ("GET", "/%2e%2E/%zz"), NONE, ""),
        accept(
            "RFC 9112 3.2.1",
            "characters that old systems live on",
            line("GET /{a}|^b\\c\"[]?{a}|^b\\[] HTTP/1.1"),
            ("GET", "/{a}|^b\\\\c\\\"[]?{a}|^b\\\\[]"),
            NONE,
            "",
        ),
        accept("RFC 9112 3.2.4", "the asterisk-form", line("OPTIONS * HTTP/1.1"), ("OPTIONS", "*"), NONE, "")
            .also(Also::Path("*")),
        refuse("RFC 9112 3.2.4", "an asterisk for GET", line("GET * HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2.4", "an asterisk and more", line("OPTIONS *x HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2.3", "the authority-form for GET", line("GET a:80 HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "a relative path", line("GET a/b HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "a query alone", line("GET ?a HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "a fragment", line("GET /a#b HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "a fragment after a query", line("GET /?a#b HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "angle brackets", line("GET /<a> HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "a back quote", line("GET /`a HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "a back quote in the query", line("GET /?`a HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "a quotation mark in the query", line("GET /?\"a HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "UTF-8 in the path", line("GET /\u{e9} HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "a NUL in the path", line("GET /\0 HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "a tab in the path", line("GET /\t HTTP/1.1"), 400, Reason::BadTarget),
        refuse("RFC 9112 3.2", "DEL in the query", line("GET /?\x7f HTTP/1.1"), 400, Reason::BadTarget),
    ]
}

#[rustfmt::skip]
fn absolute_targets() -> Vec<Case> {
    vec![
        accept("RFC 9112 3.2.2", "the absolute-form overrides Host", line("GET http://b:81/c?d HTTP/1.1"), ("GET", "http://b:81/c?d"), NONE, "")
            .also(Also::Host("b:81"))
            .also(Also::Path("/c?d")),
        accept("RFC 9112 3.2.2", "a scheme in upper case", line("GET HTTPS://b/ HTTP/1.1"), ("GET", "HTTPS://b/"), NONE, "")
            .also(Also::Host("b")),
        accept("RFC 9112 3.2.2", "the absolute-form in HTTP/1.0", "GET http://b/ HTTP/1.0\r\n\r\n", ("GET", "http://b/"), NONE, "")
            .also(Also::Host("b")),
        accept("RFC 9112 3.2.2", "no path means the root", line("GET http://b HTTP/1.1"), ("GET", "http://b"), NONE, "")
            .also(Also::Path("/")),
        accept("RFC 9112 3.2.2", "a query without a path", line("GET http://b?c HTTP/1.1"), ("GET", "http://b?c"), NONE, "")
            .also(Also::Path("/?c")),
        accept("RFC 9112 3.2.4", "OPTIONS without a path means the server", line("OPTIONS http://b HTTP/1.1"), ("OPTIONS", "http://b"), NONE, "")
            .also(Also::Path("*")),
        accept("RFC 9110 4.2.1", "an IPv6 address", line("GET http://[::1]:8080/ HTTP/1.1"), ("GET", "http://[::1]:8080/"), NONE, "")
            .also(Also::Host("[::1]:8080")),
        refuse("RFC 9112 3.2", "the absolute-form needs Host too", "GET http://b/ HTTP/1.1\r\n\r\n", 400, Reason::HostMissing),
        refuse("RFC 9112 3.2.2", "another scheme", line("GET ftp://b/ HTTP/1.1"), 400, Reason::BadScheme),
        refuse("RFC 9112 3.2.2", "no scheme", line("GET ://b/ HTTP/1.1"), 400, Reason::BadScheme),
        refuse("RFC 9110 4.2.4", "user information", line("GET http://u:p@b/ HTTP/1.1"), 400, Reason::Userinfo),
        refuse("RFC 9110 4.2.1", "an empty authority", line("GET http:///a HTTP/1.1"), 400, Reason::HostInvalid),
        refuse("RFC 9110 4.2.1", "a bad port in the target", line("GET http://b:x/ HTTP/1.1"), 400, Reason::HostInvalid),
        refuse("RFC 9110 4.2.1", "a backslash for a slash", line("GET http://b\\c HTTP/1.1"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2.2", "a fragment after an authority", line("GET http://b#c HTTP/1.1"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2.2", "a fragment in an absolute target", line("GET http://b/#c HTTP/1.1"), 400, Reason::BadTarget),
    ]
}

#[rustfmt::skip]
fn hosts() -> Vec<Case> {
    vec![
        accept("RFC 9112 3.2", "a host and a port", host("HOST: EXAMPLE.com:8080\r\n"), ("GET", "/"), NONE, "")
            .also(Also::Host("EXAMPLE.com:8080")),
        accept("RFC 9112 3.2", "an IPv6 address for a host", host("Host: [2001:db8::1]\r\n"), ("GET", "/"), NONE, "")
            .also(Also::Host("[2001:db8::1]")),
        accept("RFC 9112 3.2", "an underscore in a host", host("Host: my_app\r\n"), ("GET", "/"), NONE, "")
            .also(Also::Host("my_app")),
        refuse("RFC 9112 3.2", "no Host", host(""), 400, Reason::HostMissing),
        refuse("RFC 9112 3.2", "two Hosts", host("Host: a\r\nHost: b\r\n"), 400, Reason::HostRepeated),
        refuse("RFC 9112 3.2", "two equal Hosts", host("Host: a\r\nhost: a\r\n"), 400, Reason::HostRepeated),
        refuse("RFC 9112 3.2", "two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, Reason::HostRepeated),
        refuse("RFC 9112 3.2", "an empty Host", host("Host:\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "a list of hosts", host("Host: a,b\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "a host with a space", host("Host: a b\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "a host with a path", host("Host: a/b\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "a host with percent-encoding", host("Host: a%2fb\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "a port that is no number", host("Host: a:http\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "a port beyond 16 bits", host("Host: a:65536\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "an empty port", host("Host: a:\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "two ports", host("Host: a:1:2\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "an address without brackets", host("Host: ::1\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9112 3.2", "brackets around a name", host("Host: [a]\r\n"), 400, Reason::HostInvalid),
        refuse("RFC 9110 4.2.4", "user information in Host", host("Host: u@a\r\n"), 400, Reason::Userinfo),
        refuse("RFC 9112 3.2", "obs-text in Host", host("Host: \u{e9}\r\n"), 400, Reason::HostInvalid),
    ]
}
