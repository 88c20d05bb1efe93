//! One migration's comparisons: from a pair of answers to exactly one class, and what is made of all of them.
//!
//! Pure but for its memory: time and random bits are arguments, and whom to ask once more goes to the [`Inquiries`].
//!
//! # A pair's way
//!
//! 1. Its endpoint is looked up, and whether it is of the sample is drawn **before** its answers are looked at: nothing may
//!    become noise because it was asked again where it differed.
//! 2. Both answers are compared. What cannot be compared is *not compared*; what does not differ *matched*; what differs only
//!    where old differs from itself is *noise*.
//! 3. Any other difference of a request that may be sent again is asked of both arms at once a moment later, as far as the
//!    allowance lasts: if it is gone, it was a *race*. Else, or where it could not be asked, it is a *mismatch*.
//! 4. A request of the sample is asked of both arms again, one right after the other in an order that is drawn, so that as
//!    much time lies between old's two answers as between old's and new's. That, and nothing else, feeds what is known of
//!    noise: the pair's own two answers came at one moment, and would make whatever changes with time look like noise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use response_diff::Field;
use response_diff::redact::Said;
use response_diff::summary::groups::{Limits as GroupLimits, Sample, Wanted};
use response_diff::summary::{Class, Endpoint, Ledger, LedgerRules, LedgerState, Why};
use route_plan::{Captured, NotCopied, Pair, normalise_path};
use telemetry::{Compared, ComparisonCells, EvidenceCells};
use traffic_split::Arm;

use crate::allowance::{Allowance, Purpose};
use crate::health::OldHealth;
use crate::inquiry::{Finished, Inquiries, Inquiry};
use crate::looking::{Look, answer, look};
use crate::settings::Settings;

/// How long after it a mismatch is asked again, at least and at most.
const RACE_AFTER: [Duration; 2] = [Duration::from_millis(750), Duration::from_millis(1_250)];
/// A pair that waited longer in the queue is not asked again for the sake of noise: too much time would lie between.
const FRESH: Duration = Duration::from_secs(1);
/// Of requests at endpoints of which too little is known, one in so many is of the sample; of all others, one in
/// [`SAMPLE_ELSE`]. The allowance is what bounds them.
const SAMPLE_WANTED: u32 = 4;
const SAMPLE_ELSE: u32 = 64;

/// All samples of one migration, in bytes.
const SAMPLES_BYTES: usize = 4 << 20;

/// The moment at which something happens, with some random bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    pub(crate) random: [u64; 2],
    /// Requests can be asked again.
    pub(crate) asks: bool,
}

/// What was asked again, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Sampled requests of which both arms answered.
    pub sampled: u64,
    /// Mismatches of which both arms answered.
    pub rechecked: u64,
    /// Mismatches that were not asked again: not safe, no allowance, no room, old unwell or no answer.
    pub not_rechecked: u64,
    /// Races in which new alone gave another answer the second time, while old stood by its own.
    pub new_alone: u64,
}

/// One migration's comparisons.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) settings: Settings,
    pub(crate) ledger: Ledger,
    pub(crate) questions: Questions,
    /// Since when comparisons count, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// Something has changed since it was kept.
    pub(crate) is_new: bool,
    allowance: Allowance,
    old: OldHealth,
    sources: Sources,
}

/// Where it counts, and where it looks at old.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) comparisons: Arc<ComparisonCells>,
    pub(crate) served: Arc<EvidenceCells>,
    pub(crate) copied: Arc<EvidenceCells>,
}

impl Desk {
    /// Nothing is known yet.
    pub(crate) fn new(settings: Settings, sources: Sources, now_ms: u64) -> Desk {
        Desk {
            ledger: Ledger::new(settings.templates(), rules()),
            questions: Questions::default(),
            since_ms: now_ms,
            is_new: true,
            allowance: Allowance::default(),
            old: OldHealth::default(),
            settings,
            sources,
        }
    }

    /// A configuration has come into force. Where answers are compared by other rules, comparisons count anew.
    pub(crate) fn follow(&mut self, settings: Settings, now_ms: u64) {
        let before = std::mem::replace(&mut self.settings, settings);
        if before.templates() != self.settings.templates() {
            let state = self.ledger.state();
            self.ledger = Ledger::restore(self.settings.templates(), rules(), &state);
        }
        if before.redacts_by != self.settings.redacts_by {
            self.ledger.forget_samples();
            self.is_new = true;
        }
        if before.compares_by != self.settings.compares_by {
            self.begin_anew(now_ms);
        }
    }

