use super::{Match, RouteEntry, RouteTable, Target, Tie, ValueMatch};
use crate::view::Request;

/// A rule in short: `METHOD,METHOD host /path ?name=value name: value`, each part but the path optional.
fn rule(text: &str) -> Match {
    let mut rule = Match::default();
    let condition = |text: &str, separator: char| match text.split_once(separator) {
        Some((name, value)) => ValueMatch { name: name.to_owned(), value: Some(value.to_owned()) },
        None => ValueMatch { name: text.to_owned(), value: None },
    };
    for word in text.split_whitespace() {
        if word.starts_with('/') {
            rule.path = word.parse().unwrap();
        } else if let Some(parameter) = word.strip_prefix('?') {
            rule.query.push(condition(parameter, '='));
        } else if let Some(header) = word.strip_prefix('@') {
            rule.headers.push(condition(header, '='));
        } else if word.chars().all(|letter| letter.is_ascii_uppercase() || letter == ',') {
            rule.methods = word.split(',').map(str::to_owned).collect();
        } else {
            rule.host = Some(word.parse().unwrap());
        }
    }
    rule
}

/// Each rule with an upstream of its own.
fn entries(rules: &[&str]) -> Vec<RouteEntry> {
    let entry = |(index, text): (usize, &&str)| RouteEntry {
        label: format!("route.r{index} match 1"),
        rule: rule(text),
        target: Target::Route(index),
    };
    rules.iter().enumerate().map(entry).collect()
}

fn table(rules: &[&str]) -> RouteTable {
    RouteTable::build(entries(rules)).unwrap_or_else(|ties| panic!("{rules:?}: {ties:?}"))
}

fn find(table: &RouteTable, request: &Request) -> Option<usize> {
    table.find(request).map(|(target, entry)| {
        assert_eq!(target, Target::Route(entry));
        entry
    })
}

#[test]
fn a_rule_matches_what_it_says() {
    let get = Request::new;
    let cases: &[(&str, Request, bool)] = &[
        // Path: exact.
        ("/checkout", get("", "/checkout"), true),
        ("/checkout", get("", "/checkout?a=1"), true),
        ("/checkout", get("", "/checkout/"), false),
        ("/checkout", get("", "/checkouts"), false),
        ("/checkout", get("", "/Checkout"), false),
        ("/checkout", get("", "/checkout/pay"), false),
        ("/checkout", get("", "/"), false),
        ("/checkout/", get("", "/checkout/"), true),
        ("/checkout/", get("", "/checkout"), false),
        ("/", get("", "/"), true),
        ("/", get("", "/a"), false),
        // Path: prefix, at the borders of segments.
        ("/checkout/*", get("", "/checkout"), true),
        ("/checkout/*", get("", "/checkout/"), true),
        ("/checkout/*", get("", "/checkout/pay/now"), true),
        ("/checkout/*", get("", "/checkouts"), false),
        ("/checkout/*", get("", "/"), false),
        // Path: parameters.
        ("/users/{id}", get("", "/users/42"), true),
        ("/users/{id}", get("", "/users/a%2Fb"), true),
        ("/users/{id}", get("", "/users"), false),
        ("/users/{id}", get("", "/users/"), false),
        ("/users/{id}", get("", "/users/42/"), false),
        ("/users/{id}", get("", "/users/42/orders"), false),
        ("/users/{id}/", get("", "/users/42/"), true),
        ("/users/{id}/orders", get("", "/users/42/orders"), true),
        ("/users/{id}/orders/*", get("", "/users/42/orders"), true),
        ("/users/{id}/orders/*", get("", "/users/42/orders/7"), true),
        // Path: any.
        ("/*", get("", "/"), true),
        ("/*", get("", "/a/b"), true),
        ("/*", get("", "*"), true),
        ("/", get("", "*"), false),
        ("/{any}", get("", "*"), false),
        // Slashes are merged, encoding makes no difference, an encoded slash is no slash.
        ("/admin/*", get("", "//admin"), true),
        ("/admin/*", get("", "/admin//x"), true),
        ("/a/b", get("", "//a///b"), true),
        ("/a/b/", get("", "/a/b//"), true),
        ("/", get("", "//"), true),
        ("/admin", get("", "/%61dmin"), true),
        ("/a!b", get("", "/a%21b"), true),
        ("/a%21b", get("", "/a!b"), true),
        ("/caf%c3%a9", get("", "/caf%C3%A9"), true),
        ("/caf\u{e9}", get("", "/caf%C3%A9"), true),
        ("/a/b", get("", "/a%2Fb"), false),
        ("/a%2fb", get("", "/a%2Fb"), true),
        ("/a%2fb", get("", "/a/b"), false),
        // Host.
        ("shop.example.com", get("shop.example.com", "/"), true),
        ("shop.example.com", get("SHOP.example.COM", "/"), true),
        ("shop.example.com", get("shop.example.com.", "/"), true),
        ("shop.example.com", get("www.shop.example.com", "/"), false),
        ("shop.example.com", get("", "/"), false),
        ("*.example.com", get("shop.example.com", "/"), true),
        ("*.example.com", get("a.b.Example.com", "/"), true),
        ("*.example.com", get("example.com", "/"), false),
        ("*.example.com", get(".example.com", "/"), false),
        ("*.example.com", get("shopexample.com", "/"), false),
        ("[::1]", get("[::1]", "/"), true),
        ("shop.example.com", get(&"a".repeat(300), "/"), false),
        // Method.
        ("GET", get("", "/"), true),
        ("POST,PUT", get("", "/").method("PUT"), true),
        ("POST,PUT", get("", "/"), false),
        ("GET", get("", "/").method("get"), false),
        // Headers: the first of a name, in any case of the rule, without surrounding space.
        ("@x-beta", get("", "/").header("x-beta", ""), true),
        ("@x-beta", get("", "/"), false),
        ("@X-Beta=1", get("", "/").header("x-beta", " 1 "), true),
        ("@x-beta=1", get("", "/").header("x-beta", "11"), false),
        ("@x-beta=1", get("", "/").header("x-beta", "2").header("x-beta", "1"), false),
        ("@a=1 @b=2", get("", "/").header("a", "1"), false),
        ("@a=1 @b=2", get("", "/").header("a", "1").header("b", "2"), true),
        ("@a=1 @a=2", get("", "/").header("a", "1").header("a", "2"), false),
        // Query: the first of a name, decoded.
        ("?beta", get("", "/?beta"), true),
        ("?beta", get("", "/?a=1&beta=0"), true),
        ("?beta", get("", "/"), false),
        ("?beta", get("", "/?"), false),
        ("?beta=1", get("", "/?b%65ta=%31"), true),
        ("?beta=1", get("", "/?beta=2&beta=1"), false),
        ("?Beta", get("", "/?beta"), false),
    ];
    for (text, request, expected) in cases {
        let found = find(&table(&[text]), request);
        assert_eq!(found, expected.then_some(0), "{text} for {request:?}");
    }
}

