use std::sync::atomic::AtomicUsize;

use response_diff::summary::Class;
use route_plan::{Again, Answered};
use traffic_split::Arm;

use super::*;
use crate::scripted::{captured, pair};

const DEADLINE: Duration = Duration::from_secs(15);

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Two migrations with a shadow; `more` belongs to the first of them.
fn checked(more: &str) -> Checked {
    let text = format!(
        r#"
        [[listener]]
        listen = "127.0.0.1:0"
        [upstream.old]
        endpoints = ["http://127.0.0.1:1"]
        [upstream.new]
        endpoints = ["http://127.0.0.1:2"]
        [migration.shop]
        match = [{{ path = "/shop/*" }}]
        old = "old"
        new = "new"
        phase = "shadow"
        {more}
        [migration.cart]
        match = [{{ path = "/cart/*" }}]
        old = "old"
        new = "new"
        phase = "shadow"
        "#
    );
    let outcome = config_file::parse(&text, "test.toml", &|_| None, &config_file::NoFiles);
    outcome.checked.clone().unwrap_or_else(|| panic!("{}", outcome.render(false)))
}

/// Answers every question with the same body.
struct Parrot {
    body: &'static str,
    asked: AtomicUsize,
}

impl Asks for Parrot {
    fn ask(&self, _migration: &str, _again: &Again, _arm: Arm, answered: Answered) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        answered(Ok(captured(200, self.body)));
    }
}