    /// What was compared so far says nothing any more. What is known of endpoints and noise stays.
    pub(crate) fn begin_anew(&mut self, now_ms: u64) {
        let LedgerState { endpoints, noise, .. } = self.ledger.state();
        let state = LedgerState { endpoints, noise, ..LedgerState::default() };
        self.ledger = Ledger::restore(self.settings.templates(), rules(), &state);
        self.questions = Questions::default();
        self.since_ms = now_ms;
        self.is_new = true;
    }

    /// Takes a pair that has waited so long.
    pub(crate) fn take(&mut self, pair: Pair, waited: Duration, moment: &Moment, inquiries: &mut Inquiries) {
        self.is_new = true;
        let endpoint = self.locate(&pair);
        self.allowance.earn();
        self.look_at_old(moment.now);
        let is_sampled = waited <= FRESH && self.is_sampled(&pair, &endpoint, moment, inquiries);
        let pair = Arc::new(pair);
        let found = self.compare(&pair.answers[0], &pair.answers[1], &pair);
        if let (Some(why), true) = (found.unseen, found.differences.is_empty()) {
            return self.close(&endpoint, Class::NotCompared(Why::Answers(why)), &found, &pair, moment);
        }
        if is_sampled && found.unseen.is_none() && self.allowance.take(Purpose::Noise) {
            let inquiry = Inquiry {
                purpose: Purpose::Noise,
                pair: pair.clone(),
                endpoint: endpoint.clone(),
                look: Look::default(),
                first: drawn_arm(moment.random[0]),
                due: moment.now,
            };
            // Room was looked for when it was drawn.
            let _ = inquiries.open(inquiry);
        }
        match self.class_of(&endpoint, &found) {
            Class::Mismatched => self.mismatched(endpoint, found, pair, moment, inquiries),
            class => self.close(&endpoint, class, &found, &pair, moment),
        }
    }

    /// The class of a pair, as far as it is known before anybody is asked again.
    fn class_of(&self, endpoint: &Endpoint, found: &Look) -> Class {
        let judged = self.ledger.judge(endpoint, &found.differences, found.complete);
        match found.unseen {
            // What is proven is noise; what could not be looked at may be anything.
            Some(why) if judged.noise.iter().all(|noise| *noise) => Class::NotCompared(Why::Answers(why)),
            _ => judged.class,
        }
    }

    /// Both arms were asked again.
    pub(crate) fn answered(&mut self, finished: Finished, moment: &Moment) {
        let Finished { inquiry, answers } = finished;
        self.is_new = true;
        if answers[Arm::Old.index()].as_ref().is_err_and(|why| says_of_old(*why)) {
            self.old.failed(moment.now);
        }
        match (inquiry.purpose, &answers) {
            (Purpose::Noise, [Ok(old), Ok(new)]) => self.learn(&inquiry, old, new),
            (Purpose::Noise, _) => {}
            (Purpose::Race, answers) => self.settle(inquiry, answers, moment),
        }
    }

    /// The process ends before a pair was compared.
    pub(crate) fn give_up(&mut self, pair: &Pair, moment: &Moment) {
        let endpoint = self.locate(pair);
        let class = Class::NotCompared(Why::Copy(NotCopied::Ended));
        self.is_new = true;
        self.close(&endpoint, class, &Look::default(), pair, moment);
    }

    fn locate(&mut self, pair: &Pair) -> Endpoint {
        let method = String::from_utf8_lossy(&pair.asked.method);
        let found = pair.answers[pair.asked.served.index()].status != 404;
        self.ledger.locate(&method, &path_of(pair), found)
    }

    /// Whether a request is of the sample. Nothing of its answers is known here but whether the path was found.
    fn is_sampled(&self, pair: &Pair, endpoint: &Endpoint, moment: &Moment, inquiries: &Inquiries) -> bool {
        let one_in = if self.ledger.wants_sample(endpoint) { SAMPLE_WANTED } else { SAMPLE_ELSE };
        let is_drawn = (moment.random[1] >> 32).is_multiple_of(u64::from(one_in));
        is_drawn && self.allowance.has(Purpose::Noise) && self.may_ask(pair, moment, inquiries)
    }

    fn may_ask(&self, pair: &Pair, moment: &Moment, inquiries: &Inquiries) -> bool {
        moment.asks && pair.again.is_some() && self.old.is_well(moment.now) && inquiries.has_room(pair)
    }

