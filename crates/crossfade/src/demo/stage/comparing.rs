//! What comparing came to, as the proxy tells it while new gets copies.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use admin_api::{DiffsAnswer, DiffsCounts, DiffsGroup, DiffsWish};
use control_plane::{MigrationStatus, ShadowState, ShadowStatus};
use tokio::task::spawn_blocking;
use traffic_split::Arm;

use super::{Ending, OWN, Stage};
use crate::demo::MIGRATION;
use crate::demo::figures::{ArmFigures, Sample};
use crate::demo::shop::planted::{FAULTS, Found, NOISE, invented, is_noise};
use crate::demo::story::{Chapter, Compared};
use crate::demo::text::{grouped, milliseconds};
use crate::demo::view::{GroupLine, Shadow};

/// Groups that are asked for: more than are planted, so that what was not would be seen.
const GROUPS: usize = 50;
/// Users may get new from this share of matches on that is shown: where the file says nothing else.
const SHOWN_TO_MATCH: f64 = 0.999;

/// What the proxy tells of comparing, at one moment.
#[derive(Clone, Debug)]
pub(super) struct Comparing {
    answer: DiffsAnswer,
    shadow: ShadowStatus,
}

impl Comparing {
    /// What the story goes by; `before` is how it was when the act began.
    pub(super) fn seen(&self, before: Option<&Comparing>) -> Compared {
        let summary = &self.answer.summary;
        let found = Found::among(&self.answer.groups);
        let rates =
            before.and_then(|before| before.shadow.match_rate.rate()).zip(self.shadow.match_rate.rate());
        Compared {
            is_on: self.shadow.state == ShadowState::On,
            judged: self.judged(),
            is_anew: before.is_some_and(|before| before.answer.summary.since_ms != summary.since_ms),
            has_all_faults: found.has_all_faults(),
            has_all_noise: found.has_all_noise(),
            has_risen: rates.is_some_and(|(before, now)| now > before),
            is_proven: self.shadow.match_rate.at_least() >= SHOWN_TO_MATCH,
        }
    }

    /// What should not be.
    fn trouble(&self, chapter: Chapter, copies: u64) -> Option<String> {
        // Whoever else switches it off has taken over.
        let is_own = self.shadow.by.as_ref().is_none_or(|by| OWN.contains(&by.who.as_str()));
        if self.shadow.state == ShadowState::Off && is_own {
            return Some(format!("the shadow was switched off: {}", self.shadow.sentence));
        }
        if let Some(group) = invented(&self.answer.groups) {
            return Some(format!("comparing found what was not planted: {}", self.group(group)));
        }
        // Later on these counts have begun anew, while some of what was asked before is still to be answered.
        let is_counted = matches!(chapter, Chapter::Copies | Chapter::Differences | Chapter::Noise);
        let too_often = is_counted && self.asked_again() * 100 > copies;
        too_often.then(|| format!("{}, which is more than 1 %", self.again(copies)))
    }

    fn judged(&self) -> u64 {
        let DiffsCounts { matched, mismatched, .. } = self.answer.summary.comparisons;
        matched + mismatched
    }

    fn asked_again(&self) -> u64 {
        self.answer.summary.asked_again.sampled + self.answer.summary.asked_again.rechecked
    }

    fn again(&self, copies: u64) -> String {
        let again = self.asked_again();
        format!(
            "old was asked once more for {} of {} copied requests ({:.2} %)",
            grouped(again),
            grouped(copies),
            again as f64 * 100.0 / copies.max(1) as f64
        )
    }

    /// `100 %, at least 99.91 %, of 6,511 comparisons`
    fn rate(&self) -> String {
        let rate = self.shadow.match_rate;
        format!("{rate}, of {} comparisons", grouped(rate.compared()))
    }

    /// What an act came to.
    pub(super) fn happened(&self, chapter: Chapter, act: &ActSoFar<'_>) -> String {
        let DiffsCounts { matched, mismatched, noise, race, not_compared } = &self.answer.summary.comparisons;
        let counts = || {
            let not_compared: u64 = not_compared.values().sum();
            let [matched, mismatched, noise, race, not_compared] =
                [*matched, *mismatched, *noise, *race, not_compared].map(grouped);
            format!(
                "matched {matched}, mismatched {mismatched}, noise {noise}, races {race}, not compared {not_compared}"
            )
        };
        let found = Found::among(&self.answer.groups);
        match chapter {
            Chapter::Copies => format!("{}; {}", act.copies(), act.latency()),
            Chapter::Differences => {
                format!(
                    "{} of {} faults, and nothing that was not planted; {}",
                    found.faults,
                    FAULTS.len(),
                    counts()
                )
            }
            Chapter::Noise => format!("{} of {} places; {}", found.noise, NOISE.len(), counts()),
            Chapter::Rules | Chapter::Match => self.risen(act.before),
        }
    }

