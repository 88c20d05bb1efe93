use std::sync::Arc;

use proptest::prelude::*;
use response_diff::Kind;
use response_diff::summary::Level;
use response_diff::summary::noise::State;
use route_plan::{CapturedBody, FieldLines};
use telemetry::{ComparisonTotals, Telemetry};

use super::*;
use crate::inquiry::Next;
use crate::report::{Report, Wish};
use crate::scripted::{captured, desk, pair, settings};
use crate::store::Kept;

/// A desk with its inquiries, a clock of its own, and arms that answer as told.
struct Bench {
    desk: Desk,
    inquiries: Inquiries,
    telemetry: Arc<Telemetry>,
    now: Instant,
    random: fastrand::Rng,
    asks: bool,
    asked: Vec<Arm>,
}

/// What an arm answers when it is asked again about a target; `None`: nothing.
type Answers<'a> = &'a dyn Fn(Arm, &str) -> Option<Captured>;

impl Bench {
    fn new(ignore: &[&str], zero_tolerance: &[&str]) -> Bench {
        let telemetry = Telemetry::new(1);
        Bench {
            desk: desk(settings(ignore, zero_tolerance), &telemetry),
            inquiries: Inquiries::default(),
            telemetry,
            now: Instant::now(),
            random: fastrand::Rng::with_seed(4),
            asks: true,
            asked: Vec::new(),
        }
    }

    fn moment(&mut self) -> Moment {
        let random = [self.random.u64(..), self.random.u64(..)];
        Moment { now: self.now, random, asks: self.asks }
    }

    fn take(&mut self, pair: Pair) {
        let moment = self.moment();
        self.desk.take(pair, Duration::ZERO, &moment, &mut self.inquiries);
    }

    /// Lets time pass; whoever is asked meanwhile answers at once.
    fn pass(&mut self, time: Duration, answers: Answers<'_>) {
        let until = self.now + time;
        loop {
            self.now = self.inquiries.next_at().map_or(until, |at| at.max(self.now)).min(until);
            let mut next = self.inquiries.due(self.now);
            if next.is_empty() && self.now >= until {
                return;
            }
            while let Some(one) = next.pop() {
                match one {
                    Next::Ask(ask) => {
                        self.asked.push(ask.arm);
                        let target = String::from_utf8_lossy(&ask.pair.asked.target).into_owned();
                        let answer = answers(ask.arm, &target).ok_or(NotCopied::Failed);
                        next.extend(self.inquiries.answered(ask.ticket, ask.arm, answer));
                    }
                    Next::Finished(finished) => {
                        let moment = self.moment();
                        self.desk.answered(*finished, &moment);
                    }
                }
            }
        }
    }

    fn totals(&self) -> ComparisonTotals {
        self.telemetry.comparisons("shop").totals()
    }

    /// Matching pairs, of which each hundred earn a question to old.
    fn earn(&mut self, pairs: usize) {
        let asks = std::mem::replace(&mut self.asks, false);
        for _ in 0..pairs {
            self.take(pair("shop", "/health", "{}", "{}"));
        }
        self.asks = asks;
    }
}

const SOON: Duration = Duration::from_secs(2);

fn says(body: &'static str) -> impl Fn(Arm, &str) -> Option<Captured> {
    move |_, _| Some(captured(200, body))
}

