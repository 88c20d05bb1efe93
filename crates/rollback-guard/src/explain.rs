//! The verdict as one sentence with its numbers.

use std::fmt::Write;
use std::time::Duration;

use crate::{Breach, Guard, Limits, Line, Margin, Need, Signal, SignalEvidence, Tally, Verdict};

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
        let Some((cause, requests)) = self.slowest_proof() else { return String::new() };
        match self.need(requests) {
            Some(need) => format!("about {} are needed to call new no worse, {cause} last", more(&need)),
            None if self.traffic.new_per_s().is_none() => "new gets no requests".to_owned(),
            None => format!("at present new cannot be shown to be no worse in {cause}"),
        }
    }
}

impl Breach {
    /// Why users go back, as a sentence with its numbers; `limits` are those that new was judged by.
    ///
    /// `new fails 4.8% of requests, old 0.1%, allowed +0.5% (after 212 requests, 1.9 s)`
    #[must_use]
    pub fn sentence(&self, limits: &Limits) -> String {
        let after = format!("after {} requests, {:.1} s", self.new.requests, self.at.as_secs_f64());
        if self.cause.signal != Signal::ErrorRate {
            return format!("new is worse than is tolerated in {} ({after})", self.cause);
        }
        let limits = limits.error_rate;
        let allowed = match (self.cause.line, limits.over_old, limits.max) {
            (Line::OverOld, Some(over), _) => format!("allowed +{}", per_cent(over)),
            (_, _, Some(max)) => format!("allowed {}", per_cent(max)),
            _ => "more than is allowed".to_owned(),
        };
        let share = |tally: Tally| per_cent(tally.failures as f64 / tally.requests.max(1) as f64);
        format!("new fails {} of requests, old {}, {allowed} ({after})", share(self.new), share(self.old))
    }
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
        Margin::TimesOld(factor) => format!("{} times old's, at least 1 ms more", short(factor)),
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
