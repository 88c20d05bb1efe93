//! Whatever happens to a copy, the served request goes its way, at its own pace.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use migration_glue::{Runtime, Task};
use route_plan::{NotCopied, ShadowPolicy, When};
use tokio::time::Instant;
use traffic_split::Arm;

use crate::rig::{Answers, Log, Manner, Rig, Setting, Step, Tokio, data, get, only, post, says};

/// Copied services that misbehave, and what each of their copies is counted as.
fn misbehaving() -> Vec<(&'static str, Answers, NotCopied)> {
    let body = |steps: Vec<Step>| Answers { body: steps, ..says("") };
    let late = Duration::from_secs(11);
    vec![
        ("errors", Answers::manner(Manner::Error), NotCopied::Failed),
        ("panics", Answers::manner(Manner::Panic), NotCopied::Failed),
        ("panics when called", Answers::manner(Manner::PanicAtOnce), NotCopied::Failed),
        ("is never ready", Answers::manner(Manner::NeverReady), NotCopied::Slow),
        ("fails to be ready", Answers::manner(Manner::RefusesToBeReady), NotCopied::Failed),
        ("hangs", Answers::manner(Manner::Hang), NotCopied::Slow),
        ("answers late", Answers { after: late, ..says("hello") }, NotCopied::Slow),
        ("breaks off", body(vec![data("hel"), Step::Error]), NotCopied::Failed),
        ("panics in its body", body(vec![data("hel"), Step::Panic]), NotCopied::Failed),
        ("hangs in its body", body(vec![data("hel"), Step::Hang]), NotCopied::Slow),
        ("ends late", body(vec![data("hel"), Step::Wait(late), data("lo")]), NotCopied::Slow),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_copied_service_that_misbehaves_is_nobodys_trouble() {
    for when in [When::With, When::After] {
        for (what, new, why) in misbehaving() {
            let Setting { policy, .. } = Setting::default();
            let policy = ShadowPolicy { when, ..policy };
            let rig = Rig::new(Setting { policy, new, ..Setting::default() });
            let began = Instant::now();
            let (status, body) = rig.ask(post([data("one"), data("two")])).await.unwrap();
            assert_eq!((status.as_u16(), &body[..]), (200, &b"hello"[..]), "{what}");
            assert!(began.elapsed() < Duration::from_millis(10), "{what}: {:?}", began.elapsed());
            assert_eq!(only(&rig.counted(1).await), Some(why), "{what}, {when:?}");
            assert!(began.elapsed() < Duration::from_secs(11), "{what}: the deadline is 10 s");
            assert!(rig.taken().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copied_service_that_fails_is_left_alone_but_for_one_in_a_second() {
    let rig = Rig::new(Setting { new: Answers::manner(Manner::Error), ..Setting::default() });
    for asked in 1..=30 {
        rig.ask(get()).await.unwrap();
        rig.counted(asked).await;
    }
    let counts = rig.counts();
    assert!(counts.held_back[Arm::New.index()] && !counts.held_back[Arm::Old.index()]);
    assert_eq!((counts.dropped_for(NotCopied::Failed), counts.dropped_for(NotCopied::TargetDown)), (10, 20));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for asked in 31..=33 {
        rig.ask(get()).await.unwrap();
        rig.counted(asked).await;
    }
    assert_eq!(rig.counts().dropped_for(NotCopied::Failed), 11, "one is let through");
    assert_eq!(rig.seen(Arm::New).len(), 11);
}

#[tokio::test(start_paused = true)]
async fn one_answer_of_a_copied_service_is_enough_to_copy_again() {
    let rig = Rig::new(Setting { new: Answers::manner(Manner::Error), ..Setting::default() });
    for asked in 1..=10 {
        rig.ask(get()).await.unwrap();
        rig.counted(asked).await;
    }
    assert!(rig.counts().held_back[Arm::New.index()]);
    rig.answers_by(Arm::New, says("hello"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for asked in 11..=15 {
        rig.ask(get()).await.unwrap();
        rig.counted(asked).await;
    }
    assert_eq!((rig.counts().pairs, rig.counts().held_back), (5, [false, false]));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_large_to_copy_is_served() {
    let Setting { policy, .. } = Setting::default();
    let rig =
        Rig::new(Setting { policy: ShadowPolicy { body_bytes: 1_000, ..policy }, ..Setting::default() });
    let pieces: Vec<Bytes> = (0..100_u8).map(|at| Bytes::from(vec![at; 100])).collect();
    rig.ask(post(pieces.iter().cloned().map(Step::Data))).await.unwrap();
    assert_eq!(only(&rig.counted(1).await), Some(NotCopied::TooLarge));
    let [seen] = &rig.seen(Arm::Old)[..] else { panic!("old is asked once") };
    assert_eq!((&seen.body[..], seen.is_whole), (&pieces.concat()[..], true), "all of it, unchanged");
    assert!(rig.seen(Arm::New).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_upload_without_end_is_given_up_when_it_is_too_large() {
    let Setting { policy, .. } = Setting::default();
    let rig = Rig::new(Setting { policy: ShadowPolicy { body_bytes: 10, ..policy }, ..Setting::default() });
    let upload = post([data("0123456789"), data("0"), Step::Hang]);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), async {
            tokio::select! {
                answer = rig.ask(upload) => panic!("{answer:?}"),
                counts = rig.counted(1) => assert_eq!(only(&counts), Some(NotCopied::TooLarge)),
            }
        })
        .await
        .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn bodies_stream_while_they_are_kept() {
    let pause = Duration::from_secs(60);
    let old =
        Answers { body: vec![data("first"), Step::Wait(pause), data("last")], reads: false, ..says("") };
    let rig = Rig::new(Setting { old, new: Answers::manner(Manner::Hang), ..Setting::default() });
    let began = Instant::now();
    let response = rig.head_of(post([data("one"), Step::Wait(pause), data("two")])).await;
    let mut body = pin!(response.into_body());
    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap().unwrap();
    assert_eq!(&frame.into_data().unwrap()[..], b"first");
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap().unwrap();
    assert_eq!(&frame.into_data().unwrap()[..], b"last");
    assert!(began.elapsed() < pause + Duration::from_millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn those_who_compare_can_neither_delay_nor_fail_a_request() {
    let rig = Rig::new(Setting::default());
    rig.pairs.panics.store(true, Ordering::Relaxed);
    assert_eq!(&rig.ask(get()).await.unwrap().1[..], b"hello");
    assert_eq!(only(&rig.counted(1).await), Some(NotCopied::Incomparable));
    let rig = Rig::new(Setting::default());
    rig.pairs.panics_when_asked.store(true, Ordering::Relaxed);
    assert_eq!(&rig.ask(get()).await.unwrap().1[..], b"hello");
    assert_eq!(only(&rig.counted(1).await), Some(NotCopied::Incomparable));
}

/// A runtime that runs nothing.
struct Gone {
    panics: bool,
}

impl Runtime for Gone {
    fn spawn(&self, task: Task) {
        drop(task);
        assert!(!self.panics, "there is no runtime");
    }

    fn sleep(&self, duration: Duration) -> Task {
        Tokio.sleep(duration)
    }
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_takes_no_tasks_costs_the_copies_alone() {
    for panics in [false, true] {
        let rig = Rig::on(Gone { panics }, Setting::default());
        assert_eq!(&rig.ask(post([data("x")])).await.unwrap().1[..], b"hello");
        assert_eq!(only(&rig.counted(1).await), Some(NotCopied::Ended));
    }
}

/// tokio, which notes whether old had been asked when the copy was made.
struct Noting {
    old: Arc<OnceLock<Log>>,
    asked: Arc<AtomicUsize>,
}

impl Runtime for Noting {
    fn spawn(&self, task: Task) {
        self.asked.fetch_add(self.old.get().unwrap().lock().unwrap().len(), Ordering::Relaxed);
        Tokio.spawn(task);
    }

    fn sleep(&self, duration: Duration) -> Task {
        Tokio.sleep(duration)
    }
}

#[tokio::test(start_paused = true)]
async fn the_served_request_is_on_its_way_before_its_copy() {
    let (old, asked) = (Arc::<OnceLock<Log>>::default(), Arc::<AtomicUsize>::default());
    let rig = Rig::on(Noting { old: old.clone(), asked: asked.clone() }, Setting::default());
    old.set(rig.seen[Arm::Old.index()].clone()).unwrap();
    rig.ask(get()).await.unwrap();
    assert_eq!((rig.counted(1).await.pairs, asked.load(Ordering::Relaxed)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_on_several_threads_are_served_and_counted() {
    let Setting { policy, .. } = Setting::default();
    let policy = ShadowPolicy { concurrency: 16, per_second: 100_000, ..policy };
    let new = Answers { after: Duration::from_millis(2), ..says("other") };
    let rig = Rig::new(Setting { policy, new, ..Setting::default() });
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let shop = rig.shop.clone();
        callers.spawn(async move {
            for _ in 0..200 {
                let response =
                    tower::ServiceExt::oneshot(shop.clone(), post([data("a"), data("b")])).await.unwrap();
                let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
                assert_eq!(&body[..], b"hello");
            }
        });
    }
    callers.join_all().await;
    let counts = rig.counted(1_600).await;
    assert_eq!(counts.requests(), 1_600, "{counts:?}");
    assert_eq!(counts.pairs + counts.dropped_for(NotCopied::Concurrency), 1_600, "{counts:?}");
    assert!(counts.pairs > 0);
}
