//! What the other service gets, and what is handed over to be compared.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request};
use route_plan::{CanaryCopies, Captured, CapturedBody, Credentials, ShadowPolicy, When};
use traffic_split::{Arm, Role};
use xxhash_rust::xxh3::xxh3_128;

use crate::rig::{Answers, Rig, Script, Setting, Step, data, get, post, says};

fn whole(captured: &Captured) -> &[u8] {
    match &captured.body {
        CapturedBody::Whole(body) => body,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_other_service_gets_a_copy_and_both_answers_are_handed_over() {
    for (when, new, alike) in [
        (When::With, says("hello"), true),
        (When::After, says("hello"), true),
        (When::With, says("good bye"), false),
        (When::After, Answers { status: 404, ..says("hello") }, false),
    ] {
        let Setting { policy, .. } = Setting::default();
        let rig = Rig::new(Setting { policy: ShadowPolicy { when, ..policy }, new, ..Setting::default() });
        let (status, body) = rig.ask(post([data("one "), data("two")])).await.unwrap();
        assert_eq!((status.as_u16(), &body[..]), (200, &b"hello"[..]), "what old says");
        let counts = rig.counted(1).await;
        assert_eq!((counts.pairs, counts.requests()), (1, 1), "{when:?}");
        let [pair] = &rig.taken()[..] else { panic!("one pair") };
        let [old, new] = &pair.answers;
        assert_eq!((old.status == new.status) && whole(old) == whole(new), alike, "{when:?}");
        assert_eq!(old.headers.iter().collect::<Vec<_>>(), [(&b"content-type"[..], &b"text/plain"[..])]);
        assert!(pair.again.is_none());
        assert_eq!(&*pair.asked.content, b"one two", "who compares is told what was asked");
        for arm in Arm::ALL {
            let [seen] = &rig.seen(arm)[..] else { panic!("{arm} is asked once") };
            assert_eq!((&seen.body[..], seen.is_whole), (&b"one two"[..], true), "{arm}");
            assert_eq!(seen.head.uri, "/cart?page=2");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_the_same_request_but_marked() {
    let Setting { policy, .. } = Setting::default();
    let credentials = Credentials {
        remove: vec!["cookie".into()],
        set: vec![("authorization".into(), b"Basic dGVzdA==".as_slice().into())],
    };
    let rig = Rig::new(Setting {
        policy: ShadowPolicy { credentials, ..policy },
        percent: "0",
        ..Setting::default()
    });
    let mut request = get();
    for (name, value) in [
        ("cookie", "session=1"),
        ("authorization", "Bearer real"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("host", "shop.example:8080"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    rig.ask(request).await.unwrap();
    rig.counted(1).await;
    let (old, new) = (rig.seen(Arm::Old), rig.seen(Arm::New));
    let (served, copied) = (&old[0].head.headers, &new[0].head.headers);
    assert!(!served.contains_key("crossfade-shadow") && served["authorization"] == "Bearer real");
    assert_eq!(served["cookie"], "session=1");
    assert_eq!(copied["crossfade-shadow"], "1");
    assert_eq!((copied["authorization"].as_bytes(), copied.get("cookie")), (&b"Basic dGVzdA=="[..], None));
    assert_eq!(served["x-request-id"], copied["x-request-id"], "generated once");
    let span = |fields: &HeaderMap| fields["traceparent"].to_str().unwrap().to_owned();
    assert_eq!(span(served)[..36], span(copied)[..36], "one trace");
    assert_ne!(span(served), span(copied), "another span");
    let pair = &rig.taken()[0];
    assert_eq!((&*pair.asked.migration, pair.asked.served), ("shop", Arm::Old));
    assert_eq!((&*pair.asked.method, &*pair.asked.host), (&b"GET"[..], &b"shop.example"[..]));
    assert_eq!(&*pair.asked.target, b"/cart?page=2");
    assert_eq!(&*pair.asked.request_id, served["x-request-id"].as_bytes());
    assert!(pair.asked.key != 0 && pair.asked.at_ms > 1_600_000_000_000);
}

#[tokio::test(start_paused = true)]
async fn copies_go_the_other_way_too() {
    let Setting { policy, .. } = Setting::default();
    let rig = Rig::new(Setting {
        policy: ShadowPolicy { canary: CanaryCopies::Both, ..policy },
        percent: "100",
        old: says("old"),
        new: says("new"),
        ..Setting::default()
    });
    assert_eq!(&rig.ask(get()).await.unwrap().1[..], b"new");
    rig.counted(1).await;
    let pair = &rig.taken()[0];
    assert_eq!((whole(&pair.answers[0]), whole(&pair.answers[1])), (&b"old"[..], &b"new"[..]));
    assert_eq!(pair.asked.served, Arm::New);
    assert!(rig.seen(Arm::Old)[0].head.headers.contains_key("crossfade-shadow"));
    let mut roles: Vec<(Arm, Role)> =
        rig.observed.lock().unwrap().iter().map(|(arm, one)| (*arm, one.role)).collect();
    roles.sort_unstable_by_key(|(arm, _)| arm.index());
    assert_eq!(roles, [(Arm::Old, Role::Shadow), (Arm::New, Role::Served)], "both legs are observed");
}

#[tokio::test(start_paused = true)]
async fn what_is_longer_than_what_is_kept_is_a_length_and_a_hash() {
    let long: Vec<u8> = (0..100_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let Setting { policy, .. } = Setting::default();
    let in_pieces = |size: usize| Answers {
        body: long.chunks(size).map(|piece| data(piece.to_vec())).collect(),
        ..says("")
    };
    let rig = Rig::new(Setting {
        policy: ShadowPolicy { capture_bytes: 1_000, ..policy },
        old: in_pieces(7_000),
        new: in_pieces(999),
        ..Setting::default()
    });
    assert_eq!(rig.ask(get()).await.unwrap().1, long, "all of it comes through");
    rig.counted(1).await;
    let hashed = CapturedBody::Hashed { bytes: 100_000, hash: xxh3_128(&long) };
    assert_eq!(rig.taken()[0].answers.clone().map(|one| one.body), [hashed.clone(), hashed]);
}

#[tokio::test(start_paused = true)]
async fn trailers_go_both_ways_and_are_kept() {
    let mut fields = HeaderMap::new();
    fields.insert("x-sum", HeaderValue::from_static("7"));
    let answers = || Answers { body: vec![data("hello"), Step::Trailers(fields.clone())], ..says("") };
    let rig = Rig::new(Setting { old: answers(), new: answers(), ..Setting::default() });
    rig.ask(post([data("one"), Step::Trailers(fields.clone())])).await.unwrap();
    assert_eq!(rig.counted(1).await.pairs, 1);
    for arm in Arm::ALL {
        assert_eq!(rig.seen(arm)[0].trailers.as_ref(), Some(&fields), "{arm}");
        let kept = &rig.taken()[0].answers[arm.index()].trailers;
        assert_eq!(kept.iter().collect::<Vec<_>>(), [(&b"x-sum"[..], &b"7"[..])]);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_body_are_pairs_too() {
    // What a service makes of HEAD is never asked for: neither body is read.
    let head = || Request::builder().method(Method::HEAD).uri("/").body(Script::new([])).unwrap();
    for (request, old) in [
        (head(), Answers { body: vec![Step::Hang], ..says("") }),
        (get(), Answers { status: 204, body: vec![Step::Hang], ..says("") }),
        (get(), Answers { body: Vec::new(), ..says("") }),
    ] {
        let rig = Rig::new(Setting { new: old.clone(), old, ..Setting::default() });
        let response = rig.head_of(request).await;
        assert_eq!(rig.counted(1).await.pairs, 1, "before the body is dropped");
        drop(response);
        assert!(rig.taken()[0].answers.iter().all(|one| whole(one).is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_goes_with_its_request_or_after_it() {
    for (when, asked_meanwhile) in [(When::With, 1), (When::After, 0)] {
        let Setting { policy, .. } = Setting::default();
        let slow =
            Answers { body: vec![data("a"), Step::Wait(Duration::from_secs(5)), data("b")], ..says("") };
        let rig =
            Rig::new(Setting { policy: ShadowPolicy { when, ..policy }, old: slow, ..Setting::default() });
        let response = rig.head_of(post([data("x")])).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(rig.seen(Arm::New).len(), asked_meanwhile, "{when:?}");
        assert!(rig.taken().is_empty(), "{when:?}");
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        assert_eq!(&body[..], b"ab");
        assert_eq!(rig.counted(1).await.pairs, 1, "{when:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_answers_are_timed_from_the_end_of_the_request() {
    for when in [When::With, When::After] {
        let Setting { policy, .. } = Setting::default();
        let policy = ShadowPolicy { when, ..policy };
        let slow = |ms: u64| Answers { after: Duration::from_millis(ms), ..says("hello") };
        let rig = Rig::new(Setting { policy, old: slow(300), new: slow(700), ..Setting::default() });
        rig.ask(post([data("a"), Step::Wait(Duration::from_secs(3)), data("b")])).await.unwrap();
        assert_eq!(rig.counted(1).await.pairs, 1);
        let took = rig.taken()[0].answers.clone().map(|one| one.to_head_us / 1_000);
        assert!((300..310).contains(&took[0]) && (700..710).contains(&took[1]), "{when:?}: {took:?} ms");
    }
}