    /// How the match rate has changed.
    fn risen(&self, before: Option<&Comparing>) -> String {
        let before = before.map(|before| format!("; before {}", before.shadow.match_rate));
        format!("match rate {}{}", self.rate(), before.unwrap_or_default())
    }

    /// What the proxy says of it, when an act has settled: for everybody, and for those who see no picture.
    pub(super) fn said(&self, chapter: Chapter, act: &ActSoFar<'_>) -> (Vec<String>, Vec<String>) {
        let groups = |noise: bool| {
            let groups = self.answer.groups.iter().filter(move |group| is_noise(group) == noise);
            groups.map(|group| self.group(group))
        };
        match chapter {
            Chapter::Copies => {
                let said = [Some(act.latency()), act.beside(), self.shadow.effect.clone()];
                (said.into_iter().flatten().collect(), Vec::new())
            }
            Chapter::Differences => (Vec::new(), groups(false).collect()),
            Chapter::Noise => {
                let rules = self.answer.summary.suggestions.lines().map(str::to_owned);
                (vec![self.again(act.now.copies)], groups(true).chain(rules).collect())
            }
            Chapter::Rules => (vec![self.risen(act.before)], Vec::new()),
            Chapter::Match => {
                let shown = self.shadow.matching.clone();
                ([self.risen(act.before)].into_iter().chain(shown).collect(), Vec::new())
            }
        }
    }

    /// `GET /products/{id} $.price value: 59.99 -> 60.00, in 412 of 4,870 comparisons`
    fn group(&self, group: &DiffsGroup) -> String {
        let place = format!("{} {} {}", group.endpoint, group.path, group.kind);
        let counts = |count, all| format!("{} of {}", grouped(count), grouped(all));
        match (group.noise.confidence, &group.noise) {
            (Some(confidence), noise) => format!(
                "{place}: noise, {} sure: old differs from itself in {}, from new in {}",
                certainty(confidence),
                counts(noise.old_differ, noise.old_pairs),
                counts(noise.new_differ, noise.new_pairs)
            ),
            (None, _) => {
                format!(
                    "{place}: {}, in {} comparisons",
                    self.values(group),
                    counts(group.count, group.comparisons)
                )
            }
        }
    }

    /// What old and new have there, in the latest sample: `59.99 -> 60.00`, or what is missing.
    fn values(&self, group: &DiffsGroup) -> String {
        let samples = self.answer.samples.iter().rev().filter(|one| group.samples.contains(&one.sample));
        let mut there = samples.flat_map(|one| &one.differences);
        let found = there.find(|one| one.path == group.path && one.kind == group.kind);
        match found.map(|one| (one.old.as_deref(), one.new.as_deref())) {
            Some((Some(old), Some(new))) => format!("{old} -> {new}"),
            Some((Some(one), None) | (None, Some(one))) => one.to_owned(),
            _ => "-".to_owned(),
        }
    }

    /// As the picture shows it.
    pub(super) fn shown(&self, chapter: Chapter, copies_per_s: f64) -> Shadow {
        let summary = &self.answer.summary;
        let line = |group: &DiffsGroup| GroupLine {
            endpoint: group.endpoint.clone(),
            path: group.path.clone(),
            kind: group.kind,
            count: group.count,
            what: match group.noise.confidence {
                Some(confidence) => format!("noise, {}", certainty(confidence)),
                None => self.values(group),
            },
        };
        let shows_groups = matches!(chapter, Chapter::Differences | Chapter::Noise | Chapter::Match);
        let groups = self.answer.groups.iter().filter(|group| shows_groups && group.count > 0).map(line);
        Shadow {
            copies_per_s,
            matched: summary.comparisons.matched,
            mismatched: summary.comparisons.mismatched,
            noise: summary.comparisons.noise,
            races: summary.comparisons.race,
            not_compared: summary.comparisons.not_compared.values().sum(),
            rate: self.shadow.match_rate.to_string(),
            groups: groups.collect(),
            rules: Vec::new(),
        }
    }

    /// The rules that are suggested, if there is one for each noise.
    fn suggestion(&self) -> Result<&str, Ending> {
        let rules = &self.answer.summary.suggestions;
        match NOISE.iter().find(|one| !rules.contains(&format!("\"{}\"", one.path))) {
            Some(missing) => {
                Err(Ending::Broken(format!("no rule is suggested for {}: {rules}", missing.path)))
            }
            None => Ok(rules),
        }
    }
}

