use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn learned(limits: Limits) -> Endpoints {
    Endpoints::new(Vec::new(), limits)
}

/// What somebody has who keeps a count for each endpoint and carries out what is folded.
#[derive(Default)]
struct Keeper(BTreeMap<Endpoint, u64>);

impl Keeper {
    fn take(&mut self, located: Located) {
        *self.0.entry(located.endpoint).or_default() += 1;
        // The endpoint is the one after all folds, so nothing of it can be folded away.
        for fold in located.folds {
            if let Some(count) = self.0.remove(&fold.from) {
                *self.0.entry(fold.into).or_default() += count;
            }
        }
    }
}

fn listing(endpoints: &Endpoints) -> String {
    endpoints.all().into_iter().fold(String::new(), |mut text, (endpoint, requests)| {
        writeln!(text, "{requests:>5} {endpoint}").unwrap();
        text
    })
}

#[test]
fn a_shops_paths_become_a_short_list() {
    let mut endpoints = learned(Limits::default());
    for number in 0..400_u64 {
        let user =
            format!("{}{}", ["ann", "bob", "cyd", "dan", "eve"][(number % 5) as usize], letters(number));
        let uuid = format!("f47ac10b-58cc-4372-a567-{number:012x}");
        for (method, path) in [
            ("GET", "/".to_owned()),
            ("GET", "/health".to_owned()),
            ("GET", format!("/v1/orders/{number}")),
            ("GET", format!("/v1/orders/{uuid}/items")),
            ("GET", format!("/v1/orders/{uuid}/items/{number}?page={number}")),
            ("POST", format!("/v1/orders/{number}:cancel")),
            ("GET", "/users/me".to_owned()),
            ("GET", format!("/users/{user}")),
            ("PUT", format!("/users/{user}/avatar")),
            ("GET", "/users/".to_owned()),
            ("GET", format!("/assets/main.{:08x}.js", number.wrapping_mul(0x9E37_79B9) % (1 << 32))),
            ("GET", format!("/odata/Customers('{user}')/Orders")),
            ("GET", format!("/search/{user}%20shoes")),
            ("PROPFIND", "/dav".to_owned()),
        ] {
            let _ = endpoints.locate(method, &path, true);
        }
        let _ = endpoints.locate("GET", &format!("/wp-{}.php", letters(number)), false);
    }
    insta::assert_snapshot!(listing(&endpoints));
}

fn letters(number: u64) -> String {
    let letter = |digit: u64| char::from(b'a' + u8::try_from(digit % 26).unwrap());
    [letter(number / 676), letter(number / 26), letter(number)].into_iter().collect()
}

#[test]
fn templates_come_first_and_the_one_that_says_most_among_them() {
    let templates = ["/files/*", "/orders/{order}", "/orders/latest", "/orders/{order}/{part}"];
    let templates = templates.into_iter().map(|text| Template::parse(text).unwrap()).collect();
    let mut endpoints = Endpoints::new(templates, Limits::default());
    for (method, path, expected) in [
        ("GET", "/orders/latest", "GET /orders/latest"),
        ("GET", "/orders/abc", "GET /orders/{order}"),
        ("GET", "/orders/42?x=/orders/latest", "GET /orders/{order}"),
        ("DELETE", "/orders/42/lines", "DELETE /orders/{order}/{part}"),
        ("GET", "/files/a/b/c", "GET /files/*"),
        ("BREW", "/files", "_OTHER /files/*"),
        ("GET", "/orders", "GET /orders"),
        ("GET", "/users/42", "GET /users/{id}"),
    ] {
        let located = endpoints.locate(method, path, true);
        assert_eq!(located.endpoint.as_str(), expected, "{method} {path}");
        assert_eq!(located.endpoint.template(), expected.split_once(' ').map(|(_, template)| template));
        assert!(located.folds.is_empty());
    }
}

#[test]
fn what_old_does_not_know_teaches_nothing() {
    let mut endpoints = learned(Limits::default());
    let _ = endpoints.locate("GET", "/users/42", true);
    let known = endpoints.locate("GET", "/users/43", false);
    assert_eq!(known.endpoint.as_str(), "GET /users/{id}");
    let unknown = endpoints.locate("GET", "/admin/login", false);
    assert_eq!(unknown.endpoint.as_str(), Endpoint::NOT_FOUND);
    assert_eq!(unknown.endpoint.template(), None);
    assert_eq!(listing(&endpoints), "    1 (not found)\n    2 GET /users/{id}\n");
}