    /// There are differences beside noise. Whether they last is to be seen.
    fn mismatched(
        &mut self,
        endpoint: Endpoint,
        found: Look,
        pair: Arc<Pair>,
        moment: &Moment,
        inquiries: &mut Inquiries,
    ) {
        if !self.may_ask(&pair, moment, inquiries) || !self.allowance.take(Purpose::Race) {
            self.questions.not_rechecked += 1;
            return self.close(&endpoint, Class::Mismatched, &found, &pair, moment);
        }
        let [least, most] = RACE_AFTER;
        let spread_us = u64::try_from((most - least).as_micros()).unwrap_or(1).max(1);
        let inquiry = Inquiry {
            purpose: Purpose::Race,
            pair,
            endpoint,
            look: found,
            first: drawn_arm(moment.random[0]),
            due: moment.now + least + Duration::from_micros((moment.random[0] >> 1) % spread_us),
        };
        if let Err(inquiry) = inquiries.open(inquiry) {
            self.questions.not_rechecked += 1;
            self.close(&inquiry.endpoint, Class::Mismatched, &inquiry.look, &inquiry.pair, moment);
        }
    }

    /// A sampled request was answered again by both.
    fn learn(&mut self, inquiry: &Inquiry, old: &Captured, new: &Captured) {
        let first = &inquiry.pair.answers[Arm::Old.index()];
        let with_new = self.compare(first, new, &inquiry.pair);
        let itself = self.compare_olds(first, old, &inquiry.pair);
        if with_new.unseen.is_some() || itself.unseen.is_some() {
            return;
        }
        self.questions.sampled += 1;
        self.ledger.sampled(&inquiry.endpoint, &with_new.differences, with_new.complete, &itself.differences);
    }

    /// A mismatch was asked again: it lasts, or it is gone.
    fn settle(&mut self, inquiry: Inquiry, answers: &[Result<Captured, NotCopied>; 2], moment: &Moment) {
        let Inquiry { pair, endpoint, look: first, .. } = inquiry;
        // What is noise may be known by now.
        let class = match self.class_of(&endpoint, &first) {
            Class::Mismatched => match answers {
                [Ok(old), Ok(new)] => match self.raced(&pair, &endpoint, old, new) {
                    Some(new_alone) => return self.close_race(&endpoint, &first, &pair, moment, new_alone),
                    None => Class::Mismatched,
                },
                _ => {
                    self.questions.not_rechecked += 1;
                    Class::Mismatched
                }
            },
            class => class,
        };
        self.close(&endpoint, class, &first, &pair, moment);
    }

    /// Whether the difference is gone, and if so, whether new alone gave another answer than before.
    fn raced(&mut self, pair: &Pair, endpoint: &Endpoint, old: &Captured, new: &Captured) -> Option<bool> {
        self.questions.rechecked += 1;
        let again = self.compare(old, new, pair);
        let judged = self.ledger.judge(endpoint, &again.differences, again.complete);
        if again.unseen.is_some() || judged.class == Class::Mismatched {
            return None;
        }
        let itself = self.compare_olds(&pair.answers[Arm::Old.index()], old, pair);
        let stands = self.ledger.judge(endpoint, &itself.differences, itself.complete).class;
        Some(matches!(stands, Class::Matched | Class::Noise))
    }

    /// What becomes of a pair when nothing more is to come: here and in [`Desk::close_race`] it is counted, and nowhere else.
    fn close(&mut self, endpoint: &Endpoint, class: Class, found: &Look, pair: &Pair, moment: &Moment) {
        self.sources.comparisons.record(result_of(class));
        if class == Class::Mismatched && self.is_intolerable(endpoint, found) {
            self.sources.comparisons.zero_tolerance();
        }
        if let Class::NotCompared(why) = class {
            return self.ledger.not_compared(endpoint, why);
        }
        let at_ms = pair.asked.at_ms;
        let wanted = self.ledger.end(endpoint, class, &found.differences, at_ms, moment.random[0]);
        if let Some(wanted) = wanted {
            self.keep_sample(wanted, found, pair);
        }
    }

    /// The same of a race.
    fn close_race(
        &mut self,
        endpoint: &Endpoint,
        found: &Look,
        pair: &Pair,
        moment: &Moment,
        new_alone: bool,
    ) {
        self.sources.comparisons.record(Compared::Race);
        self.questions.new_alone += u64::from(new_alone);
        let (at_ms, random) = (pair.asked.at_ms, moment.random[0]);
        if let Some(wanted) = self.ledger.raced(endpoint, &found.differences, at_ms, random, new_alone) {
            self.keep_sample(wanted, found, pair);
        }
    }

