use super::*;

fn dealing(name: &str, salt: &str, key: &str, in_force: &str) -> Dealing {
    Dealing {
        name: name.to_owned(),
        upstreams: ("shop-old".to_owned(), "shop-new".to_owned()),
        salt: salt.as_bytes().to_vec(),
        keys: key.split(' ').map(|key| key.parse().unwrap()).collect(),
        assigned_cookie: Some("cf".to_owned()),
        trusted_proxies: Vec::new(),
        in_force: in_force.parse().unwrap(),
    }
}

fn is_refused(before: Dealing, after: Dealing) -> bool {
    let (before, after) = ([before], [after]);
    predecessor(&before, &after, &after[0]).and_then(|was| judge(was, &after[0])).is_some()
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
fn at_100_percent_a_key_list_must_leave_nobody_out() {
    for (keys, percent, refused) in [
        ("header:x-user-id request-id", "100", false),
        ("header:x-user-id client-ip", "100", false),
        ("header:x-user-id cookie:cf", "100", false),
        ("header:x-user-id", "100", true),
        ("cookie:other", "100", true),
        ("header:x-user-id request-id", "50", true),
        ("header:x-user-id", "0", false),
    ] {
        let after = dealing("a", "a", keys, percent);
        assert_eq!(is_refused(dealing("a", "a", "header:x-id", "100"), after.clone()), refused, "{after:?}");
        let both = Dealing { salt: b"other".to_vec(), ..after.clone() };
        assert_eq!(
            is_refused(dealing("a", "a", "header:x-id", "100"), both),
            refused,
            "{after:?} and a salt"
        );
        assert!(!is_refused(dealing("a", "a", "header:x-id", "0"), after), "from 0 on nobody moves back");
    }
    assert!(is_refused(dealing("a", "a", "header:x-id", "5"), dealing("a", "a", "header:x-user-id", "100")));
}

#[test]
fn who_is_trusted_decides_what_a_client_address_is() {
    let trusting = |key: &str, percent: &str| Dealing {
        trusted_proxies: vec!["10.0.0.0/8".to_owned()],
        ..dealing("a", "a", key, percent)
    };
    let keys = "header:x-user-id client-ip";
    assert!(is_refused(dealing("a", "a", keys, "5"), trusting(keys, "5")));
    assert!(!is_refused(dealing("a", "a", keys, "100"), trusting(keys, "100")), "everybody is on new");
    assert!(!is_refused(dealing("a", "a", "request-id", "5"), trusting("request-id", "5")));
    let said = judge(&dealing("a", "a", keys, "5"), &trusting(keys, "5")).unwrap().to_string();
    assert!(said.contains(r#"`trusted_proxies` changing from [] to ["10.0.0.0/8"]"#), "{said}");
}

#[test]
fn another_migration_is_not_a_renamed_one() {
    let before = [dealing("a", "a", "client-ip", "5")];
    let stays = [dealing("a", "a", "client-ip", "5"), dealing("b", "b", "client-ip", "5")];
    assert_eq!(predecessor(&before, &stays, &stays[0]), Some(&before[0]));
    assert_eq!(predecessor(&before, &stays, &stays[1]), None);
    let upstreams = ("cart-old".to_owned(), "cart-new".to_owned());
    let elsewhere = [Dealing { upstreams, ..dealing("b", "b", "client-ip", "5") }];
    assert_eq!(predecessor(&before, &elsewhere, &elsewhere[0]), None);
}

#[test]
fn a_renamed_migration_is_known_by_its_salt_and_keys_or_by_its_upstreams() {
    let before = [dealing("c", "c", "client-ip", "5"), dealing("a", "a", "client-ip", "5")];
    let upstreams = ("store-old".to_owned(), "store-new".to_owned());
    let renamed = [Dealing { upstreams, ..dealing("b", "a", "client-ip", "5") }];
    assert_eq!(predecessor(&before, &renamed, &renamed[0]), Some(&before[1]));
    let resalted = [dealing("b", "b", "client-ip", "5")];
    assert_eq!(predecessor(&before[1..], &resalted, &resalted[0]), Some(&before[1]));
}

#[test]
fn it_says_what_to_do() {
    let said =
        |after: Dealing| judge(&dealing("shop", "shop", "client-ip", "37.5"), &after).unwrap().to_string();
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
