//! The corpus: hand-written verdicts on answer pairs, held against the engine. See `corpus/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a failed expectation ends the test that had it, and its figures are to be read"
)]

#[path = "corpus/case.rs"]
mod case;
#[path = "corpus/rules.rs"]
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use case::{Case, Message, Place, Side, Verdict};
use response_diff::summary::Endpoint;
use response_diff::summary::noise::{self, Noise};
use response_diff::{Comparison, Difference, Limits, Rules};

/// What the engine has to reach, both in precision and in recall.
const ENOUGH: f64 = 0.99;
/// How many sampled requests of a case with noise are played: enough for places that differ in a quarter of the answers.
const SAMPLED: u64 = 4_000;

/// What the engine makes of a case, in the case's own words.
struct Outcome {
    verdict: Verdict,
    /// Those that are real, that are noise and that raced.
    places: [BTreeSet<Place>; 3],
    reason: Option<String>,
}

#[test]
fn the_engine_agrees_with_the_corpus() {
    let cases = case::all();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let mut verdicts = Score::default();
    let mut places = Score::default();
    let mut false_matches = Vec::new();
    let mut table: BTreeMap<(Verdict, Verdict), usize> = BTreeMap::new();
    for case in &cases {
        let found = outcome(case);
        *table.entry((case.verdict, found.verdict)).or_default() += 1;
        verdicts.count(case.verdict == Verdict::Mismatch, found.verdict == Verdict::Mismatch);
        places.compare(&named(&expected(case)), &named(&found.places));
        if case.verdict == Verdict::NotCompared && found.verdict == Verdict::Match {
            false_matches.push(&case.name);
        }
        if !found.agrees(case) {
            let written =
                Outcome { verdict: case.verdict, places: expected(case), reason: case.reason.clone() };
            println!(
                "{}: {}\n  {}\n  written: {written}\n  found:   {found}",
                case.file, case.name, case.why
            );
        }
    }
    println!("{} cases; written and found verdicts:", cases.len());
    for ((written, found), count) in &table {
        println!("  {written:?} -> {found:?}: {count}");
    }
    println!("real or not: {verdicts}\nsingle differences: {places}");
    assert!(false_matches.is_empty(), "called a match and not comparable: {false_matches:?}");
    for (what, score) in [("real or not", &verdicts), ("single differences", &places)] {
        assert!(score.precision() >= ENOUGH && score.recall() >= ENOUGH, "{what}: {score}");
    }
}

#[test]
fn every_case_is_written_as_the_readme_says() {
    let cases = case::all();
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert((&case.file, &case.name)), "{} is there twice", case.name);
        assert!(case.why.ends_with('.'), "{}: why is a sentence", case.name);
        let is_real = matches!(case.verdict, Verdict::Mismatch | Verdict::Race);
        assert_eq!(is_real, !case.differences.is_empty(), "{}: differences", case.name);
        assert_eq!(case.verdict == Verdict::NotCompared, case.reason.is_some(), "{}: reason", case.name);
        assert_eq!(case.verdict == Verdict::Noise, case.differences.is_empty() && !case.noise.is_empty());
        assert_eq!(case.old_recheck.is_some(), case.new_recheck.is_some(), "{}: rechecks", case.name);
        for (name, values) in &case.values {
            assert_eq!((values.old.len(), values.new.len()), (10, 10), "{}: {name}", case.name);
        }
    }
}

/// The places that a verdict names: those that are real, that are noise and that raced.
fn expected(case: &Case) -> [BTreeSet<Place>; 3] {
    let set = |places: &[Place]| places.iter().cloned().collect::<BTreeSet<_>>();
    if case.verdict == Verdict::Race {
        return [BTreeSet::new(), set(&case.noise), set(&case.differences)];
    }
    [set(&case.differences), set(&case.noise), set(&case.raced)]
}

/// Places with what they are, so that noise that is called real counts as found wrongly and as overlooked.
fn named(places: &[BTreeSet<Place>; 3]) -> BTreeSet<(&'static str, &Place)> {
    let classes = ["real", "noise", "raced"].into_iter().zip(places);
    classes.flat_map(|(class, places)| places.iter().map(move |place| (class, place))).collect()
}

fn outcome(case: &Case) -> Outcome {
    let (rules, limits) = rules::of(case);
    let engine = Engine { rules: rules.for_path(&case.request), limits };
    let (old, new) = (case.answer(Side::Old, 0), case.answer(Side::New, 0));
    match engine.compare(&old, &new) {
        Comparison::Match => Outcome::without(Verdict::Match, None),
        Comparison::NotCompared(why) => Outcome::without(Verdict::NotCompared, Some(why.to_string())),
        Comparison::Mismatch(differences) => {
            let noise = if case.answers() > 1 { engine.noise(case, &differences) } else { BTreeSet::new() };
            let again = case.recheck(Side::Old).zip(case.recheck(Side::New));
            let still = again.map(|(old, new)| places(&engine.differences(&old, &new)));
            judged(&places(&differences), noise, still.as_ref())
        }
    }
}