#[test]
fn the_most_specific_rule_wins() {
    // For each request: the rules that match it, the winner first.
    let beta = Request::new("shop.example.com", "/a/b/c?v=1&w=2").header("x-a", "1").header("x-b", "2");
    let cases: &[(Request, &[&str])] = &[
        // 1. Host, whatever the rest says.
        (
            beta.clone(),
            &["shop.example.com /*", "*.example.com /a/b/*", "*.com /a/b/c", "GET /a/b/c @x-a=1 @x-b=2 ?v=1"],
        ),
        // 2. Path, whatever the rest says.
        (
            beta.clone(),
            &[
                "/a/b/c",
                "/a/b/{z}",
                "/a/b/*",
                "/a/{y}/c",
                "/a/{y}/{z}",
                "/a/{y}/{z}/*",
                "/a/{y}/*",
                "/a/*",
                "/{x}/b/c",
                "/{x}/{y}/{z}",
                "/{x}/*",
                "GET /* @x-a=1 @x-b=2",
            ],
        ),
        (Request::new("", "/a/b/"), &["/a/b/", "/a/b/*", "/a/{y}/", "/a/{y}/*", "/{x}/b/", "/*"]),
        (Request::new("", "/"), &["/", "/*"]),
        // 3. Method.
        (beta.clone(), &["GET,HEAD /a/*", "/a/* @x-a=1 @x-b=2 ?v=1"]),
        // 4. Headers.
        (
            beta.clone(),
            &["/* @x-a=1 @x-b=2", "/* @x-a=1 @x-b", "/* @x-a @x-b", "/* @x-a=1", "/* @x-a", "/* ?v=1 ?w=2"],
        ),
        // 5. Query.
        (beta, &["/* ?v=1 ?w=2", "/* ?v ?w=2", "/* ?v ?w", "/* ?v=1", "/* ?v", "/*"]),
    ];
    for (request, rules) in cases {
        for worse in 0..rules.len() {
            // Whichever of the better rules are missing, and in whatever order they come.
            let mut rest = rules[worse..].to_vec();
            assert_eq!(find(&table(&rest), request), Some(0), "{rest:?}");
            rest.reverse();
            assert_eq!(find(&table(&rest), request), Some(rest.len() - 1), "{rest:?}");
        }
    }
}

