//! Every request of a service with a shadow ends in exactly one class.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use proptest::prelude::*;
use route_plan::{
    CanaryCopies, Match, NotCopied, PathPattern, RouteEntry, RouteTable, ShadowPolicy, Target, When,
};
use traffic_split::{Arm, Percent};

use crate::rig::{Answers, Manner, Rig, Script, Setting, Step, data, get, only, post, says};

fn with(name: &'static str, value: &'static str) -> Request<Script> {
    let mut request = get();
    request.headers_mut().insert(name, HeaderValue::from_static(value));
    request
}

fn by_method(method: Method) -> Request<Script> {
    let mut request = get();
    *request.method_mut() = method;
    request
}

fn everything() -> RouteTable {
    let rule = Match { path: PathPattern::Any, ..Match::default() };
    RouteTable::build(vec![RouteEntry { label: "all".to_owned(), rule, target: Target::Migration(0) }])
        .unwrap()
}

fn policy(change: impl FnOnce(&mut ShadowPolicy)) -> Setting {
    let mut setting = Setting::default();
    change(&mut setting.policy);
    setting
}

/// Each reason why the plan wants no copy, or none can be made at the moment.
fn refusals() -> Vec<(NotCopied, Setting, Request<Script>)> {
    use NotCopied as Why;
    let keyless = || Request::get("/").body(Script::new([])).unwrap();
    vec![
        (Why::Phase, policy(|policy| policy.canary = CanaryCopies::None), get()),
        (Why::Phase, Setting { percent: "100", ..Setting::default() }, get()),
        (Why::Off, policy(|policy| policy.off = true), get()),
        (Why::Percent, policy(|policy| policy.percent = "0.000001".parse().unwrap()), get()),
        (Why::NoKey, policy(|policy| policy.percent = "50".parse().unwrap()), keyless()),
        (Why::Method, Setting::default(), by_method(Method::DELETE)),
        (Why::Excepted, policy(|policy| policy.except = everything()), get()),
        (Why::Upgrade, Setting::default(), with("upgrade", "websocket")),
        (Why::Upgrade, Setting::default(), by_method(Method::CONNECT)),
        (Why::Copy, Setting::default(), with("crossfade-shadow", "1")),
        (Why::Holdout, policy(|policy| policy.holdout = Percent::FULL), get()),
        (Why::Rate, policy(|policy| policy.per_second = 0), get()),
        (Why::Concurrency, policy(|policy| policy.concurrency = 0), get()),
        (Why::Memory, Setting { memory_bytes: 4 * 1024, ..Setting::default() }, get()),
        (Why::TooLarge, policy(|policy| policy.body_bytes = 3), post([data("1234")])),
        (Why::Memory, Setting { memory_bytes: 8 * 1024, ..Setting::default() }, post([data(vec![1; 9_000])])),
        (
            Why::Memory,
            Setting { memory_bytes: 8 * 1024, old: says(vec![1; 9_000]), ..Setting::default() },
            get(),
        ),
        (
            Why::Memory,
            Setting { memory_bytes: 8 * 1024, new: says(vec![1; 9_000]), ..Setting::default() },
            get(),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_is_not_copied_is_served_and_counted_with_its_reason() {
    for (why, setting, request) in refusals() {
        let (served, before) =
            if setting.percent == "100" { (Arm::New, &setting.new) } else { (Arm::Old, &setting.old) };
        let expected = before.body.clone();
        let rig = Rig::new(setting);
        let (status, body) = rig.ask(request).await.unwrap();
        let [Step::Data(said)] = &expected[..] else { panic!("one piece") };
        assert_eq!((status.as_u16(), &body), (200, said), "{why}");
        assert_eq!(only(&rig.counted(1).await), Some(why));
        assert_eq!(rig.seen(served).len(), 1, "{why}");
        assert!(rig.taken().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_compare_have_their_say() {
    let rig = Rig::new(Setting::default());
    rig.pairs.is_full.store(true, Ordering::Relaxed);
    rig.ask(get()).await.unwrap();
    assert_eq!(only(&rig.counted(1).await), Some(NotCopied::Budget));
    assert!(rig.seen(Arm::New).is_empty(), "nothing is sent whose answer nobody would look at");
    let rig = Rig::new(Setting::default());
    rig.pairs.refuses.store(true, Ordering::Relaxed);
    rig.ask(get()).await.unwrap();
    assert_eq!(only(&rig.counted(1).await), Some(NotCopied::QueueFull));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_served_has_nothing_to_compare() {
    let body = |steps: Vec<Step>| Answers { body: steps, ..says("") };
    for when in [When::With, When::After] {
        for (what, old, request) in [
            ("the service errors", Answers::manner(Manner::Error), get()),
            ("the answer breaks off", body(vec![data("hel"), Step::Error]), get()),
            ("the request breaks off", says("hello"), post([data("a"), Step::Error])),
            (
                "the request is not read",
                Answers { reads: false, ..says("hello") },
                post([data("a"), data("b")]),
            ),
        ] {
            let rig = Rig::new(Setting { old, ..policy(|policy| policy.when = when) });
            drop(rig.ask(request).await);
            assert_eq!(only(&rig.counted(1).await), Some(NotCopied::NotServed), "{what}, {when:?}");
            let observed = rig.observed.lock().unwrap();
            assert!(observed.iter().all(|(_, one)| !one.client_aborted), "{what}: {observed:?}");
        }
        // Nor one whose answer lasts for ever.
        let lasts = body(vec![data("a"), Step::Hang]);
        let rig = Rig::new(Setting { old: lasts, ..policy(|policy| policy.when = When::With) });
        let response = rig.head_of(get()).await;
        tokio::time::sleep(Duration::from_secs(400)).await;
        assert_eq!(only(&rig.counts()), Some(NotCopied::NotServed), "the copy's answer is not kept for ever");
        drop(response);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_is_counted_as_that() {
    for when in [When::With, When::After] {
        let hang = || policy(|policy| policy.when = when);
        let rig = Rig::new(Setting { old: Answers::manner(Manner::Hang), ..hang() });
        assert!(tokio::time::timeout(Duration::from_secs(1), rig.ask(get())).await.is_err());
        assert_eq!(only(&rig.counted(1).await), Some(NotCopied::ClientGone), "before the head, {when:?}");
        let old = Answers { body: vec![data("a"), Step::Hang], ..says("") };
        let rig = Rig::new(Setting { old, ..hang() });
        drop(rig.head_of(get()).await);
        assert_eq!(only(&rig.counted(1).await), Some(NotCopied::ClientGone), "after the head, {when:?}");
    }
}

#[test]
fn what_is_under_way_when_the_runtime_ends_is_counted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let rig = Rig::new(Setting { new: Answers::manner(Manner::Hang), ..Setting::default() });
    runtime.block_on(async { rig.ask(get()).await }).unwrap();
    drop(runtime);
    let counts = rig.counts();
    assert_eq!(only(&counts), Some(NotCopied::Ended));
    assert_eq!((counts.under_way, counts.memory_bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn limits_hold_for_all_clones_together() {
    let hang = Answers::manner(Manner::Hang);
    let rig = Rig::new(Setting { new: hang, ..policy(|policy| policy.concurrency = 3) });
    for _ in 0..10 {
        rig.ask(get()).await.unwrap();
    }
    assert_eq!((rig.counts().under_way, rig.counts().dropped_for(NotCopied::Concurrency)), (3, 7));
    assert_eq!(rig.counted(10).await.dropped_for(NotCopied::Slow), 3);
    let rig = Rig::new(policy(|policy| policy.per_second = 5));
    for _ in 0..100 {
        rig.ask(get()).await.unwrap();
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    let counts = rig.counted(100).await;
    assert!((25..=26).contains(&counts.pairs), "5 in each of 5 seconds: {counts:?}");
    assert_eq!(counts.pairs + counts.dropped_for(NotCopied::Rate), 100);
}

#[tokio::test(start_paused = true)]
async fn the_dial_switches_copies_off_and_on() {
    let rig = Rig::new(Setting::default());
    for (is_on, pairs) in [(true, 1), (false, 1), (true, 2)] {
        rig.dial.set_shadow(is_on);
        rig.ask(get()).await.unwrap();
        rig.counted(rig.counts().requests().max(pairs)).await;
        assert_eq!(rig.counts().pairs, pairs, "{is_on}");
    }
    assert_eq!(rig.counts().dropped_for(NotCopied::Off), 1);
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0_usize..3_000).prop_map(|bytes| data(vec![7; bytes])),
        2 => (0_u64..20).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
        1 => Just(Step::Error),
    ];
    proptest::collection::vec(step, 0..5)
}

fn answers() -> impl Strategy<Value = Answers> {
    let manner = prop_oneof![
        8 => Just(Manner::Well),
        1 => Just(Manner::Error),
        1 => Just(Manner::Hang),
        1 => Just(Manner::NeverReady),
    ];
    (manner, steps(), 0_u64..12, any::<bool>(), prop_oneof![Just(200_u16), Just(204), Just(503)]).prop_map(
        |(manner, body, seconds, reads, status)| Answers {
            status,
            body,
            manner,
            after: Duration::from_secs(seconds),
            reads,
            ..says("")
        },
    )
}

/// What one caller does: the request's body, and after how many seconds it leaves.
fn caller() -> impl Strategy<Value = (bool, Vec<Step>, u64)> {
    (any::<bool>(), steps(), 1_u64..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever the two services and their callers do, each request is counted once and nothing is held in the end.
    #[test]
    fn each_request_is_counted_exactly_once(
        old in answers(),
        new in answers(),
        callers in proptest::collection::vec(caller(), 1..12),
        is_after in any::<bool>(),
        concurrency in 1_u32..6,
        memory_bytes in 4_000_usize..60_000,
        body_bytes in 0_u32..6_000,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let setting = policy(|policy| {
                policy.when = if is_after { When::After } else { When::With };
                (policy.concurrency, policy.body_bytes, policy.capture_bytes) = (concurrency, body_bytes, 4_000);
                policy.canary = CanaryCopies::Both;
            });
            let rig = Rig::new(Setting { old, new, memory_bytes, ..setting });
            let mut tasks = tokio::task::JoinSet::new();
            let requests = callers.len() as u64;
            for (at, (is_get, body, patience)) in callers.into_iter().enumerate() {
                let mut request = if is_get { get() } else { post(body) };
                let user = HeaderValue::from_str(&format!("user-{at}")).unwrap();
                request.headers_mut().insert("x-user-id", user);
                let service = rig.shop.clone();
                tasks.spawn(tokio::time::timeout(Duration::from_secs(patience), async move {
                    let response = tower::ServiceExt::oneshot(service, request).await?;
                    response.into_body().collect().await.map(drop)
                }));
            }
            drop(tasks.join_all().await);
            let counts = rig.counted(requests).await;
            assert_eq!(counts.requests(), requests, "{counts:?}");
            assert_eq!(rig.taken().len() as u64, counts.pairs);
            let observed = rig.observed.lock().unwrap();
            let served = observed.iter().filter(|(_, one)| one.role == traffic_split::Role::Served).count();
            assert_eq!(served as u64, requests, "each is observed once");
        });
    }
}