/// `still` is what differs when both were asked again.
fn judged(all: &BTreeSet<Place>, noise: BTreeSet<Place>, still: Option<&BTreeSet<Place>>) -> Outcome {
    let counted: BTreeSet<Place> = all.difference(&noise).cloned().collect();
    let raced: BTreeSet<Place> = match still {
        Some(still) => counted.difference(still).cloned().collect(),
        None => BTreeSet::new(),
    };
    let real: BTreeSet<Place> = counted.difference(&raced).cloned().collect();
    let verdict = match (real.is_empty(), raced.is_empty()) {
        (false, _) => Verdict::Mismatch,
        (true, false) => Verdict::Race,
        (true, true) => Verdict::Noise,
    };
    Outcome { verdict, places: [real, noise, raced], reason: None }
}

struct Engine<'r> {
    rules: &'r Rules,
    limits: Limits,
}

impl Engine<'_> {
    fn compare(&self, old: &Message, new: &Message) -> Comparison {
        response_diff::compare(&old.answer(), &new.answer(), self.rules, &self.limits)
    }

    fn differences(&self, old: &Message, new: &Message) -> Vec<Difference> {
        match self.compare(old, new) {
            Comparison::Mismatch(differences) => differences,
            Comparison::Match => Vec::new(),
            Comparison::NotCompared(why) => panic!("an answer that was asked again is not comparable: {why}"),
        }
    }

    /// Which of these differences are noise, learned from sampled requests that draw from the case's answers.
    fn noise(&self, case: &Case, differences: &[Difference]) -> BTreeSet<Place> {
        let count = case.answers();
        let old: Vec<_> = (0..count).map(|index| case.answer(Side::Old, index)).collect();
        let new: Vec<_> = (0..count).map(|index| case.answer(Side::New, index)).collect();
        let every_pair = |others: &[Message]| -> Vec<Vec<_>> {
            old.iter().map(|one| others.iter().map(|other| self.differences(one, other)).collect()).collect()
        };
        let (old_old, old_new) = (every_pair(&old), every_pair(&new));
        let endpoint = Endpoint::named("GET /");
        let mut noise = Noise::new(noise::Rules::default());
        let mut draw = Draw(0x9E37_79B9_7F4A_7C15);
        for _ in 0..SAMPLED {
            let (served, other) = (draw.below(count), draw.below(count));
            // Two different ones of old's answers, as if it had been asked twice.
            let again = (served + 1 + draw.below(count - 1)) % count;
            noise.sampled(&endpoint, &old_new[served][other], true, &old_old[served][again]);
        }
        let judged = noise.judge(&endpoint, differences, true);
        let noisy = differences.iter().zip(judged.noise).filter(|(_, is_noise)| *is_noise);
        places(noisy.map(|(difference, _)| difference))
    }
}

/// SplitMix64: the same draws in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((bits ^ (bits >> 31)) % bound as u64).expect("it is below a usize")
    }
}

fn places<'d>(differences: impl IntoIterator<Item = &'d Difference>) -> BTreeSet<Place> {
    let place =
        |difference: &Difference| Place { path: difference.path.clone(), kind: difference.kind.to_string() };
    differences.into_iter().map(place).collect()
}

impl Outcome {
    fn without(verdict: Verdict, reason: Option<String>) -> Outcome {
        Outcome { verdict, places: Default::default(), reason }
    }

    fn agrees(&self, case: &Case) -> bool {
        self.verdict == case.verdict && self.reason == case.reason && self.places == expected(case)
    }
}

/// How often something that should be found was, and was rightly.
#[derive(Default)]
struct Score {
    rightly: usize,
    wrongly: usize,
    overlooked: usize,
}

impl Score {
    fn count(&mut self, is_there: bool, is_found: bool) {
        self.rightly += usize::from(is_there && is_found);
        self.wrongly += usize::from(!is_there && is_found);
        self.overlooked += usize::from(is_there && !is_found);
    }

    fn compare<T: Ord>(&mut self, there: &BTreeSet<T>, found: &BTreeSet<T>) {
        self.rightly += there.intersection(found).count();
        self.wrongly += found.difference(there).count();
        self.overlooked += there.difference(found).count();
    }

    fn precision(&self) -> f64 {
        self.rightly as f64 / (self.rightly + self.wrongly).max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.rightly as f64 / (self.rightly + self.overlooked).max(1) as f64
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (precision, recall) = (self.precision(), self.recall());
        write!(
            f,
            "precision {precision:.4}, recall {recall:.4} ({} found, {} found that are none, {} overlooked)",
            self.rightly, self.wrongly, self.overlooked
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.verdict, self.reason.as_deref().unwrap_or_default())?;
        for (class, place) in named(&self.places) {
            write!(f, "; {class}: {} {}", place.kind, place.path)?;
        }
        Ok(())
    }
}