#[test]
fn a_better_path_does_not_hide_a_worse_one_that_fits() {
    let table = table(&["POST /a/b/c", "/a/{y}/c", "@x-never /a/b/*", "/{x}/b/{z}", "shop.example.com /z"]);
    let get = |host, path| find(&table, &Request::new(host, path));
    assert_eq!(get("", "/a/b/c"), Some(1));
    assert_eq!(get("", "/a/b/d"), Some(3));
    assert_eq!(get("shop.example.com", "/a/x/c"), Some(1));
    assert_eq!(get("shop.example.com", "/z"), Some(4));
    assert_eq!(get("", "/z"), None);
}

#[test]
fn ties_are_errors() {
    // Rules, and whether the two tie.
    let cases: &[(&str, &str, bool)] = &[
        ("/a", "/a", true),
        ("/*", "/*", true),
        ("/a/{x}", "/a/{y}", true),
        ("/a/{x}", "/b/{x}", false),
        ("/a", "/a/", false),
        ("/a", "/a/*", false),
        ("/%61", "/a", true),
        ("/a/{x}/c", "/a/b/{y}", false),
        ("shop.example.com", "SHOP.example.com:80", true),
        ("shop.example.com", "www.example.com", false),
        ("*.example.com", "*.example.com", true),
        ("*.example.com", "*.b.example.com", false),
        ("*.example.com", "shop.example.com", false),
        ("GET /a", "GET,POST /a", true),
        ("GET /a", "POST /a", false),
        ("GET /a", "/a", false),
        ("@x=1", "@x=2", false),
        ("@x=1", "@X=1", true),
        ("@x=1", "@y=1", true),
        ("@x=1", "@x", false),
        ("@x", "@y", true),
        ("@x=1 @y=1", "@x=1 @y=2", false),
        ("@x=1 @y", "@y=2 @x", true),
        ("?x=1", "?x=2", false),
        ("?x=1", "?X=2", true),
        ("?x=1", "?y=2", true),
        ("?x=1", "@x=1", false),
    ];
    for (first, second, is_tie) in cases {
        let both = entries(&[first, second]);
        let expected = if *is_tie { Err(vec![Tie { first: 0, second: 1 }]) } else { Ok(()) };
        assert_eq!(RouteTable::build(both.clone()).map(drop), expected, "{first} and {second}");
        // One target may be said twice; the first counts.
        let mut same = both;
        same[1].target = same[0].target;
        assert!(RouteTable::build(same).is_ok(), "{first} and {second}");
    }
}

#[test]
fn every_tie_is_reported_at_once() {
    let rules = ["/a", "/b", "/a", "/c", "/b", "/a", "x.example /a"];
    let ties = RouteTable::build(entries(&rules)).unwrap_err();
    let pairs: Vec<_> = ties.iter().map(|tie| (tie.first, tie.second)).collect();
    assert_eq!(pairs, [(0, 2), (0, 5), (1, 4)]);
}

#[test]
fn two_thousand_rules_are_found_each() {
    let mut rules = Vec::new();
    for number in 0..500 {
        rules.push(format!("host{number}.example.com /*"));
        rules.push(format!("*.zone{number}.example.com /*"));
        rules.push(format!("/service/{number}/*"));
        rules.push(format!("/users/{{id}}/part{number}"));
    }
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let table = table(&rules);
    assert_eq!((table.len(), table.is_empty()), (2_000, false));
    for number in 0..500 {
        for (nth, host, path) in [
            (0, format!("host{number}.example.com"), "/x".to_owned()),
            (1, format!("a.b.zone{number}.example.com"), "/x".to_owned()),
            (2, String::new(), format!("/service/{number}/x")),
            (3, "unknown.example".to_owned(), format!("/users/42/part{number}")),
        ] {
            assert_eq!(find(&table, &Request::new(&host, &path)), Some(number * 4 + nth), "{host} {path}");
        }
    }
    assert_eq!(find(&table, &Request::new("other.example.com", "/service/500/x")), None);
}

#[test]
fn an_empty_table_matches_nothing() {
    let table = RouteTable::build(Vec::new()).unwrap();
    assert!(table.is_empty());
    assert_eq!(find(&table, &Request::new("shop.example.com", "/")), None);
    assert_eq!(find(&RouteTable::default(), &Request::new("", "*")), None);
}
