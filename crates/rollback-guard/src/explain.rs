//! The verdict as one sentence with its numbers.

use std::fmt::Write;
use std::time::Duration;

use crate::evidence::Block;
use crate::latency::{bucket_start, shift_factor, tolerated_shift};
use crate::run::Run;
use crate::{Guard, Line, Margin, MatchProof, MatchState, Need, Quantile, Signal, SignalEvidence, Verdict};

/// The failure rate that a healthy verdict tells about: one that anybody would want to be told of.
const TOLD_RATE: f64 = 0.05;

impl Guard {
    /// One sentence for whoever looks at the status: what the verdict is, and what it rests on.
    ///
    /// `healthy; a 5% failure rate would be noticed after about 340 more requests (27 s)`
    #[must_use]
    pub fn explain(&self) -> String {
        let judgement = self.judgement();
        let mut text = judgement.verdict.to_string();
        let rest = match judgement.verdict {
            Verdict::Breached => self.breached(),
            Verdict::Degraded => self.degraded(),
            Verdict::Unguarded => {
                "old gets no requests to compare with, and no limit of its own is set".to_owned()
            }
            Verdict::Healthy => self.would_notice(),
            Verdict::Insufficient => self.missing(),
        };
        push(&mut text, format_args!("; {rest}"));
        if judgement.old_over_limit && judgement.verdict != Verdict::Breached {
            text.push_str("; old itself fails more often than is allowed, so the ramp holds");
        }
        text
    }

    fn breached(&self) -> String {
        let Some(breach) = self.breach() else { return String::new() };
        let shown = self.evidence().into_iter().find(|signal| signal.cause == breach.cause);
        match shown {
            // As it was then; what came since is old's alone.
            Some(signal) if signal.cause.signal == Signal::ErrorRate => {
                let (new, old) = (breach.new, breach.old);
                about(&SignalEvidence {
                    new: new.requests,
                    new_bad: new.failures,
                    old: old.requests,
                    old_bad: old.failures,
                    ..signal
                })
            }
            Some(signal) => about(&signal),
            None => format!("by {}", breach.cause),
        }
    }

    fn degraded(&self) -> String {
        let Some(hold) = self.hold else { return String::new() };
        let shown = self.pause_evidence().into_iter().find(|signal| signal.cause == hold.cause);
        shown.map_or_else(|| format!("by {}", hold.cause), |signal| about(&signal))
    }

    fn would_notice(&self) -> String {
        match self.need_to_notice(TOLD_RATE) {
            Some(need) => format!("a 5% failure rate would be noticed after about {}", more(&need)),
            None => "a 5% failure rate is tolerated, or there is no traffic to see it in".to_owned(),
        }
    }

    fn missing(&self) -> String {
        let Some((cause, requests)) = self.slowest_proof() else {
            return self.match_sentence().unwrap_or_default();
        };
        match self.need(requests) {
            Some(need) => format!("about {} are needed to call new no worse, {cause} last", more(&need)),
            None if self.traffic.new_per_s().is_none() => "new gets no requests".to_owned(),
            None => format!("at present new cannot be shown to be no worse in {cause}"),
        }
    }
}

impl Guard {
    /// What is shown of the answers that are compared, as a sentence; `None` where mismatches are not limited.
    ///
    /// `about 5,500 more comparisons are needed to show that fewer than 0.1% differ; so far 0 of 120 do`
    #[must_use]
    pub fn match_sentence(&self) -> Option<String> {
        let MatchProof { limit, rate, held_by, state } = self.match_proof()?;
        let limit = format!("{}%", short(limit * 100.0));
        let part = |differed: u64, compared: u64| format!("{} of {}", grouped(differed), grouped(compared));
        let so_far = part(rate.differed(), rate.compared());
        let more = |comparisons: u64| {
            let noun = if comparisons == 1 { "comparison" } else { "comparisons" };
            let count = grouped(two_digits(comparisons));
            format!("about {count} more {noun} without a mismatch")
        };
        Some(match state {
            MatchState::Proven => {
                format!("fewer than {limit} of comparisons are shown to differ ({so_far} did)")
            }
            MatchState::Needs { comparisons } => {
                format!(
                    "{} are needed to show that fewer than {limit} differ; so far {so_far} do",
                    more(comparisons)
                )
            }
            MatchState::TooMany { comparisons } => format!(
                "{so_far} comparisons differ, and fewer than {limit} have to: {} are needed, or a fresh count, which \
                 begins a day after this one did",
                more(comparisons)
            ),
            MatchState::Held => {
                let so_far =
                    held_by.map_or("too many".to_owned(), |(compared, differed)| part(differed, compared));
                format!("{so_far} comparisons differ, and fewer than {limit} have to")
            }
            MatchState::ZeroTolerance(count) => {
                let noun = if count == 1 { "comparison differs" } else { "comparisons differ" };
                format!("{} {noun} where none may", grouped(count))
            }
        })
    }