#[test]
fn pairs_go_in_and_a_report_comes_out_and_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let state = Some(dir.path().to_owned());
    let telemetry = Telemetry::new(1);
    let comparer = Comparer::start(state.clone(), telemetry.clone()).unwrap();
    let parrot = Arc::new(Parrot { body: r#"{"a":1}"#, asked: AtomicUsize::new(0) });
    comparer.ask_through(parrot.clone());
    comparer.follow(&checked("shadow = { ignore = [\"$.at\"] }"));
    for number in 0..500 {
        let body = format!(r#"{{"a":1,"at":{number}}}"#);
        comparer.take(Box::new(pair("shop", "/shop/1", &body, r#"{"a":1}"#))).unwrap();
    }
    comparer.take(Box::new(pair("shop", "/shop/2", r#"{"a":1}"#, r#"{"a":2}"#))).unwrap();
    comparer.take(Box::new(pair("unknown", "/", "1", "2"))).unwrap();
    eventually("all are counted", || {
        let totals = telemetry.comparisons("shop").totals();
        totals.matched == 500 && totals.race == 1
    });
    assert_eq!(telemetry.comparisons("unknown").totals().not_compared, 1);
    assert!(parrot.asked.load(Ordering::Relaxed) >= 2);
    assert_eq!(comparer.report("unknown", &Wish::default()), None);
    let report = comparer.report("shop", &Wish::default()).unwrap();
    assert_eq!((report.counts.judged(), report.counts.of(Class::Mismatched)), (500, 0));
    assert_eq!(report.coverage.endpoints.len(), 1, "{:?}", report.coverage);
    comparer.stop();
    let again = Comparer::start(state, Telemetry::new(1)).unwrap();
    again.follow(&checked("shadow = { ignore = [\"$.at\"] }"));
    let kept = again.report("shop", &Wish::default()).unwrap();
    assert_eq!((kept.counts, kept.since_ms), (report.counts, report.since_ms));
    again.follow(&checked("shadow = { ignore = [\"$.at\", \"$.b\"] }"));
    assert_eq!(again.report("shop", &Wish::default()).unwrap().counts.judged(), 0, "other rules");
    again.take(Box::new(pair("shop", "/shop/1", "1", "1"))).unwrap();
    eventually("it counts", || again.report("shop", &Wish::default()).unwrap().counts.judged() == 1);
    again.begin_anew("shop");
    again.begin_anew("unknown");
    assert_eq!(again.report("shop", &Wish::default()).unwrap().counts.judged(), 0, "somebody said so");
}

#[test]
fn a_migration_has_a_desk_from_its_first_pair_or_question_on() {
    let dir = tempfile::tempdir().unwrap();
    let telemetry = Telemetry::new(1);
    let comparer = Comparer::start(Some(dir.path().to_owned()), telemetry.clone()).unwrap();
    let opened = || comparer.shared.desks().len();
    comparer.follow(&checked("shadow = true"));
    comparer.follow(&checked("shadow = { ignore = [\"$.a\"] }"));
    comparer.shared.obey();
    assert_eq!(opened(), 0);
    comparer.take(Box::new(pair("shop", "/shop/1", r#"{"a":1}"#, r#"{"a":2}"#))).unwrap();
    eventually("it is compared", || telemetry.comparisons("shop").totals().matched == 1);
    assert_eq!(opened(), 1);
    // Other rules reach what is open, and what is to begin anew does also where nothing was asked for yet.
    comparer.follow(&checked("shadow = { ignore = [\"$.b\"] }"));
    assert_eq!(comparer.report("shop", &Wish::default()).unwrap().counts.compared(), 0);
    comparer.take(Box::new(pair("shop", "/shop/1", "1", "1"))).unwrap();
    eventually("it is compared", || telemetry.comparisons("shop").totals().matched == 2);
    comparer.stop();
    let again = Comparer::start(Some(dir.path().to_owned()), Telemetry::new(1)).unwrap();
    again.follow(&checked("shadow = { ignore = [\"$.b\"] }"));
    again.begin_anew("shop");
    assert_eq!(again.report("shop", &Wish::default()).unwrap().counts.compared(), 0, "what was kept is old");
}

#[test]
fn what_waits_at_the_end_is_counted_as_not_compared() {
    let telemetry = Telemetry::new(1);
    let comparer = Comparer::start(None, telemetry.clone()).unwrap();
    comparer.follow(&checked(""));
    comparer.shared.obey();
    let desk = comparer.shared.desk("shop").unwrap();
    let old = format!("[{}1]", "1,".repeat(20_000));
    let mut handed_in = 0;
    // Nothing is compared meanwhile: the thread may not have its desk.
    let held = lock(&desk);
    while comparer.take(Box::new(pair("shop", "/shop/1", &old, &old))).is_ok() {
        handed_in += 1;
    }
    assert!(comparer.room().is_err(), "nothing more is copied while the queue is full");
    comparer.shared.ending.store(true, Ordering::Relaxed);
    drop(held);
    comparer.stop();
    let totals = telemetry.comparisons("shop").totals();
    assert!(totals.not_compared > 0, "{totals:?}");
    assert_eq!(totals.judged() + totals.not_compared, handed_in);
    assert_eq!(comparer.take(Box::new(pair("shop", "/shop/1", "1", "1"))), Err(NotCopied::Ended));
}

#[test]
fn the_budget_is_kept_under_a_rush() {
    let telemetry = Telemetry::new(1);
    let comparer = Comparer::start(None, telemetry.clone()).unwrap();
    let mut small = checked("");
    small.compare_cpu = "10".parse().unwrap();
    comparer.follow(&small);
    let body = format!("[{}1]", "1,".repeat(4_000));
    let began = Instant::now();
    let (mut offered, mut refused) = (0_u64, 0_u64);
    let mut reasons = BTreeMap::new();
    while began.elapsed() < Duration::from_secs(3) {
        offered += 1;
        let room = comparer.room();
        let taken = room.and_then(|()| comparer.take(Box::new(pair("shop", "/shop/1", &body, &body))));
        if let Err(why) = taken {
            *reasons.entry(why).or_insert(0_u64) += 1;
            refused += 1;
            std::thread::park_timeout(Duration::from_micros(200));
        }
    }
    let used = comparer.used();
    // A tenth of the time, which is more than 3 s where the machine was busy, a tenth of the second that may be saved up,
    // and what it takes to notice.
    let most = began.elapsed() / 10 + Duration::from_millis(180);
    assert!(used < most, "used {used:?} in {:?}", began.elapsed());
    let for_cpu = reasons.get(&NotCopied::Budget).copied().unwrap_or_default();
    // Where the machine gives the thread less than its budget, the queue fills as well.
    assert!(for_cpu * 2 > refused, "more processor time would help: {reasons:?}");
    assert!(refused > offered / 10 && comparer.shared.gate.share() < 1.0, "{refused} of {offered}");
    assert!(telemetry.comparisons("shop").totals().matched > 0);
}