/// How an act began, and how it is.
pub(super) struct ActSoFar<'a> {
    pub(super) mark: &'a Sample,
    pub(super) now: &'a Sample,
    pub(super) before: Option<&'a Comparing>,
    /// Old in the act before.
    pub(super) before_it: &'a ArmFigures,
}

impl ActSoFar<'_> {
    fn copies(&self) -> String {
        let copies = self.now.copies_since(self.mark);
        format!("{} copies, {:.0} a second", grouped(copies), self.now.copies_per_s_since(self.mark))
    }

    /// What the proxy measures at the same time: requests with a copy, and those that chance held out from it.
    fn beside(&self) -> Option<String> {
        let [held_out, copied] = self.now.served_since(self.mark);
        (held_out.0 > 0 && copied.0 > 0).then(|| {
            format!(
                "at the same time {} on average with a copy ({} requests), {} held out from it ({})",
                on_average(copied),
                grouped(copied.0),
                on_average(held_out),
                grouped(held_out.0)
            )
        })
    }

    /// What users wait for old with copies, beside what they did without.
    fn latency(&self) -> String {
        let with = self.now.arm_since(self.mark, Arm::Old);
        let times = |of: &ArmFigures| format!("p50 {} p99 {}", milliseconds(of.p50), milliseconds(of.p99));
        format!("old with copies {}, without {}", times(&with), times(self.before_it))
    }
}

/// `6.2 ms` on average.
fn on_average((requests, sum_s): (u64, f64)) -> String {
    milliseconds(Some(Duration::from_secs_f64(sum_s.max(0.0) / requests.max(1) as f64)))
}

/// Rounded down, so that it does not promise too much.
fn certainty(confidence: f64) -> String {
    format!("{:.1} %", (confidence * 1e3).floor() / 10.0)
}

impl Stage<'_> {
    /// Looks at what comparing came to, in the acts that are about it.
    pub(super) async fn look_at_comparing(
        &mut self,
        migration: Option<&MigrationStatus>,
        sample: &Sample,
    ) -> Result<(), Ending> {
        let shadow = migration.and_then(|migration| migration.shadow.clone());
        let (Some(chapter), Some(shadow)) = (self.story.comparing(), shadow) else {
            self.comparing = None;
            return Ok(());
        };
        let diffs = self.cast.serving.diffs();
        let wish = DiffsWish { endpoint: None, sample: None, samples: true, limit: GROUPS };
        // It may have to wait for a comparison.
        let answer = spawn_blocking(move || diffs.diffs(MIGRATION, &wish)).await.ok().flatten();
        self.comparing = answer.map(|answer| Comparing { answer, shadow });
        let trouble = self.comparing.as_ref().and_then(|comparing| comparing.trouble(chapter, sample.copies));
        trouble.map_or(Ok(()), |sentence| Err(Ending::Broken(sentence)))
    }

    /// Says what comparing came to in this act, and returns it in one line; `None` where the act is not about it.
    pub(super) fn conclude_comparing(&mut self, sample: &Sample) -> Result<Option<String>, Ending> {
        let Some((chapter, comparing)) = self.story.comparing().zip(self.comparing.as_ref()) else {
            return Ok(None);
        };
        let act = ActSoFar {
            mark: &self.mark,
            now: sample,
            before: self.compared_before.as_ref(),
            before_it: &self.old_before,
        };
        let (said, told) = comparing.said(chapter, &act);
        let happened = comparing.happened(chapter, &act);
        for line in told {
            self.tell(&format!("  {line}"))?;
        }
        for sentence in said {
            self.say(sentence)?;
        }
        Ok(Some(happened))
    }

    /// As the picture shows it.
    pub(super) fn shown_of_comparing(&self, first: &Sample, last: &Sample) -> Option<Shadow> {
        let (chapter, comparing) = self.story.comparing().zip(self.comparing.as_ref())?;
        let shown = comparing.shown(chapter, last.copies_per_s_since(first));
        Some(Shadow { rules: self.told.rules.clone(), ..shown })
    }

    /// Adds the rules that are suggested to the file, which the proxy watches.
    pub(super) fn apply_suggestion(&mut self) -> Result<(), Ending> {
        let comparing =
            self.comparing.as_ref().ok_or_else(|| Ending::Broken("nothing is compared".to_owned()))?;
        let rules = comparing.suggestion()?;
        let lines = rules.lines().filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
        self.told.rules = lines.map(str::to_owned).collect();
        append(self.cast.config, rules)
            .map_err(|error| Ending::Broken(format!("the configuration cannot be changed: {error}")))
    }
}

/// As an editor does: the new file takes the old one's place at once.
fn append(file: &Path, rules: &str) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut next = tempfile::NamedTempFile::new_in(folder)?;
    write!(next, "{}\n{rules}", fs::read_to_string(file)?)?;
    next.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests;
