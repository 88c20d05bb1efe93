//! Where a hook or webhook is called: an `http://` or `https://` URL (RFC 3986), checked before anything uses it.
//!
//! Such an address often carries a token in its query, and it stands in logs, answers and the journal. So whatever shows
//! a [`HookUrl`], [`Debug`] included, masks the values of the query. Only [`HookUrl::target`] has them.

use std::fmt::{self, Debug, Display, Formatter};
use std::str::FromStr;

use route_plan::Endpoint;
use route_plan::authority::host_and_port;

/// The longest URL that is taken, in bytes.
pub const MAX_URL_BYTES: usize = 2048;

/// The address of a hook: a scheme, a host, a port, and a path with or without a query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HookUrl {
    is_https: bool,
    endpoint: Endpoint,
    target: String,
}

impl HookUrl {
    /// Whether it is called over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Host and port; a port that is not named is 80, or 443 with `https`. Names are in lower case.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The request target in origin form (RFC 9112, section 3.2.1): the path from `/` on, and the query. Not to be shown.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The `Host` field (RFC 9110, section 7.2): the port only where it is not the scheme's own.
    #[must_use]
    pub fn host_field(&self) -> &str {
        let authority = self.endpoint.authority.as_str();
        let default = if self.is_https { ":443" } else { ":80" };
        authority.strip_suffix(default).unwrap_or(authority)
    }

    /// Scheme, host and port, which is all that a failed connection is about: `https://hooks.example`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.is_https { "https" } else { "http" }, self.host_field())
    }
}

/// The address with `***` for each value in the query.
impl Display for HookUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        write!(f, "{}{path}", self.origin())?;
        for (at, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
            f.write_str(if at == 0 { "?" } else { "&" })?;
            match pair.split_once('=') {
                Some((name, _)) => write!(f, "{name}=***")?,
                // What has no name is a value.
                None if pair.is_empty() => {}
                None => f.write_str("***")?,
            }
        }
        Ok(())
    }
}

impl Debug for HookUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "HookUrl({self})")
    }
}

impl FromStr for HookUrl {
    type Err = HookUrlError;

    /// Reads `http://HOST[:PORT][/PATH][?QUERY]` or the same with `https`.
    ///
    /// # Errors
    /// When it is anything else: see [`HookUrlError`].
    fn from_str(text: &str) -> Result<Self, HookUrlError> {
        if text.len() > MAX_URL_BYTES {
            return Err(HookUrlError::TooLong);
        }
        let (is_https, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(HookUrlError::Scheme),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(HookUrlError::UserInfo);
        }
        let (host, port) = host_and_port(authority).map_err(HookUrlError::Host)?;
        check_target(target)?;
        let port = port.unwrap_or(if is_https { 443 } else { 80 });
        let slash = if target.starts_with('/') { "" } else { "/" };
        let endpoint = Endpoint::new(&host.to_ascii_lowercase(), port);
        Ok(Self { is_https, endpoint, target: format!("{slash}{target}") })
    }
}

/// Path and query have the characters of RFC 3986, sections 3.3 and 3.4, and no others.
fn check_target(target: &str) -> Result<(), HookUrlError> {
    let mut rest = target.chars();
    while let Some(next) = rest.next() {
        match next {
            '#' => return Err(HookUrlError::Fragment),
            '%' => {
                let mut hex = || rest.next().is_some_and(|digit| digit.is_ascii_hexdigit());
                if !(hex() && hex()) {
                    return Err(HookUrlError::Percent);
                }
            }
            fits if fits.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?".contains(fits) => {}
            odd => return Err(HookUrlError::Character(odd)),
        }
    }
    Ok(())
}

/// What is wrong with the address of a hook. Its sentence never has more of it than a host or one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookUrlError {
    /// It is longer than [`MAX_URL_BYTES`].
    TooLong,
    /// It begins with neither `http://` nor `https://`.
    Scheme,
    /// It has a user name or password before an `@`.
    UserInfo,
    /// There is no host, or host or port are none: the sentence that says so.
    Host(String),
    /// It has a `#`, and what follows that is never sent.
    Fragment,
    /// A `%` is not followed by two hexadecimal digits.
    Percent,
    /// It has this character, which no URL has.
    Character(char),
}

