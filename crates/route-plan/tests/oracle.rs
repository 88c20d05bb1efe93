//! The route table against its own documentation, read naively: try every rule, compare ranks, look at all requests of
//! a small world to see which rules can meet.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod view;

use std::cmp::Reverse;
use std::sync::LazyLock;

use proptest::prelude::*;
use route_plan::{HostPattern, Match, PathPattern, RouteEntry, RouteTable, Segment, Target, Tie, ValueMatch};
use traffic_split::RequestView;
use view::Request;

const HOSTS: [&str; 5] = ["", "a.example", "b.a.example", "c.b.a.example", "other"];
const HOST_PATTERNS: [&str; 5] = ["a.example", "b.a.example", "*.example", "*.a.example", "*.b.a.example"];

const METHODS: [&[&str]; 5] = [&[], &[], &["GET"], &["POST"], &["GET", "POST"]];

/// Some rules over few places, so that rules of one place compete by their conditions, and places by their shape.
fn entries() -> impl Strategy<Value = Vec<RouteEntry>> {
    let places = prop::collection::vec(place(), 3);
    let choices = prop::collection::vec((0_usize..3, conditions(), 0_usize..4), 1..8);
    (places, choices).prop_map(|(places, choices)| {
        let entry = |(at, rule, target): (usize, Match, usize)| {
            let (host, path): &(Option<HostPattern>, PathPattern) = &places[at];
            RouteEntry {
                label: path.to_string(),
                rule: Match { host: host.clone(), path: path.clone(), ..rule },
                target: Target::Route(target),
            }
        };
        choices.into_iter().map(entry).collect()
    })
}

fn place() -> impl Strategy<Value = (Option<HostPattern>, PathPattern)> {
    let host =
        prop::option::of(prop::sample::select(&HOST_PATTERNS[..]).prop_map(|host| host.parse().unwrap()));
    let segments = prop::collection::vec(prop::sample::select(&["a", "b", "{x}"][..]), 0..4);
    let tail = prop::sample::select(&["", "", "/", "/*", "/*"][..]);
    let path = (segments, tail).prop_map(|(segments, tail)| {
        let path: String = segments.iter().flat_map(|segment| ["/", segment]).chain([tail]).collect();
        if path.is_empty() { PathPattern::Exact("/".to_owned()) } else { path.parse().unwrap() }
    });
    (host, path)
}

fn conditions() -> impl Strategy<Value = Match> {
    let values = || {
        let name = prop::sample::select(&["x", "y"][..]);
        let value = prop::sample::select(&[None, Some("1"), Some("2")][..]);
        let few = prop::sample::select(&[0, 0, 0, 1, 1, 2][..]);
        few.prop_flat_map(move |count| {
            prop::collection::vec((name.clone(), value.clone()).prop_map(value_match), count)
        })
    };
    let methods = prop::sample::select(&METHODS[..]);
    (methods, values(), values()).prop_map(|(methods, headers, query)| Match {
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        headers,
        query,
        ..Match::default()
    })
}

fn value_match((name, value): (&str, Option<&str>)) -> ValueMatch {
    ValueMatch { name: name.to_owned(), value: value.map(str::to_owned) }
}

const METHODS_SENT: [&str; 3] = ["GET", "POST", "PUT"];

/// What two names can hold; 3 stands for any value that no rule names.
const VALUES: [Option<&str>; 4] = [None, Some("1"), Some("2"), Some("3")];

/// Every path of up to three segments, with and without a slash at the end, and some in odd spellings.
static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut paths =
        ["*", "/", "//", "//a", "/a//b/", "/%61/b", "/a/b/c/a/", "/b/a/b/a"].map(str::to_owned).to_vec();
    let mut longest = vec![String::new()];
    for _ in 0..3 {
        longest =
            longest.iter().flat_map(|path| ["a", "b", "c"].map(|next| format!("{path}/{next}"))).collect();
        paths.extend(longest.iter().flat_map(|path| [path.clone(), format!("{path}/")]));
    }
    paths
});

/// Every path with every host and with all combinations of headers; methods and parameters in turn.
static WORLD: LazyLock<Vec<Request>> = LazyLock::new(|| {
    let mut world = Vec::new();
    for (path, host) in PATHS.iter().flat_map(|path| HOSTS.map(|host| (path, host))) {
        for turn in 0..16 {
            let number = world.len() / 3 + turn;
            let parameters = [("x", VALUES[number % 4]), ("y", VALUES[number / 4 % 4])];
            let pairs = parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}&", (*value)?)));
            let request = Request::new(host, &format!("{path}?{}", pairs.collect::<String>()));
            let mut request = request.method(METHODS_SENT[world.len() % 3]);
            for (name, value) in [("x", VALUES[turn % 4]), ("y", VALUES[turn / 4])] {
                request = value.iter().fold(request, |request, value| request.header(name, value));
            }
            world.push(request);
        }
    }
    world
});

fn matches(rule: &Match, request: &Request) -> bool {
    let header =
        |name: &str| RequestView::header(request, name, 0).map(|value| str::from_utf8(value).unwrap());
    let pairs = || request.query.iter().flat_map(|query| query.split('&'));
    let parameter = |name: &str| pairs().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    host_matches(rule.host.as_ref(), &request.host)
        && path_matches(&rule.path, &request.path)
        && method_matches(rule, &request.method)
        && values_match(&rule.headers, header)
        && values_match(&rule.query, parameter)
}