    /// Why users go back, as a sentence with its numbers and limits; `None` unless the verdict is breached. It counts
    /// from when the evidence began to gather, not from when the step did.
    ///
    /// `new fails 4.8% of requests, old 0.1%, allowed +0.5% (after 212 requests, 1.9 s)`
    #[must_use]
    pub fn breach_sentence(&self) -> Option<String> {
        let breach = self.breach()?;
        let run = self.onset.filter(|run| run.counts.new > 0.0).unwrap_or_else(|| self.whole_step());
        let counts = run.counts;
        let [new, old] = [(counts.new_bad, counts.new), (counts.old_bad, counts.old)]
            .map(|(bad, all)| per_cent(bad / all.max(1.0)));
        let what = match breach.cause.signal {
            Signal::ErrorRate => format!("new fails {new} of requests"),
            Signal::Latency(quantile) => {
                return Some(format!("{} {}", self.slow(quantile, breach.cause.line, &new), after(&run)));
            }
            Signal::ClientErrors => format!("new answers {new} of requests with a 4xx"),
            Signal::Retries => format!("new has {new} of its requests retried"),
            Signal::Mismatches => format!("{new} of comparisons differ"),
            Signal::ZeroTolerance => "a comparison differs where none may".to_owned(),
        };
        let shown = self.evidence().into_iter().find(|signal| signal.cause == breach.cause);
        let allowed = match shown.map(|signal| signal.margin) {
            Some(Margin::RateOverOld(margin)) => format!(", old {old}, allowed +{}", per_cent(margin)),
            Some(Margin::Rate(rate)) => format!(", allowed {}", per_cent(rate)),
            _ => String::new(),
        };
        Some(format!("{what}{allowed} {}", after(&run)))
    }

    fn whole_step(&self) -> Run {
        let [old, new] = self.step.arms.map(|tally| (tally.requests as f64, tally.failures as f64));
        let counts = Block { new: new.0, new_bad: new.1, old: old.0, old_bad: old.1 };
        Run::of(counts, self.step.elapsed_s)
    }

    /// `new takes longer than 12.3 ms for 31% of requests, allowed 5%: old's p95 is 8.3 ms, allowed 1.48x`
    fn slow(&self, quantile: Quantile, line: Line, new: &str) -> String {
        let limit = self.limits.latency.iter().find(|limit| limit.quantile == quantile);
        let allowed = per_cent(1.0 - quantile.share());
        let (from, why) = match (line, limit.and_then(|limit| limit.max), self.old_latency.edge(quantile)) {
            (Line::Max, Some(max), _) => (max, String::new()),
            (_, _, Some(edge)) => {
                let shift = tolerated_shift(limit.and_then(|limit| limit.over_old).unwrap_or(2.0));
                let from = bucket_start(self.limits.slow_from(edge, shift));
                let factor = without_zeros(&format!("{:.2}", shift_factor(shift)));
                (from, format!(": old's {quantile} is {}, allowed {factor}x", ms(bucket_start(edge))))
            }
            _ => return format!("new's {quantile} is worse than is tolerated"),
        };
        format!("new takes longer than {} for {new} of requests, allowed {allowed}{why}", ms(from))
    }
}

/// `(after 212 requests, 1.9 s)`
fn after(run: &Run) -> String {
    format!("(after {} requests, {:.1} s)", grouped(run.counts.rounded()[0]), run.time_s)
}

fn ms(time: Duration) -> String {
    format!("{} ms", without_zeros(&format!("{:.1}", time.as_secs_f64() * 1e3)))
}

/// `error_rate: 21 of 411 failed on new, 3 of 40,120 on old; tolerated: old and 0.5 pp`
fn about(signal: &SignalEvidence) -> String {
    let what = match signal.cause.signal {
        Signal::ErrorRate => "failed",
        Signal::Latency(_) => "were slow",
        Signal::ClientErrors => "were answered with a 4xx",
        Signal::Retries => "were retried",
        Signal::Mismatches | Signal::ZeroTolerance => "differed",
    };
    let compared = matches!(signal.cause.signal, Signal::Mismatches | Signal::ZeroTolerance);
    let [bad, all, old_bad, old] = [signal.new_bad, signal.new, signal.old_bad, signal.old].map(grouped);
    let sides = if compared {
        format!("{bad} of {all} comparisons {what}")
    } else {
        format!("{bad} of {all} {what} on new, {old_bad} of {old} on old")
    };
    format!("{}: {sides}; tolerated: {}", signal.cause, tolerated(signal))
}

fn tolerated(signal: &SignalEvidence) -> String {
    match signal.margin {
        Margin::RateOverOld(margin) => format!("old and {} pp", short(margin * 100.0)),
        Margin::TimesOld(factor) => format!("{} times old's", short(factor)),
        Margin::Rate(rate) => format!("{}%", short(rate * 100.0)),
        Margin::Latency(limit) => format!("{} ms", short(limit.as_secs_f64() * 1e3)),
    }
}

/// `340 more requests (27 s)`
fn more(need: &Need) -> String {
    let requests = grouped(two_digits(need.requests));
    let noun = if need.requests == 1 { "request" } else { "requests" };
    match need.time {
        Some(time) => format!("{requests} more {noun} ({})", duration(time)),
        None => format!("{requests} more {noun}"),
    }
}

/// Rounded to two digits: an estimate that looks like one.
fn two_digits(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    (number + unit / 2) / unit * unit
}

fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// At most three decimals, without zeros at the end.
fn short(number: f64) -> String {
    without_zeros(&format!("{number:.3}"))
}

/// A share in per cent with at most two decimals: as many as a person wants.
fn per_cent(share: f64) -> String {
    format!("{}%", without_zeros(&format!("{:.2}", share * 100.0)))
}

fn without_zeros(decimal: &str) -> String {
    decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!([7, 84, 347, 12_345].map(two_digits), [7, 84, 350, 12_000]);
        let times = [0.31, 27.0, 300.0, 8000.0, 400_000.0].map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(times, ["0.3 s", "27 s", "5 min", "2 h", "5 days"]);
        assert_eq!([0.5, 1.476_8, 2.0].map(short), ["0.5", "1.477", "2"]);
        let shares = [0.0, 0.005, 0.048, 0.048_12, 1.0, 0.000_01].map(per_cent);
        assert_eq!(shares, ["0%", "0.5%", "4.8%", "4.81%", "100%", "0%"]);
    }
}
