//! Who the client is, when other proxies stand in front.
//!
//! `X-Forwarded-For` grows at its right end: each proxy appends the address that it saw. So the list is read from the
//! right, as long as trusted proxies vouch for it; what stands further left may have been made up by the client.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::snapshot::contains;

/// The client's address, IPv4 mapped into IPv6 read as IPv4.
///
/// `forwarded_for` gives the values of the `X-Forwarded-For` fields in the order in which they came; each is a list
/// (RFC 9110 section 5.6.1) whose elements are addresses, with or without a port. Walking from the right, the first address that
/// is not trusted is the client. When an element is no address, the walk ends at the last trusted proxy, since
/// what it reported cannot be used. If everybody is trusted, the leftmost address is the client. A peer that is not
/// trusted is the client itself, whatever it says.
#[must_use]
pub fn client_ip<'a>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut client = peer.to_canonical();
    let elements = forwarded_for.rev().flat_map(|field| field.rsplit(|byte| *byte == b','));
    for element in elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()) {
        if !contains(trusted, client) {
            break;
        }
        let Some(address) = address(element) else { break };
        client = address.to_canonical();
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let bare =
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).filter(|text| text.contains(':'));
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.unwrap_or(text).parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::client_ip;

    #[test]
    fn walks_from_the_right_over_trusted_proxies() {
        let table: &[(&str, &[&str], &str)] = &[
            // An untrusted peer is the client, whatever it claims.
            ("203.0.113.5", &[], "203.0.113.5"),
            ("203.0.113.5", &["198.51.100.1"], "203.0.113.5"),
            ("203.0.113.5", &["10.0.0.1"], "203.0.113.5"),
            // A trusted peer is believed one step.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            // And each trusted hop one more.
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1", "10.0.0.3,10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            // What is no address ends the walk at who reported it.
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, _hidden, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["999.1.1.1"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4.5"], "10.0.0.1"),
            ("10.0.0.1", &["\u{ff11}.1.1.1"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1;10.0.0.2"], "10.0.0.1"),
            // Empty elements of a list do not count (RFC 9110 5.6.1).
            ("10.0.0.1", &["198.51.100.1, ,, 10.0.0.2 ,"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "", " \t"], "198.51.100.1"),
            // Ports, brackets, space.
            ("10.0.0.1", &["\t198.51.100.1:4711 "], "198.51.100.1"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]:443"], "2001:db8::7"),
            ("10.0.0.1", &["[198.51.100.1]"], "10.0.0.1"),
            ("10.0.0.1", &["[2001:db8::7"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1:99999"], "10.0.0.1"),
            // IPv6 networks, and IPv4 on a dual-stack socket.
            ("fd00::1", &["2001:db8::7, fd00::2"], "2001:db8::7"),
            ("::ffff:10.0.0.1", &["198.51.100.1, ::ffff:10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("::ffff:203.0.113.5", &["198.51.100.1"], "203.0.113.5"),
        ];
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, fields, expected) in table {
            let found =
                client_ip(peer.parse().unwrap(), fields.iter().map(|field| field.as_bytes()), &trusted);
            assert_eq!(found.to_string(), *expected, "{peer} says {fields:?}");
        }
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        let fields = [&b"198.51.100.1"[..]];
        let found = client_ip("10.0.0.1".parse().unwrap(), fields.into_iter(), &[]);
        assert_eq!(found.to_string(), "10.0.0.1");
    }
}