/// Whether both match one request. Host, path, method, headers and query can be chosen apart from each other.
fn can_meet(one: &Match, other: &Match) -> bool {
    let values_can_meet = |one: &[ValueMatch], other: &[ValueMatch]| {
        VALUES.iter().any(|x| {
            VALUES.iter().any(|y| {
                let value = |name: &str| if name == "x" { *x } else { *y };
                values_match(one, value) && values_match(other, value)
            })
        })
    };
    let hosts = || [one, other].map(|rule| rule.host.as_ref());
    HOSTS.iter().any(|host| hosts().into_iter().all(|pattern| host_matches(pattern, host)))
        && PATHS.iter().any(|path| path_matches(&one.path, path) && path_matches(&other.path, path))
        && METHODS_SENT.iter().any(|method| method_matches(one, method) && method_matches(other, method))
        && values_can_meet(&one.headers, &other.headers)
        && values_can_meet(&one.query, &other.query)
}

fn host_matches(pattern: Option<&HostPattern>, host: &str) -> bool {
    match pattern {
        None => true,
        Some(HostPattern::Exact(wanted)) => host == wanted,
        Some(HostPattern::Wildcard(suffix)) => host.ends_with(&format!(".{suffix}")),
    }
}

fn method_matches(rule: &Match, method: &str) -> bool {
    rule.methods.is_empty() || rule.methods.iter().any(|wanted| wanted == method)
}

fn values_match<'a>(conditions: &[ValueMatch], value: impl Fn(&str) -> Option<&'a str>) -> bool {
    let holds = |condition: &ValueMatch| {
        value(&condition.name)
            .is_some_and(|value| condition.value.as_deref().is_none_or(|wanted| wanted == value))
    };
    conditions.iter().all(holds)
}

/// One token for each segment, `/` for a slash at the end.
fn path_matches(pattern: &PathPattern, path: &str) -> bool {
    if path == "*" {
        return *pattern == PathPattern::Any;
    }
    let path = path.replace("%61", "a");
    let mut tokens: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if path.ends_with('/') {
        tokens.push("/");
    }
    let mut wanted = pattern_tokens(pattern);
    if wanted.last().is_some_and(|last| last == "/*") {
        wanted.pop();
        tokens.truncate(wanted.len());
    }
    wanted.len() == tokens.len()
        && wanted.iter().zip(tokens).all(|(wanted, token)| wanted == token || wanted == "{}" && token != "/")
}

fn pattern_tokens(pattern: &PathPattern) -> Vec<String> {
    let text = match pattern {
        PathPattern::Segments(segments) => {
            let anonymous = segments.iter().map(|segment| match segment {
                Segment::Literal(text) => text.as_str(),
                Segment::Param(_) => "{}",
                Segment::Rest => "*",
            });
            anonymous.fold(String::new(), |path, segment| path + "/" + segment)
        }
        other => other.to_string(),
    };
    let mut tokens: Vec<String> =
        text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if text.ends_with('/') {
        tokens.push("/".to_owned());
    } else if text.ends_with("/*") {
        tokens.pop();
        tokens.push("/*".to_owned());
    }
    tokens
}

/// The documented order: the smaller, the more specific.
fn rank(rule: &Match) -> impl Ord + use<> {
    let host = match &rule.host {
        Some(HostPattern::Exact(_)) => (0, Reverse(0)),
        Some(HostPattern::Wildcard(suffix)) => (1, Reverse(suffix.len())),
        None => (2, Reverse(0)),
    };
    // Text before a parameter before the end (with or without slash) before anything.
    let mut path: Vec<u8> = pattern_tokens(&rule.path)
        .iter()
        .map(|token| match token.as_str() {
            "{}" => 1,
            "/" => 2,
            "/*" => 3,
            _ => 0,
        })
        .collect();
    if path.last().is_none_or(|last| *last < 2) {
        path.push(2);
    }
    let count = |conditions: &[ValueMatch]| {
        Reverse((conditions.len(), conditions.iter().filter(|condition| condition.value.is_some()).count()))
    };
    (host, path, rule.methods.is_empty(), count(&rule.headers), count(&rule.query))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_table_finds_what_the_documentation_says(mut entries in entries()) {
        // A table with ties is refused, rightly; without the later rule of each tie it must be accepted.
        if let Err(ties) = RouteTable::build(entries.clone()) {
            for Tie { first, second } in &ties {
                let (one, other) = (&entries[*first], &entries[*second]);
                prop_assert!(first < second && one.target != other.target);
                prop_assert!(rank(&one.rule) == rank(&other.rule), "{:?} {:?}", one, other);
                prop_assert!(can_meet(&one.rule, &other.rule), "{:?} {:?}", one, other);
            }
            let mut index = 0;
            entries.retain(|_| {
                index += 1;
                !ties.iter().any(|tie| tie.second == index - 1)
            });
        }
        let table = RouteTable::build(entries.clone()).unwrap();
        for (index, one) in entries.iter().enumerate() {
            for other in &entries[..index] {
                let is_tie = one.target != other.target && rank(&one.rule) == rank(&other.rule);
                prop_assert!(!is_tie || !can_meet(&one.rule, &other.rule), "no tie: {:?} {:?}", one, other);
            }
        }
        for request in WORLD.iter() {
            let fitting = entries.iter().enumerate().filter(|(_, entry)| matches(&entry.rule, request));
            let expected = fitting.min_by_key(|(index, entry)| (rank(&entry.rule), *index));
            let found = table.find(request);
            prop_assert_eq!(found, expected.map(|(index, entry)| (entry.target, index)), "{:?}", request);
        }
    }
}
