use super::*;

fn dealing<'a>(name: &'a str, salt: &'a str, key: &str, in_force: &str) -> Dealing<'a> {
    Dealing {
        name,
        upstreams: ("shop-old", "shop-new"),
        salt: salt.as_bytes(),
        keys: vec![key.parse().unwrap()],
        in_force: in_force.parse().unwrap(),
    }
}

fn is_refused(before: Dealing<'_>, after: Dealing<'_>) -> bool {
    judge(&[before], &[after], &|_| false).is_some()
}

#[test]
fn nothing_changed_or_only_the_percent() {
    assert!(!is_refused(dealing("a", "a", "client-ip", "5"), dealing("a", "a", "client-ip", "5")));
    assert!(!is_refused(dealing("a", "a", "client-ip", "5"), dealing("a", "a", "client-ip", "50")));
}

#[test]
fn key_salt_and_name() {
    let before = || dealing("a", "a", "client-ip", "5");
    assert!(is_refused(before(), dealing("a", "a", "header:x-user-id", "5")));
    assert!(is_refused(before(), dealing("a", "b", "client-ip", "5")));
    assert!(is_refused(before(), dealing("b", "b", "client-ip", "5")));
    assert!(!is_refused(before(), dealing("b", "a", "client-ip", "5")), "the salt keeps everybody's place");
}

#[test]
fn at_the_ends_there_is_nothing_to_mix_up() {
    for end in ["0", "100"] {
        assert!(!is_refused(dealing("a", "a", "client-ip", end), dealing("a", "b", "client-ip", "5")));
        assert!(!is_refused(dealing("a", "a", "client-ip", "5"), dealing("a", "b", "client-ip", end)));
    }
}

#[test]
fn on_purpose() {
    let (before, after) = ([dealing("a", "a", "client-ip", "5")], [dealing("a", "b", "client-ip", "5")]);
    assert_eq!(judge(&before, &after, &|name| name == "a"), None);
}

#[test]
fn another_migration_is_not_a_renamed_one() {
    let before = [dealing("a", "a", "client-ip", "5")];
    let stays = [dealing("a", "a", "client-ip", "5"), dealing("b", "b", "client-ip", "5")];
    assert_eq!(judge(&before, &stays, &|_| false), None);
    let elsewhere = [Dealing { upstreams: ("cart-old", "cart-new"), ..dealing("b", "b", "client-ip", "5") }];
    assert_eq!(judge(&before, &elsewhere, &|_| false), None);
}

#[test]
fn it_says_what_to_do() {
    let said = |after: Dealing<'_>| {
        judge(&[dealing("shop", "shop", "client-ip", "37.5")], &[after], &|_| false).unwrap().to_string()
    };
    assert_eq!(
        said(dealing("store", "store", "client-ip", "5")),
        "migration `store` has 37.5 % in force, and it was called `shop` and has no `salt` that stays the same, which \
         would move users from one system to the other at random; set `salt = \"shop\"` to keep everybody's place, or \
         set `reshuffle = true` to do it on purpose"
    );
    assert!(said(dealing("shop", "x", "client-ip", "5")).contains("its salt changes from `shop` to `x`"));
    assert!(
        said(dealing("shop", "shop", "cookie:id", "5"))
            .contains(r#"its key list changes from ["client-ip"] to ["cookie:id"]"#)
    );
}