impl Display for HookUrlError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the address is longer than {MAX_URL_BYTES} bytes"),
            Self::Scheme => f.write_str("the address begins with neither `http://` nor `https://`"),
            Self::UserInfo => f.write_str(
                "the address carries a user name or password, which is never sent; take out what stands before the `@`",
            ),
            Self::Host(sentence) => f.write_str(sentence),
            Self::Fragment => f.write_str("the part after `#` is never sent; leave it out, or write `%23`"),
            Self::Percent => {
                f.write_str("a `%` in the address needs two hexadecimal digits after it; write `%25` for itself")
            }
            Self::Character(odd) => {
                let mut bytes = [0; 4];
                let encoded: String =
                    odd.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect();
                write!(f, "{odd:?} cannot stand in an address; write `{encoded}`")
            }
        }
    }
}

impl std::error::Error for HookUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> HookUrl {
        text.parse().unwrap()
    }

    #[test]
    fn parts_of_an_address() {
        for (text, is_https, authority, host_field, target) in [
            ("http://hooks", false, "hooks:80", "hooks", "/"),
            ("http://Hooks.Example:8080/a/b", false, "hooks.example:8080", "hooks.example:8080", "/a/b"),
            ("https://10.0.0.1?a=b", true, "10.0.0.1:443", "10.0.0.1", "/?a=b"),
            ("https://[::1]:443/%20?", true, "[::1]:443", "[::1]", "/%20?"),
            ("https://h:80/", true, "h:80", "h:80", "/"),
            ("http://h/a@b?c=http://d", false, "h:80", "h", "/a@b?c=http://d"),
        ] {
            let url = parse(text);
            assert_eq!(url.is_https(), is_https, "{text}");
            assert_eq!(url.endpoint().authority, authority, "{text}");
            assert_eq!(url.host_field(), host_field, "{text}");
            assert_eq!(url.target(), target, "{text}");
        }
    }

    #[test]
    fn faults_are_sentences() {
        for (text, sentence) in [
            ("hooks.example/x", "the address begins with neither `http://` nor `https://`"),
            ("ftp://hooks.example", "the address begins with neither `http://` nor `https://`"),
            ("http://", "`` is neither a host name nor an IP address"),
            ("http:///path", "`` is neither a host name nor an IP address"),
            ("https://h:0/", "`0` is not a port from 1 to 65535"),
            ("https://::1/", "an IPv6 address stands in brackets"),
            (
                "https://me:s3cret@h/",
                "the address carries a user name or password, which is never sent; take out what stands before the `@`",
            ),
            ("https://h/a#b", "the part after `#` is never sent; leave it out, or write `%23`"),
            ("https://h#b", "the part after `#` is never sent; leave it out, or write `%23`"),
            (
                "https://h/?a=%2",
                "a `%` in the address needs two hexadecimal digits after it; write `%25` for itself",
            ),
            ("https://h/a b", "' ' cannot stand in an address; write `%20`"),
            ("https://h/a\r\nx: y", "'\\r' cannot stand in an address; write `%0D`"),
            ("https://h/ü", "'ü' cannot stand in an address; write `%C3%BC`"),
        ] {
            assert_eq!(text.parse::<HookUrl>().unwrap_err().to_string(), sentence, "{text}");
        }
        let long = format!("http://h/{}", "a".repeat(MAX_URL_BYTES));
        assert_eq!(long.parse::<HookUrl>(), Err(HookUrlError::TooLong));
    }

    #[test]
    fn what_is_shown_has_no_value_of_the_query() {
        for (text, shown) in [
            ("http://h/ramp", "http://h/ramp"),
            ("https://h:8443/ramp?token=s3cret&x=&s3cret", "https://h:8443/ramp?token=***&x=***&***"),
            ("https://h/?", "https://h/?"),
            ("https://h/?a=b?c=d=s3cret", "https://h/?a=***"),
        ] {
            assert_eq!(parse(text).to_string(), shown);
            assert_eq!(format!("{:?}", parse(text)), format!("HookUrl({shown})"));
        }
    }
}
