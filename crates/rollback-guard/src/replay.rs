//! Yesterday's traffic, run through a guard: for tuning limits before they matter.
//!
//! A trace is a line for each completed request, in order of time: `t,arm,ok,latency_ms,user`, with `t` in seconds, `arm`
//! `old` or `new`, `ok` 1 or 0, and any number for `user`. It is taken as traffic in mid-flight: without warm-up.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use traffic_split::Arm;

use crate::{Breach, Counts, Guard, Judgement, Limits, Mark, Repeats, Tally, Trouble, WarmUp};

/// The line that names the columns.
pub const HEADER: &str = "t,arm,ok,latency_ms,user";

/// How long a tick of a replay is where nothing else is asked for.
pub const TICK: Duration = Duration::from_millis(50);

/// One completed request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// When it ended, in seconds from the start of the trace.
    pub t_s: f64,
    /// Who served it.
    pub arm: Arm,
    /// Whether it did not fail.
    pub ok: bool,
    /// Its latency.
    pub latency: Duration,
    /// Whose it was.
    pub user: u64,
}

impl Row {
    /// Reads one line, without its end.
    ///
    /// # Errors
    /// [`RowError`] says which column is wrong.
    pub fn parse(line: &str) -> Result<Row, RowError> {
        let mut columns = line.trim_end().split(',');
        let mut next = |name| columns.next().map(str::trim).ok_or(RowError(name));
        let t_s = number(next("t")?).ok_or(RowError("t"))?;
        let arm = next("arm")?.parse().map_err(|_| RowError("arm"))?;
        let ok = match next("ok")? {
            "1" => true,
            "0" => false,
            _ => return Err(RowError("ok")),
        };
        let ms = number(next("latency_ms")?).ok_or(RowError("latency_ms"))?;
        let user = next("user")?.parse().map_err(|_| RowError("user"))?;
        Ok(Row { t_s, arm, ok, latency: Duration::from_secs_f64(ms / 1e3), user })
    }
}

/// Not negative, and no more than some centuries.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number| (0.0..1e10).contains(number))
}

/// A line of a trace that cannot be read: the name of the first column that is missing or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowError(pub &'static str);

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self.0 {
            "arm" => "`old` or `new`",
            "ok" => "1, or 0 for a failure",
            "user" => "a whole number that tells users apart",
            _ => "a number, not negative",
        };
        write!(f, "column `{}` is missing or wrong: {expected} is expected; a line is `{HEADER}`", self.0)
    }
}

impl Error for RowError {}

/// A guard that is fed from a trace.
#[derive(Clone, Debug)]
pub struct Replay {
    guard: Guard,
    repeats: Repeats,
    block: Counts,
    tick: Duration,
    now_s: f64,
    breached_at_s: Option<f64>,
}

impl Replay {
    /// Ready for the first row. `tick` is how long a tick lasts; [`TICK`] is what the proxy does.
    #[must_use]
    pub fn new(limits: Limits, tick: Duration) -> Self {
        Replay {
            guard: Guard::new(Limits { warm_up: WarmUp::NONE, ..limits }),
            repeats: Repeats::new(),
            block: Counts::ZERO,
            tick: tick.max(Duration::from_millis(1)),
            now_s: 0.0,
            breached_at_s: None,
        }
    }

    /// Takes in a row, after all ticks that came before it; rows come in order of time. `each_tick` is told the time in
    /// seconds, the judgement, and the guard as it is then.
    pub fn row(&mut self, row: &Row, mut each_tick: impl FnMut(f64, &Judgement, &Guard)) {
        let tick_s = self.tick.as_secs_f64();
        while row.t_s >= self.now_s + tick_s - 1e-12 {
            self.now_s += tick_s;
            let judgement = self.guard.tick(self.tick, &self.block);
            self.block = Counts::ZERO;
            if self.guard.breach().is_some() {
                self.breached_at_s.get_or_insert(self.now_s);
            }
            each_tick(self.now_s, &judgement, &self.guard);
        }
        let mark = Mark {
            trouble: Trouble::Failure,
            arm: row.arm,
            key: row.user,
            at: Duration::from_secs_f64(row.t_s),
        };
        if row.ok {
            self.block.success(row.arm, row.latency);
        } else if self.repeats.counts(mark) {
            self.block.failure(row.arm);
        }
    }

    /// When and why new was found to be worse than is tolerated: seconds from the start of the trace.
    #[must_use]
    pub fn breach(&self) -> Option<(f64, &Breach)> {
        self.breached_at_s.zip(self.guard.breach())
    }

    /// What `arm` did up to the breach, else so far, with what came since the last tick.
    #[must_use]
    pub fn tally(&self, arm: Arm) -> Tally {
        if let Some(breach) = self.guard.breach() {
            return if arm == Arm::New { breach.new } else { breach.old };
        }
        let (judged, waiting) = (self.guard.tally(arm), self.block.arm(arm));
        Tally { requests: judged.requests + waiting.requests, failures: judged.failures + waiting.failures }
    }

    /// The guard as it stands.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_or_say_what_is_wrong() {
        let row = Row::parse("0.107381,new,1,58.123,2561\r\n").unwrap();
        assert_eq!(row.latency, Duration::from_nanos(58_123_000));
        assert_eq!((row.arm, row.ok, row.user), (Arm::New, true, 2561));
        for (line, column) in [
            ("", "t"),
            ("-1,new,1,2,3", "t"),
            ("NaN,new,1,2,3", "t"),
            ("1,newer,1,2,3", "arm"),
            ("1,new,yes,2,3", "ok"),
            ("1,new,1,inf,3", "latency_ms"),
            ("1,new,1,2", "user"),
        ] {
            assert_eq!(Row::parse(line), Err(RowError(column)), "{line}");
        }
    }

    #[test]
    fn a_trace_ends_at_what_it_shows() {
        let mut replay = Replay::new(Limits::default(), TICK);
        let mut slots = 0;
        for n in 0..4000_u32 {
            let t_s = f64::from(n) * 0.005;
            let arm = if n % 5 == 0 { Arm::New } else { Arm::Old };
            let ok = arm == Arm::Old || t_s < 10.0;
            let row = Row { t_s, arm, ok, latency: Duration::from_millis(20), user: u64::from(n) };
            replay.row(&row, |_, judgement, _| slots += u32::from(judgement.slot_ended));
        }
        let (t_s, breach) = replay.breach().unwrap();
        assert!((10.25..10.8).contains(&t_s), "{t_s}");
        assert_eq!(breach.cause.to_string(), "error_rate");
        assert!(breach.new.failures >= 8 && breach.new.requests > 400, "{breach:?}");
        assert_eq!(slots, 199);
    }
}