#[test]
fn a_place_with_many_names_is_folded_and_those_who_keep_something_are_told() {
    let mut endpoints = learned(Limits { values: 4, ..Limits::default() });
    let mut keeper = Keeper::default();
    for _ in 0..30 {
        keeper.take(endpoints.locate("GET", "/users/me", true));
    }
    for name in ["ann", "bob"] {
        keeper.take(endpoints.locate("GET", &format!("/users/{name}/cart"), true));
    }
    let last = endpoints.locate("GET", "/users/cyd/cart", true);
    assert!(last.folds.is_empty());
    keeper.take(last);
    let folding = endpoints.locate("GET", "/users/dan/cart", true);
    assert_eq!(folding.endpoint.as_str(), "GET /users/{id}/cart");
    let folded: Vec<_> = folding.folds.iter().map(|fold| (fold.from.as_str(), fold.into.as_str())).collect();
    assert!(folded.contains(&("GET /users/ann/cart", "GET /users/{id}/cart")), "{folded:?}");
    keeper.take(folding);
    assert_eq!(keeper.0.into_iter().collect::<Vec<_>>(), endpoints.all());
    assert_eq!(listing(&endpoints), "   30 GET /users/me\n    4 GET /users/{id}/cart\n");
}

#[test]
fn over_the_limit_the_widest_place_is_folded_and_then_others_are_counted() {
    let limits = Limits { endpoints: 10, values: 50, early_values: 4, depth: 3 };
    let mut endpoints = learned(limits);
    for number in 0..8 {
        let _ = endpoints.locate("GET", &format!("/{}", letters(number)), true);
        let _ = endpoints.locate("GET", "/a/b/c/d/e", true);
    }
    assert_eq!(endpoints.all().len(), 9);
    for (method, name) in [("GET", "wide"), ("PUT", "wider"), ("POST", "x"), ("PATCH", "y")] {
        for depth in 1..4 {
            let _ = endpoints.locate(method, &format!("/{name}").repeat(depth), true);
        }
    }
    insta::assert_snapshot!(listing(&endpoints));
    assert_eq!(endpoints.turned_away(), 3);
}

#[test]
fn a_name_that_was_folded_away_does_not_come_back_with_another_place() {
    let mut endpoints = learned(Limits { endpoints: 30, values: 3, early_values: 2, depth: 4 });
    let mut keeper = Keeper::default();
    for name in ["a", "b", "c", "d"] {
        keeper.take(endpoints.locate("GET", &format!("/1/2/{name}"), true));
    }
    assert_eq!(listing(&endpoints), "    4 GET /{id}/{id}/{id}\n");
    // Its names make the place before it too wide, so that all of them become `{id}`: also the one with an `a` behind it.
    for path in ["/1/p", "/1/q", "/1/r", "/1/s/a"] {
        keeper.take(endpoints.locate("GET", path, true));
    }
    assert_eq!(listing(&endpoints), "    3 GET /{id}/{id}\n    5 GET /{id}/{id}/{id}\n");
    assert_eq!(keeper.0.into_iter().collect::<Vec<_>>(), endpoints.all());
}

fn segment_strategy() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-e]{1,2}",
        2 => "[0-9]{1,4}",
        1 => "[0-9a-f]{8}(\\.js)?",
        1 => ".{0,6}",
    ]
}

fn requests() -> impl Strategy<Value = Vec<(String, bool)>> {
    let path =
        prop::collection::vec(segment_strategy(), 0..5).prop_map(|parts| format!("/{}", parts.join("/")));
    prop::collection::vec((path, prop::bool::weighted(0.9)), 0..120)
}

proptest! {
    #[test]
    fn counts_kept_by_endpoint_are_right_after_all_folds(
        requests in requests(), endpoints in 1_usize..30, values in 1_usize..8, early_values in 2_usize..5,
    ) {
        let limits = Limits { endpoints, values, early_values, depth: 4 };
        let mut all = learned(limits);
        let mut keeper = Keeper::default();
        for (path, found) in &requests {
            keeper.take(all.locate("GET", path, *found));
        }
        let kept: Vec<_> = keeper.0.into_iter().collect();
        prop_assert_eq!(kept, all.all());
        // `(other)` and `(not found)` come on top.
        prop_assert!(all.all().len() <= endpoints + 2);
        prop_assert_eq!(all.all().iter().map(|(_, count)| count).sum::<u64>(), requests.len() as u64);
    }

    #[test]
    fn what_is_restored_goes_on_as_if_nothing_had_happened(before in requests(), after in requests()) {
        let limits = Limits { endpoints: 40, values: 4, early_values: 3, depth: 4 };
        let mut one = learned(limits);
        for (path, found) in &before {
            let _ = one.locate("GET", path, *found);
        }
        let mut other = Endpoints::restore(Vec::new(), limits, &one.state());
        prop_assert_eq!(one.state(), other.state());
        for (path, found) in &after {
            prop_assert_eq!(one.locate("GET", path, *found), other.locate("GET", path, *found));
        }
        prop_assert_eq!(one.state(), other.state());
    }
}
