//! Host and port as they are written in URLs and `Host` fields (RFC 3986, section 3.2.2, without the odd forms that it
//! allows: no percent-encoding, no IP literals of the future, no empty port).

use std::net::{Ipv4Addr, Ipv6Addr};

/// A host, an IPv6 address in its brackets, and its port from 1 to 65535, where one is named.
///
/// # Errors
/// What is wrong with them, as a sentence.
pub fn host_and_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = split_port(text)?;
    let port = match port {
        None => None,
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && !port.starts_with('+') => Some(number),
            _ => return Err(format!("`{port}` is not a port from 1 to 65535")),
        },
    };
    if !host.starts_with('[') && !is_host(host) {
        return Err(format!("`{host}` is neither a host name nor an IP address"));
    }
    Ok((host, port))
}

/// Host, an IPv6 address in its brackets, and what stands behind the colon.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or("the bracket of the IPv6 address is not closed")?;
        let (host, rest) = authority.split_at(end + 1);
        let inner = host.trim_start_matches('[').trim_end_matches(']');
        if inner.parse::<Ipv6Addr>().is_err() {
            return Err("there is no IPv6 address in the brackets");
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("only a port can follow the address"),
        };
    }
    if authority.parse::<Ipv6Addr>().is_ok() || authority.matches(':').count() > 1 {
        return Err("an IPv6 address stands in brackets");
    }
    Ok(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

/// An IPv4 address or a name that a resolver may know. What ends in a number is an address or nothing.
fn is_host(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    let is_label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