    /// Whether there is a difference where none may be; noise never is one.
    fn is_intolerable(&self, endpoint: &Endpoint, found: &Look) -> bool {
        let judged = self.ledger.judge(endpoint, &found.differences, found.complete);
        judged.noise.iter().zip(&found.intolerable).any(|(noise, intolerable)| *intolerable && !noise)
    }

    fn keep_sample(&mut self, wanted: Wanted, found: &Look, pair: &Pair) {
        let [old, new] = [&pair.answers[0], &pair.answers[1]].map(answer);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let redaction = self.settings.redactor.pair(&old, &new);
        let target = text(&pair.asked.target);
        let redaction = redaction.knowing(&said(pair, &target));
        let request = format!("{} {}", text(&pair.asked.method), target);
        let sample = Sample {
            at_ms: pair.asked.at_ms,
            request: redaction.target(&request),
            request_id: redaction.text(&text(&pair.asked.request_id)),
            differences: found.differences.iter().map(|one| redaction.difference(one)).collect(),
            old: redaction.answer(&old),
            new: redaction.answer(&new),
        };
        let _ = self.ledger.keep(wanted, sample);
    }

    /// Holds old's answer against new's, by the rules of their path.
    fn compare(&self, old: &Captured, new: &Captured, pair: &Pair) -> Look {
        let settings = &self.settings;
        let mut found =
            look(&pair.asked, old, new, settings.rules.for_path(&path_of(pair)), &settings.limits);
        found.intolerable = found.differences.iter().map(|one| settings.zero_tolerance.has(one)).collect();
        self.hide_names(&mut found, pair);
        found
    }

    /// Holds two answers of old against each other.
    fn compare_olds(&self, one: &Captured, other: &Captured, pair: &Pair) -> Look {
        let settings = &self.settings;
        let mut found =
            look(&pair.asked, one, other, settings.rules_of_old.for_path(&path_of(pair)), &settings.limits);
        self.hide_names(&mut found, pair);
        found
    }

    /// No place names a secret, before anything is counted by it.
    fn hide_names(&self, found: &mut Look, pair: &Pair) {
        if found.differences.is_empty() {
            return;
        }
        let (redactor, target) = (&self.settings.redactor, String::from_utf8_lossy(&pair.asked.target));
        redactor.hide_names(&mut found.differences);
        redactor.hide_names_said(&mut found.differences, &said(pair, &target));
    }

    fn look_at_old(&mut self, now: Instant) {
        if !self.old.is_due(now) {
            return;
        }
        let [served, copied] =
            [&self.sources.served, &self.sources.copied].map(|cells| cells.totals().arm(Arm::Old).clone());
        self.old.look(now, served.requests + copied.requests, served.failures + copied.failures);
    }
}

/// What bounds a ledger.
pub(crate) fn rules() -> LedgerRules {
    let groups = GroupLimits { groups: 1_000, samples_bytes: SAMPLES_BYTES, ..GroupLimits::default() };
    LedgerRules { groups, ..LedgerRules::default() }
}

/// What a pair's request said; `target` is its own.
fn said<'a>(pair: &'a Pair, target: &'a str) -> Said<'a> {
    let fields = pair.asked.fields.iter().map(|(name, value)| Field { name, value });
    Said { target, fields: fields.collect(), content: &pair.asked.content }
}

/// The path of a pair's request, normalised as for matching.
fn path_of(pair: &Pair) -> String {
    let target = String::from_utf8_lossy(&pair.asked.target).into_owned();
    let path = target.split(['?', '#']).next().unwrap_or_default();
    match normalise_path(path.as_bytes()) {
        Ok(path) => String::from_utf8_lossy(&path).into_owned(),
        Err(_) => path.to_owned(),
    }
}

fn drawn_arm(random: u64) -> Arm {
    if random & 1 == 0 { Arm::Old } else { Arm::New }
}

/// Whether that a question was not answered says that old is unwell, rather than that nobody asked it.
fn says_of_old(why: NotCopied) -> bool {
    matches!(why, NotCopied::TargetDown | NotCopied::Failed | NotCopied::Slow)
}

fn result_of(class: Class) -> Compared {
    match class {
        Class::Matched => Compared::Matched,
        Class::Mismatched => Compared::Mismatched,
        Class::Noise => Compared::Noise,
        Class::Race => Compared::Race,
        Class::NotCompared(_) => Compared::NotCompared,
    }
}

#[cfg(test)]
mod tests;
