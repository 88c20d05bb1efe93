//! Hosts and ports, as in a `Host` field or an absolute-form target (RFC 9110 section 7.2, RFC 3986 section
//! 3.2).

use core::net::Ipv6Addr;

use crate::Reason;
use crate::chars::is_host_byte;

/// Checks `uri-host [ ":" port ]`.
///
/// Stricter than the grammar where readers disagree: no empty host or port, no commas, no percent-encoding,
/// an address in brackets must be an IPv6 address, and a port must fit 16 bits.
pub(crate) fn check_authority(authority: &[u8]) -> Result<(), Reason> {
    check_host_and_port(authority).map_err(
        |reason| {
            if authority.contains(&b'@') { Reason::Userinfo } else { reason }
        },
    )
}

fn check_host_and_port(authority: &[u8]) -> Result<(), Reason> {
    let port = if let [b'[', literal @ ..] = authority {
        let end = literal.iter().position(|&byte| byte == b']').ok_or(Reason::HostInvalid)?;
        let (address, rest) = literal.split_at_checked(end).ok_or(Reason::HostInvalid)?;
        let address = str::from_utf8(address).map_err(|_| Reason::HostInvalid)?;
        address.parse::<Ipv6Addr>().map_err(|_| Reason::HostInvalid)?;
        rest.strip_prefix(b"]").ok_or(Reason::HostInvalid)?
    } else {
        let end = authority.iter().position(|&byte| !is_host_byte(byte)).unwrap_or(authority.len());
        let (host, rest) = authority.split_at_checked(end).ok_or(Reason::HostInvalid)?;
        if host.is_empty() {
            return Err(Reason::HostInvalid);
        }
        rest
    };
    match port {
        [] => Ok(()),
        [b':', digits @ ..] => check_port(digits),
        _ => Err(Reason::HostInvalid),
    }
}

fn check_port(digits: &[u8]) -> Result<(), Reason> {
    // At most five digits, so the sum cannot overflow.
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::HostInvalid);
    }
    let port = digits.iter().fold(0_u32, |sum, &digit| sum * 10 + u32::from(digit - b'0'));
    if port <= u32::from(u16::MAX) { Ok(()) } else { Err(Reason::HostInvalid) }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn names_addresses_and_ports_pass() {
        for authority in [
            &b"example.com"[..],
            b"EXAMPLE.com:8080",
            b"a",
            b"127.0.0.1:0",
            b"[::1]",
            b"[2001:db8::7]:65535",
            b"my_service.internal:80",
            b"1:2",
        ] {
            assert_eq!(check_authority(authority), Ok(()), "{:?}", authority.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_two_readers_might_read_differently_is_refused() {
        for authority in [
            &b""[..],
            b":80",
            b"a:",
            b"a:65536",
            b"a:000080",
            b"a:+80",
            b"a:8o",
            b"a:80:80",
            b"a, b",
            b"a,b",
            b"a b",
            b"a/b",
            b"a?b",
            b"a#b",
            b"a\\b",
            b"a%2eb",
            b"[::1",
            b"[::1]x",
            b"[::1]:",
            b"[fe80::1%25eth0]",
            b"[v1.x]",
            b"[127.0.0.1]",
            b"::1",
            b"\xe9",
        ] {
            assert_eq!(
                check_authority(authority),
                Err(Reason::HostInvalid),
                "{:?}",
                authority.escape_ascii().to_string()
            );
        }
        assert_eq!(check_authority(b"user@a"), Err(Reason::Userinfo));
    }
}
