//! Why a message was refused: one name for each rule, with its section, the status to answer and a sentence.

use core::fmt;

macro_rules! reasons {
    ($($name:ident $label:literal $status:literal $section:literal $sentence:literal;)*) => {
        /// The rule that a message broke.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = concat!($sentence, " (", $section, "; answered ", $status, ").")] $name,)*
        }

        impl Reason {
            /// Every reason, for those who register a metric for each.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// A short name in kebab case, for metric labels and logs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// The section that the message broke, as in `RFC 9112 5.1`.
            #[must_use]
            pub fn section(self) -> &'static str {
                match self { $(Self::$name => $section,)* }
            }

            fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

reasons! {
    NotHttp "not-http" 400 "RFC 9112 2.1" "the first bytes cannot begin an HTTP/1 message";
    EmptyLines "empty-lines" 400 "RFC 9112 2.2" "more than one empty line precedes the request line";
    BareLf "bare-lf" 400 "RFC 9112 2.2" "a line feed is not preceded by a carriage return";
    BareCr "bare-cr" 400 "RFC 9112 2.2" "a carriage return is not followed by a line feed";
    HeadTooLarge "head-too-large" 431 "RFC 6585 5" "the head is longer than the limit";
    TooManyFields "too-many-fields" 431 "RFC 6585 5" "the head has more fields than the limit";
    BadRequestLine "bad-request-line" 400 "RFC 9112 3" "the request line is not a method, a target and a version with one space between them";
    BadMethod "bad-method" 400 "RFC 9110 9.1" "the method is not a token";
    MethodTooLong "method-too-long" 501 "RFC 9112 3" "the method is longer than any that exists";
    ConnectMethod "connect-method" 501 "RFC 9110 9.3.6" "a reverse proxy does not open tunnels for CONNECT";
    TargetTooLong "target-too-long" 414 "RFC 9112 3" "the request target is longer than the limit";
    BadTarget "bad-target" 400 "RFC 9112 3.2" "the request target has none of the four forms, or not the one that its method needs";
    BadScheme "bad-scheme" 400 "RFC 9112 3.2.2" "the scheme of the request target is neither http nor https";
    BadVersion "bad-version" 400 "RFC 9112 2.3" "the version is not of the form HTTP/1.1";
    UnsupportedVersion "unsupported-version" 505 "RFC 9110 15.6.6" "the version is neither HTTP/1.1 nor HTTP/1.0";
    BadStatusLine "bad-status-line" 400 "RFC 9112 4" "the status line is not a version, a status and a reason with one space between them";
    BadStatus "bad-status" 400 "RFC 9110 15" "the status is not between 100 and 599";
    SpaceBeforeFields "space-before-fields" 400 "RFC 9112 2.2" "white space stands between the start line and the first field";
    EmptyName "empty-name" 400 "RFC 9112 5" "a field has no name";
    BadName "bad-name" 400 "RFC 9110 5.1" "a field name is not a token";
    MissingColon "missing-colon" 400 "RFC 9112 5" "a field line has no colon";
    SpaceBeforeColon "space-before-colon" 400 "RFC 9112 5.1" "white space stands between a field name and its colon";
    Folded "folded" 400 "RFC 9112 5.2" "a field value is folded over several lines";
    BadValue "bad-value" 400 "RFC 9110 5.5" "a field value holds a control character";
    HostMissing "host-missing" 400 "RFC 9112 3.2" "an HTTP/1.1 request has no Host field";
    HostRepeated "host-repeated" 400 "RFC 9112 3.2" "a request has more than one Host field";
    HostInvalid "host-invalid" 400 "RFC 9112 3.2" "the host is empty, or not a host with an optional port";
    Userinfo "userinfo" 400 "RFC 9110 4.2.4" "the authority holds user information";
    LengthAndCoding "length-and-coding" 400 "RFC 9112 6.1" "Content-Length and Transfer-Encoding stand in the same message";
    LengthRepeated "length-repeated" 400 "RFC 9110 8.6" "there is more than one Content-Length field";
    BadLength "bad-length" 400 "RFC 9110 8.6" "Content-Length is not a decimal number below 2^63";
    BadCoding "bad-coding" 400 "RFC 9112 6.3" "the last transfer coding is not chunked, or the list of codings is malformed";
    CodingRepeated "coding-repeated" 400 "RFC 9112 6.1" "chunked is applied more than once";
    UnsupportedCoding "unsupported-coding" 501 "RFC 9112 6.1" "a transfer coding other than chunked is applied";
    CodingInHttp10 "coding-in-http10" 400 "RFC 9112 6.1" "Transfer-Encoding stands in an HTTP/1.0 message";
    BodyNotAllowed "body-not-allowed" 400 "RFC 9112 6.1" "a 1xx or 204 response announces a body";
    BadConnectionOption "bad-connection-option" 400 "RFC 9110 7.6.1" "a connection option is not a token";
    ProtectedOption "protected-option" 400 "RFC 9110 7.6.1" "Connection names a field that all recipients need";
    TooManyOptions "too-many-options" 400 "RFC 9110 7.6.1" "Connection names more fields than anybody does";
    SwitchWithoutUpgrade "switch-without-upgrade" 400 "RFC 9110 15.2.2" "a 101 response does not say which protocol it switches to";
    UnknownExpectation "unknown-expectation" 417 "RFC 9110 10.1.1" "the expectation is not 100-continue";
    BadChunkSize "bad-chunk-size" 400 "RFC 9112 7.1" "a chunk size is not a hexadecimal number";
    ChunkSizeOverflow "chunk-size-overflow" 400 "RFC 9112 7.1" "a chunk size has more than 16 digits or is not below 2^63";
    ChunkLineTooLong "chunk-line-too-long" 400 "RFC 9112 7.1.1" "the line before a chunk is longer than the limit";
    BadChunkExtension "bad-chunk-extension" 400 "RFC 9112 7.1.1" "a chunk extension is malformed";
    ChunkExtensionsTooLarge "chunk-extensions-too-large" 400 "RFC 9112 7.1.1" "the chunk extensions of a body add up to more than the limit";
    ChunkNotTerminated "chunk-not-terminated" 400 "RFC 9112 7.1" "a chunk's data is not followed by CRLF";
    TrailersTooLarge "trailers-too-large" 431 "RFC 6585 5" "the trailers are longer than the limit";
    TooManyTrailers "too-many-trailers" 431 "RFC 6585 5" "there are more trailers than the limit";
    Truncated "truncated" 400 "RFC 9112 8" "the connection closed before the message was complete";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.sentence(), self.section())
    }
}

/// A message was refused. The connection cannot be used further: where the next message would begin is
/// unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reject {
    /// The rule that was broken.
    pub reason: Reason,
}

impl Reject {
    /// The status to answer a client whose request was refused: 400, 414, 417, 431, 501 or 505. When a
    /// *response* was refused its client gets 502 whatever the reason, as it was not the client's fault.
    #[must_use]
    pub fn status(self) -> u16 {
        self.reason.status()
    }

    /// The rule that was broken.
    #[must_use]
    pub fn reason(self) -> Reason {
        self.reason
    }
}

impl From<Reason> for Reject {
    fn from(reason: Reason) -> Self {
        Self { reason }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl core::error::Error for Reject {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::string::ToString;

    use super::{Reason, Reject};

    #[test]
    fn labels_are_distinct_and_kebab_case() {
        let labels: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        for label in labels {
            assert!(
                label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{label}"
            );
        }
    }

    #[test]
    fn a_rejection_reads_as_a_sentence_with_its_section() {
        let reject = Reject::from(Reason::BareLf);
        assert_eq!(reject.to_string(), "a line feed is not preceded by a carriage return (RFC 9112 2.2)");
        assert_eq!((reject.status(), reject.reason()), (400, Reason::BareLf));
    }
}