#[test]
fn a_mismatch_that_is_gone_a_moment_later_was_a_race() {
    let mut bench = Bench::new(&[], &[]);
    bench.earn(400);
    bench.take(pair("shop", "/stock", r#"{"left":3}"#, r#"{"left":2}"#));
    assert_eq!(bench.totals().judged(), 400, "nothing is said before it was asked again");
    bench.pass(Duration::from_millis(700), &says("{}"));
    assert!(bench.asked.is_empty(), "not at once");
    bench.pass(SOON, &says(r#"{"left":2}"#));
    bench.asked.sort();
    assert_eq!(bench.asked, [Arm::Old, Arm::New]);
    assert_eq!((bench.totals().race, bench.totals().mismatched), (1, 0));
    assert_eq!(bench.desk.questions.rechecked, 1);
    assert_eq!(bench.desk.questions.new_alone, 0, "old has changed its answer");
}

#[test]
fn of_head_the_lengths_are_compared() {
    let with_length = |method: &str, old: &str, new: &str| {
        let mut pair = pair("shop", "/orders.csv", "", "");
        pair.asked.method = method.as_bytes().into();
        for (answer, length) in pair.answers.iter_mut().zip([old, new]) {
            answer.headers = FieldLines::default();
            answer.headers.push(b"content-type", b"text/csv");
            answer.headers.push(b"content-length", length.as_bytes());
        }
        pair
    };
    let mut bench = Bench::new(&[], &[]);
    bench.asks = false;
    for (method, new, mismatched) in [("HEAD", "10", 0), ("HEAD", "20", 1), ("GET", "20", 1)] {
        bench.take(with_length(method, "10", new));
        assert_eq!(bench.totals().mismatched, mismatched, "{method} {new}");
    }
    assert_eq!(bench.totals().matched, 2);
}

#[test]
fn a_race_in_which_new_alone_changed_its_mind_is_counted_beside() {
    let mut bench = Bench::new(&[], &[]);
    bench.earn(400);
    bench.take(pair("shop", "/stock", r#"{"left":3}"#, r#"{"left":2}"#));
    bench.pass(SOON, &says(r#"{"left":3}"#));
    assert_eq!((bench.totals().race, bench.desk.questions.new_alone), (1, 1));
    // It is in no group of what stays, and has one of its own, with both answers.
    let report = Report::of(&bench.desk, &Wish::default(), &Kept::default(), 1.0);
    assert!(report.groups.is_empty() && report.counts.judged() == 400);
    let [race] = report.races.as_slice() else { panic!("{:?}", report.races) };
    assert_eq!(
        (race.endpoint.as_str(), race.path.as_str(), race.kind),
        ("GET /stock", "$.left", Kind::Value)
    );
    assert_eq!((race.count, race.new_alone, race.comparisons), (1, 1, 1));
    let wish = Wish { sample: race.samples.first().copied(), ..Wish::default() };
    let report = Report::of(&bench.desk, &wish, &Kept::default(), 1.0);
    let [(_, sample)] = report.samples.as_slice() else { panic!("{:?}", report.samples) };
    assert!(
        sample.old.as_str().contains("\"left\": 3") && sample.new.as_str().contains("\"left\": 2"),
        "{sample:?}"
    );
}

#[test]
fn a_mismatch_that_lasts_or_cannot_be_asked_again_is_one() {
    let differ = |arm: Arm, _: &str| Some(captured(200, if arm == Arm::Old { "1" } else { "2" }));
    let old_is_down = |arm: Arm, _: &str| (arm == Arm::New).then(|| captured(200, "1"));
    let incomplete = |_: Arm, _: &str| {
        Some(Captured { body: CapturedBody::Incomplete(NotCopied::Slow), ..captured(200, "") })
    };
    let answers: [Answers<'_>; 3] = [&differ, &old_is_down, &incomplete];
    for (number, answer) in answers.into_iter().enumerate() {
        let mut bench = Bench::new(&[], &[]);
        bench.earn(400);
        bench.take(pair("shop", "/a", "1", "2"));
        bench.pass(SOON, answer);
        assert_eq!((bench.totals().mismatched, bench.totals().race), (1, 0), "{number}");
        assert_eq!(bench.asked.len(), 2, "{number}");
    }
    let mut bench = Bench::new(&[], &[]);
    bench.earn(400);
    bench.take(Pair { again: None, ..pair("shop", "/a", "1", "2") });
    assert_eq!((bench.totals().mismatched, bench.desk.questions.not_rechecked), (1, 1), "no safe request");
    let mut bench = Bench::new(&[], &[]);
    bench.take(pair("shop", "/a", "1", "2"));
    assert_eq!(bench.totals().mismatched, 1, "old may not be asked yet");
}

#[test]
fn old_is_left_alone_once_it_failed_to_answer() {
    let mut bench = Bench::new(&[], &[]);
    bench.earn(2_000);
    bench.take(pair("shop", "/a", "1", "2"));
    bench.pass(SOON, &|_, _| None);
    let asked = bench.asked.len();
    bench.take(pair("shop", "/a", "1", "2"));
    bench.pass(SOON, &|_, _| None);
    assert_eq!((asked, bench.asked.len()), (2, 2));
    bench.pass(Duration::from_secs(10), &|_, _| None);
    bench.take(pair("shop", "/a", "1", "2"));
    bench.pass(SOON, &|_, _| None);
    assert!(bench.asked.len() >= 4, "{:?}", bench.asked);
}

/// A place that is new each time, beside one that new has wrong.
fn clocked(count: &std::cell::Cell<u64>, price: u64) -> String {
    count.set(count.get() + 1);
    format!(r#"{{"price":{price},"at":"t{}"}}"#, count.get())
}

#[test]
fn noise_is_learned_and_a_regression_beside_it_is_not_hidden() {
    let count = std::cell::Cell::new(0);
    let mut bench = Bench::new(&["$.nothing"], &["$.price"]);
    let again = |arm: Arm, target: &str| {
        let price = if arm == Arm::New && target == "/bad" { 2 } else { 1 };
        Some(captured(200, &clocked(&count, price)))
    };
    for _ in 0..6_000 {
        bench.take(pair("shop", "/good", &clocked(&count, 1), &clocked(&count, 1)));
        bench.pass(Duration::from_millis(1), &again);
    }
    let endpoint = Endpoint::named("GET /good");
    let known = bench.desk.ledger.noise().of(&endpoint, "$.at", Kind::Value, Level::FIRST);
    assert!(matches!(known.state, State::Noise { confidence } if confidence >= 0.99), "{known:?}");
    assert!(known.evidence.old_pairs >= 27, "{known:?}");
    let before = bench.totals();
    bench.take(pair("shop", "/good", &clocked(&count, 1), &clocked(&count, 1)));
    assert_eq!(bench.totals().noise, before.noise + 1);
    assert_eq!(bench.totals().zero_tolerance, 0);
    bench.take(pair("shop", "/good", &clocked(&count, 1), &clocked(&count, 2)));
    let bad = |arm: Arm, _: &str| again(arm, "/bad");
    bench.pass(SOON, &bad);
    let last = bench.totals();
    assert_eq!(last.mismatched + last.noise + last.race, 6_002);
    assert_eq!(last.zero_tolerance, 1, "a wrong price is one, however noisy the clock beside it is");
    // Old was asked at most once for a hundred pairs.
    let old = bench.asked.iter().filter(|arm| **arm == Arm::Old).count();
    assert!(old <= 60, "{old}");
    let [first, second] =
        [Arm::Old, Arm::New].map(|arm| bench.asked.iter().filter(|one| **one == arm).count());
    assert_eq!(first, second);
}

#[test]
fn what_cannot_be_compared_is_never_a_match_nor_noise() {
    let mut bench = Bench::new(&[], &[]);
    let cut = |status| Captured { body: CapturedBody::Incomplete(NotCopied::Slow), ..captured(status, "") };
    let both = pair("shop", "/a", "1", "1");
    bench.take(Pair { answers: [captured(200, "1"), cut(200)], ..both.clone() });
    assert_eq!(bench.totals().not_compared, 1);
    // A status that differs is proven, whatever the bodies are.
    bench.take(Pair { answers: [captured(200, "1"), cut(500)], ..both });
    assert_eq!((bench.totals().not_compared, bench.totals().mismatched), (1, 1));
}

#[test]
fn other_rules_begin_to_count_anew_and_keep_what_is_known_of_endpoints() {
    let mut bench = Bench::new(&[], &[]);
    bench.take(pair("shop", "/orders/17", r#"{"eta":1}"#, r#"{"eta":2}"#));
    assert_eq!(bench.desk.ledger.tally().total().judged(), 1);
    bench.desk.follow(settings(&[], &["$.other"]), 5_000);
    assert_eq!((bench.desk.ledger.tally().total().judged(), bench.desk.since_ms), (1, 1_000), "nothing new");
    bench.desk.follow(settings(&["$.eta"], &[]), 5_000);
    assert_eq!((bench.desk.ledger.tally().total().judged(), bench.desk.since_ms), (0, 5_000));
    assert_eq!(bench.desk.ledger.endpoints().all().len(), 1);
    bench.take(pair("shop", "/orders/18", r#"{"eta":1}"#, r#"{"eta":2}"#));
    let counts = *bench.desk.ledger.tally().total();
    assert_eq!((counts.of(Class::Matched), counts.judged()), (1, 1));
}

#[test]
fn samples_hold_nothing_that_is_secret() {
    let mut bench = Bench::new(&[], &[]);
    let secret =
        |arm: &str| format!(r#"{{"token":"s3cr3t-{arm}","card":"4111111111111111","name":"x-{arm}"}}"#);
    bench.take(pair("shop", "/login?password=hunter22", &secret("old"), &secret("new")));
    let text = format!("{:?}", bench.desk.ledger.state());
    for hidden in ["s3cr3t", "4111", "hunter22"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    assert!(text.contains("x-old") && text.contains("«redacted"), "{text}");
}

fn pairs() -> impl Strategy<Value = Vec<(u8, u8, bool, u16, u8)>> {
    prop::collection::vec((0_u8..4, 0_u8..4, any::<bool>(), 0_u16..800, 0_u8..4), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_pair_ends_in_exactly_one_class(pairs in pairs(), seed in any::<u64>()) {
        let mut bench = Bench::new(&[], &["$.v"]);
        bench.random = fastrand::Rng::with_seed(seed);
        bench.earn(300);
        for (old, new, is_safe, wait_ms, again) in &pairs {
            let body = |value: u8| format!(r#"{{"v":{value}}}"#);
            let mut one = pair("shop", &format!("/p{old}"), &body(*old), &body(*new));
            if !is_safe {
                one.again = None;
            }
            if *again == 3 {
                one.answers[1].body = CapturedBody::Incomplete(NotCopied::Slow);
            }
            bench.take(one);
            let later = |arm: Arm, _: &str| match again {
                0 => None,
                1 => Some(captured(200, "{}")),
                _ => Some(captured(200, if arm == Arm::Old { "[1]" } else { "[2]" })),
            };
            bench.pass(Duration::from_millis(u64::from(*wait_ms)), &later);
        }
        for finished in bench.inquiries.give_up() {
            let moment = bench.moment();
            bench.desk.answered(finished, &moment);
        }
        let totals = bench.totals();
        let all = [totals.matched, totals.mismatched, totals.noise, totals.race, totals.not_compared];
        prop_assert_eq!(all.iter().sum::<u64>(), pairs.len() as u64 + 300);
        let tally = bench.desk.ledger.tally().total();
        prop_assert_eq!(tally.total(), pairs.len() as u64 + 300);
        prop_assert_eq!(tally.judged(), totals.judged());
        prop_assert!(totals.zero_tolerance <= totals.mismatched);
        let old = bench.asked.iter().filter(|arm| **arm == Arm::Old).count();
        prop_assert!(old * 100 <= pairs.len() + 300, "old was asked {} times", old);
    }
}
