use proptest::prelude::*;

use super::*;
use crate::matching::{Match, RouteEntry, RouteTable, Target};
use crate::path::normalise_path;
use crate::pattern::PathPattern;
use crate::view::Request;

fn prefix(from: &str, to: &str) -> PathPrefix {
    PathPrefix { from: from.to_owned(), to: to.to_owned() }
}

fn rewritten(prefix: &PathPrefix, path: &[u8]) -> Option<String> {
    let mut out = b"kept".to_vec();
    let is_rewritten = prefix.rewrite(path, &mut out);
    assert!(is_rewritten || out == b"kept", "appended to no purpose");
    is_rewritten.then(|| String::from_utf8_lossy(&out[4..]).into_owned())
}

/// From, to, path, and what it becomes.
const TABLE: &[(&str, &str, &str, Option<&str>)] = &[
    ("/v1", "/v2", "/v1", Some("/v2")),
    ("/v1", "/v2", "/v1/", Some("/v2/")),
    ("/v1", "/v2", "/v1/a/b", Some("/v2/a/b")),
    ("/v1", "/v2", "/v1/v1", Some("/v2/v1")),
    // Only at the border of a segment.
    ("/v1", "/v2", "/v10", None),
    ("/v1", "/v2", "/v1.5/a", None),
    ("/v1", "/v2", "/v1;x/a", None),
    ("/v1", "/v2", "/v1%2Fa", None),
    ("/v1", "/v2", "/v", None),
    ("/v1", "/v2", "/", None),
    ("/v1", "/v2", "/a/v1", None),
    ("/v1", "/v2", "/V1/a", None),
    ("/a/b", "/c", "/a/b/x", Some("/c/x")),
    ("/a/b", "/c", "/a/bc", None),
    ("/a/b", "/c", "/a", None),
    ("/a/b", "/c", "/a/", None),
    ("/a/b", "/c", "/a%2Fb/x", None),
    ("/v1", "/api/v2", "/v1/a", Some("/api/v2/a")),
    // Slashes count as one where the prefix is sought, and stay where it is not.
    ("/v1", "/v2", "//v1/a", Some("/v2/a")),
    ("/v1", "/v2", "///v1", Some("/v2")),
    ("/v1", "/v2", "/v1//a", Some("/v2//a")),
    ("/v1", "/v2", "/v1//", Some("/v2//")),
    ("/a/b", "/c", "//a///b//x//y", Some("/c//x//y")),
    ("/v1", "/v2", "//", None),
    // Segments are compared decoded.
    ("/caf\u{e9}", "/c", "/caf%C3%A9/a", Some("/c/a")),
    ("/caf%C3%A9", "/c", "/caf\u{e9}/a", Some("/c/a")),
    ("/a%20b", "/c", "/a%20b/x", Some("/c/x")),
    ("/a%2Fb", "/c", "/a%2Fb/x", Some("/c/x")),
    ("/a%2Fb", "/c", "/a/b/x", None),
    ("/100%25", "/c", "/100%25/x", Some("/c/x")),
    ("/100%25", "/c", "/100%2525/x", None),
    // From the root: everything.
    ("", "/v2", "/", Some("/v2/")),
    ("", "/v2", "/a", Some("/v2/a")),
    ("", "/v2", "//a", Some("/v2//a")),
    ("", "/v2", "*", None),
    ("/v1", "/v2", "*", None),
    // To the root: never without a slash, never with two.
    ("/v1", "", "/v1", Some("/")),
    ("/v1", "", "/v1/", Some("/")),
    ("/v1", "", "/v1/a/", Some("/a/")),
    ("/v1", "", "/v1//evil.example/a", Some("/evil.example/a")),
    ("/v1", "", "//v1///evil.example//a", Some("/evil.example//a")),
    ("", "", "//a", Some("/a")),
];

#[test]
fn a_prefix_is_replaced_at_the_border_of_a_segment() {
    for (from, to, path, expected) in TABLE {
        let found = rewritten(&prefix(from, to), path.as_bytes());
        assert_eq!(found.as_deref(), *expected, "{path} from {from:?} to {to:?}");
    }
}

