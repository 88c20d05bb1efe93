use proptest::prelude::*;

use super::{HostPattern, HostPatternError, PathPattern, PathPatternError, Segment};
use crate::path::PathError;

#[test]
fn reads_hosts() {
    let exact = |host: &str| Ok(HostPattern::Exact(host.to_owned()));
    let wildcard = |suffix: &str| Ok(HostPattern::Wildcard(suffix.to_owned()));
    let table: &[(&str, Result<HostPattern, HostPatternError>)] = &[
        ("shop.example.com", exact("shop.example.com")),
        ("Shop.Example.COM", exact("shop.example.com")),
        ("shop.example.com:8443", exact("shop.example.com")),
        ("shop.example.com.", exact("shop.example.com")),
        ("localhost", exact("localhost")),
        ("my_host-1", exact("my_host-1")),
        ("192.0.2.1:80", exact("192.0.2.1")),
        ("[2001:DB8::1]", exact("[2001:db8::1]")),
        ("[::1]:8080", exact("[::1]")),
        ("*.example.com", wildcard("example.com")),
        ("*.Example.com:80", wildcard("example.com")),
        ("*.com", wildcard("com")),
        ("", Err(HostPatternError::EmptyLabel)),
        (".", Err(HostPatternError::EmptyLabel)),
        ("a..b", Err(HostPatternError::EmptyLabel)),
        (".example.com", Err(HostPatternError::EmptyLabel)),
        ("*.", Err(HostPatternError::MisplacedStar)),
        ("*", Err(HostPatternError::MisplacedStar)),
        ("*.*.example.com", Err(HostPatternError::MisplacedStar)),
        ("shop*.example.com", Err(HostPatternError::MisplacedStar)),
        ("shop.*", Err(HostPatternError::MisplacedStar)),
        ("shop example", Err(HostPatternError::BadCharacter(' '))),
        ("http://shop", Err(HostPatternError::BadPort)),
        ("b\u{fc}cher.example", Err(HostPatternError::BadCharacter('\u{fc}'))),
        ("user@shop", Err(HostPatternError::BadCharacter('@'))),
        ("shop:http", Err(HostPatternError::BadPort)),
        ("shop:", Err(HostPatternError::BadPort)),
        ("shop:99999", Err(HostPatternError::BadPort)),
        ("shop:+80", Err(HostPatternError::BadPort)),
        ("::1", Err(HostPatternError::BadPort)),
        ("[::g]", Err(HostPatternError::BadAddress)),
        ("[::1", Err(HostPatternError::BadPort)),
        ("[", Err(HostPatternError::BadAddress)),
        ("[::1]x", Err(HostPatternError::BadAddress)),
    ];
    for (text, expected) in table {
        assert_eq!(text.parse::<HostPattern>(), *expected, "{text:?}");
        if let Ok(host) = expected {
            assert_eq!(host.to_string().parse::<HostPattern>().as_ref(), Ok(host));
        }
    }
}

#[test]
fn reads_paths() {
    let literal = |text: &str| Segment::Literal(text.to_owned());
    let param = |name: &str| Segment::Param(name.to_owned());
    let table: &[(&str, PathPattern)] = &[
        ("/*", PathPattern::Any),
        ("/", PathPattern::Exact("/".to_owned())),
        ("/checkout", PathPattern::Exact("/checkout".to_owned())),
        ("/checkout/", PathPattern::Exact("/checkout/".to_owned())),
        ("/a/b%2Fc", PathPattern::Exact("/a/b%2Fc".to_owned())),
        ("/caf\u{e9}", PathPattern::Exact("/caf\u{e9}".to_owned())),
        ("/.well-known/*", PathPattern::Prefix("/.well-known".to_owned())),
        ("/checkout/*", PathPattern::Prefix("/checkout".to_owned())),
        ("/{id}", PathPattern::Segments(vec![param("id")])),
        ("/users/{id}/orders", PathPattern::Segments(vec![literal("users"), param("id"), literal("orders")])),
        (
            "/users/{user-id}/*",
            PathPattern::Segments(vec![literal("users"), param("user-id"), Segment::Rest]),
        ),
        ("/users/{id}/", PathPattern::Segments(vec![literal("users"), param("id"), literal("")])),
    ];
    for (text, expected) in table {
        assert_eq!(text.parse::<PathPattern>().as_ref(), Ok(expected), "{text}");
        assert_eq!(expected.to_string(), *text);
    }
    assert_eq!(PathPattern::default(), PathPattern::Any);
}

#[test]
fn says_why_a_path_is_no_pattern() {
    let deep = "/a".repeat(65);
    let table: &[(&str, PathPatternError, &str)] = &[
        ("", PathPatternError::NotAbsolute, "every path is `/*`"),
        ("*", PathPatternError::NotAbsolute, "every path is `/*`"),
        ("checkout", PathPatternError::NotAbsolute, "begins with `/`"),
        ("//", PathPatternError::EmptySegment, "never matches"),
        ("/a//b", PathPatternError::EmptySegment, "never matches"),
        ("/a//*", PathPatternError::EmptySegment, "never matches"),
        ("/a*", PathPatternError::MisplacedStar, "alone at the end"),
        ("/*/a", PathPatternError::MisplacedStar, "`%2A`"),
        ("/**", PathPatternError::MisplacedStar, "alone at the end"),
        ("/{}", PathPatternError::BadParam, "`{name}`"),
        ("/{id", PathPatternError::BadParam, "`{name}`"),
        ("/id}", PathPatternError::BadParam, "`{name}`"),
        ("/a{id}", PathPatternError::BadParam, "`{name}`"),
        ("/{id}.json", PathPatternError::BadParam, "`{name}`"),
        ("/{a b}", PathPatternError::BadParam, "`{name}`"),
        ("/a/../b", PathPatternError::DotSegment, "resolved"),
        ("/./b", PathPatternError::DotSegment, "resolved"),
        ("/%2e%2E", PathPatternError::DotSegment, "resolved"),
        ("/a?b=1", PathPatternError::BadPath(PathError::ForbiddenByte(b'?')), "conditions on the query"),
        ("/a#b", PathPatternError::BadPath(PathError::ForbiddenByte(b'#')), "0x23"),
        ("/a b", PathPatternError::BadPath(PathError::ForbiddenByte(b' ')), "0x20"),
        ("/100%", PathPatternError::BadPath(PathError::MalformedPercent), "two hex digits"),
        ("/%00", PathPatternError::BadPath(PathError::Nul), "NUL"),
        ("/a/..%2f", PathPatternError::BadPath(PathError::HiddenDotSegment), "hides"),
        (&deep, PathPatternError::TooManySegments, "at most 64"),
    ];
    for (text, error, message) in table {
        assert_eq!(text.parse::<PathPattern>(), Err(*error), "{text:?}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_back_or_refused(text in "[/a*{}.%2F:\\[\\]\u{e9}]{0,12}|.{0,12}") {
        if let Ok(path) = text.parse::<PathPattern>() {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
        if let Ok(host) = text.parse::<HostPattern>() {
            prop_assert_eq!(host.to_string().parse(), Ok(host));
        }
    }
}