#[test]
fn the_way_back_is_the_way_there_with_both_ends_exchanged() {
    for (from, to, path, expected) in TABLE {
        let mut out = Vec::new();
        let is_restored = prefix(to, from).restore(path.as_bytes(), &mut out);
        assert_eq!(is_restored.then_some(out.as_slice()), expected.map(str::as_bytes), "{path}");
    }
}

#[test]
fn a_field_gives_way_in_every_spelling() {
    let changes = HeaderRules {
        remove: vec!["x-debug".to_owned()],
        set: vec![("X-User".to_owned(), "nobody".to_owned())],
        add: vec![("X-Way".to_owned(), "new".to_owned())],
    };
    for name in ["x-debug", "X-Debug", "X_DEBUG", "x-user", "x_user"] {
        assert!(changes.replaces(name.as_bytes()), "{name}");
    }
    for name in ["x-way", "x-debug-", "xdebug", "debug", "x debug", ""] {
        assert!(!changes.replaces(name.as_bytes()), "{name}");
    }
    assert!(changes.written().eq([("X-User", "nobody"), ("X-Way", "new")]));
    assert_eq!(HeaderRules::default().written().next(), None);
}

#[test]
fn rules_that_change_nothing_are_empty() {
    assert!(Rules::default().is_empty());
    let one = |name: &str| HeaderRules { remove: vec![name.to_owned()], ..HeaderRules::default() };
    for rules in [
        Rules { path_prefix: Some(prefix("", "/v2")), ..Rules::default() },
        Rules { host: HostRule::Endpoint, ..Rules::default() },
        Rules { host: HostRule::Fixed("a".to_owned()), ..Rules::default() },
        Rules { location: true, ..Rules::default() },
        Rules { request_headers: one("a"), ..Rules::default() },
        Rules { response_headers: one("a"), ..Rules::default() },
    ] {
        assert!(!rules.is_empty(), "{rules:?}");
    }
}

fn table_for(from: &str) -> RouteTable {
    let path = if from.is_empty() { PathPattern::Any } else { PathPattern::Prefix(from.to_owned()) };
    let entry = RouteEntry {
        label: String::new(),
        rule: Match { path, ..Match::default() },
        target: Target::Route(0),
    };
    RouteTable::build(vec![entry]).unwrap()
}

proptest! {
    /// Whatever a client writes, what `from/*` matches goes to `to` and nowhere else.
    #[test]
    fn no_spelling_gets_around_the_change(
        raw in path_around_prefixes(),
        from in prop::sample::select(vec!["", "/a", "/a/b", "/%41%20", "/a;b"]),
        to in prop::sample::select(vec!["", "/n", "/n/m", "/a", "/a/b/c"]),
    ) {
        let Ok(path) = normalise_path(&raw) else { return Ok(()) };
        let path = String::from_utf8(path.into_owned()).unwrap();
        let matches = table_for(from).find(&Request::new("h", &path)).is_some();
        let found = rewritten(&prefix(from, to), path.as_bytes());
        prop_assert_eq!(found.is_some(), matches, "{}", path);
        let Some(found) = found else { return Ok(()) };
        // A path, in normal form, that the same route table takes for one below `to`.
        prop_assert!(found.starts_with('/') && (!found.starts_with("//") || to.is_empty()), "{}", found);
        prop_assert!(!found.starts_with("//"), "{}", found);
        let normal = normalise_path(found.as_bytes());
        prop_assert!(matches!(&normal, Ok(std::borrow::Cow::Borrowed(_))), "{} is not normal", found);
        prop_assert!(table_for(to).find(&Request::new("h", &found)).is_some(), "{} is not in {}", found, to);
        prop_assert!(found.strip_prefix(to).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    }
}

/// Paths that begin, nearly begin or nearly do not begin with one of the prefixes.
fn path_around_prefixes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "/", "//", "a", "/a", "/b", "%61", "/.", "/..", "%2e", "%2F", "%2f", ";", "\\", "%41%20", "c",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes())
}
