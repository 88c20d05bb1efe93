//! `guard replay`: what the guard would have said of traffic that is past, for tuning limits before they matter.
//!
//! The trace is read line by line and never held, so its length does not matter.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

use rollback_guard::replay::{HEADER, Replay, Row, TICK};
use rollback_guard::{Limits, Verdict};
use serde::Serialize;
use traffic_split::Arm;

use crate::api::CallError;
use crate::cli::ReplayArgs;
use crate::output::Exit;
use crate::place;

/// No line of a trace comes near it.
const LINE_BYTES: u64 = 1_024;
/// Whoever counts seconds since 1970 would have to wait for half a century of ticks.
const LONGEST_GAP_S: f64 = 86_400.0;
/// How many significant digits the evidence is told with.
const DIGITS: i32 = 12;

pub(crate) fn replay(args: &ReplayArgs) -> Exit {
    match limits(args).and_then(|limits| run(args, limits)) {
        Ok(()) => Exit::Done,
        Err(error) => error.tell(),
    }
}

fn limits(args: &ReplayArgs) -> Result<Limits, CallError> {
    let (Some(config), Some(name)) = (&args.config, &args.migration) else {
        // Of traffic that nothing else is known of, the evidence itself is what is asked for.
        return Ok(Limits { latency_persists: Duration::ZERO, ..Limits::default() });
    };
    let loaded = place::load(config)?;
    let migration = loaded.checked.migration(name).ok_or_else(|| place::no_such_migration(name, config))?;
    let guard = migration.guard.as_ref().ok_or_else(|| {
        CallError::Refused(format!(
            "migration `{name}` in {} has `guard = false`: there are no limits to try out; leave it out, or give \
             [migration.{name}.guard]",
            config.display()
        ))
    })?;
    Ok(guard.limits.clone())
}

fn run(args: &ReplayArgs, limits: Limits) -> Result<(), CallError> {
    let mut trace = Trace::open(&args.trace)?;
    let mut replay = Replay::new(limits, TICK);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut told = None;
    let mut written = Ok(());
    // A reader that has gone away (`| head`) wants no more of it, and is no error.
    while written.is_ok()
        && replay.breach().is_none()
        && let Some(row) = trace.next_row()?
    {
        replay.row(&row, |t_s, judgement, guard| {
            let line = if args.dump {
                judgement.slot_ended.then(|| format!("{t_s:.3} {}", significant(judgement.ln_w)))
            } else {
                let is_news = !args.json && told.replace(judgement.verdict) != Some(judgement.verdict);
                is_news.then(|| format!("{t_s:>9.2} s  {}", guard.explain()))
            };
            if let (Some(line), Ok(())) = (line, &written) {
                written = writeln!(out, "{line}");
            }
        });
    }
    let end = match (args.json, args.dump) {
        (true, _) => serde_json::to_string(&End::of(&replay)).unwrap_or_default(),
        (false, true) => String::new(),
        (false, false) => summary(&replay, &trace),
    };
    let end = if end.is_empty() { Ok(()) } else { writeln!(out, "{end}") };
    let _ = written.and(end).and_then(|()| out.flush());
    Ok(())
}

/// The last line for people.
fn summary(replay: &Replay, trace: &Trace) -> String {
    let [old, new] = Arm::ALL.map(|arm| replay.tally(arm));
    let seen = format!(
        "after {} requests of new ({} failed) and {} of old ({} failed)",
        new.requests, new.failures, old.requests, old.failures
    );
    match replay.breach() {
        Some((t_s, _)) => {
            let why = replay.guard().breach_sentence().unwrap_or_default();
            format!("goes back at {t_s:.2} s {seen}: {why}")
        }
        None => {
            let (end, sentence) = (trace.last_s.unwrap_or_default(), replay.guard().explain());
            format!("does not go back in {end:.2} s {seen}: {sentence}")
        }
    }
}

/// How the replay ended, for programs.
#[derive(Debug, Serialize)]
struct End {
    verdict: &'static str,
    /// When new was found to be worse than is tolerated.
    t: Option<f64>,
    /// Requests of new until then, or until the end.
    n_new: u64,
    /// Those that failed; one user's repeated failures are left out, as in the proxy.
    f_new: u64,
    /// What new is breached or degraded by.
    cause: Option<String>,
}

impl End {
    fn of(replay: &Replay) -> Self {
        let judgement = replay.guard().judgement();
        let is_worse = matches!(judgement.verdict, Verdict::Breached | Verdict::Degraded);
        let new = replay.tally(Arm::New);
        End {
            verdict: judgement.verdict.as_str(),
            // Ticks are added up; what that is off by is no news.
            t: replay.breach().map(|(t_s, _)| (t_s * 1e6).round() / 1e6),
            n_new: new.requests,
            f_new: new.failures,
            cause: judgement.cause.filter(|_| is_worse).map(|cause| cause.to_string()),
        }
    }
}

/// As C's `%.12g` writes it, which is what the reference implementation prints.
fn significant(number: f64) -> String {
    let scientific = format!("{number:.*e}", usize::try_from(DIGITS - 1).unwrap_or_default());
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trimmed = |decimal: &str| match decimal.contains('.') {
        true => decimal.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => decimal.to_owned(),
    };
    if (-4..DIGITS).contains(&exponent) {
        trimmed(&format!("{number:.*}", usize::try_from(DIGITS - 1 - exponent).unwrap_or_default()))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
    }
}

/// The lines of a trace, one at a time.
struct Trace {
    name: String,
    input: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
    /// When the last request ended.
    last_s: Option<f64>,
}

impl Trace {
    fn open(path: &Path) -> Result<Self, CallError> {
        let is_standard = path == Path::new("-");
        let (name, input): (_, Box<dyn BufRead>) = if is_standard {
            ("standard input".to_owned(), Box::new(io::stdin().lock()))
        } else {
            let file = File::open(path).map_err(|error| {
                CallError::Usage(format!("the trace {} cannot be read: {error}", path.display()))
            })?;
            (path.display().to_string(), Box::new(BufReader::new(file)))
        };
        Ok(Trace { name, input, line: Vec::new(), number: 0, last_s: None })
    }

    /// The next request; `None` at the end.
    fn next_row(&mut self) -> Result<Option<Row>, CallError> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = self.input.by_ref().take(LINE_BYTES + 1).read_until(b'\n', &mut self.line);
            match read {
                Ok(0) => return Ok(None),
                Ok(_) if self.line.len() as u64 > LINE_BYTES => {
                    return Err(self.wrong(&format!("longer than {LINE_BYTES} bytes; a line is `{HEADER}`")));
                }
                Ok(_) => {}
                Err(error) => return Err(self.wrong(&format!("cannot be read: {error}"))),
            }
            let line = str::from_utf8(&self.line)
                .map_err(|_| self.wrong(&format!("no UTF-8 text; a line is `{HEADER}`")))?
                .trim_end();
            if line.is_empty() || (self.number == 1 && line == HEADER) {
                continue;
            }
            let row = Row::parse(line).map_err(|error| self.wrong(&error.to_string()))?;
            self.in_order(row.t_s)?;
            self.last_s = Some(row.t_s);
            return Ok(Some(row));
        }
    }

    fn in_order(&self, t_s: f64) -> Result<(), CallError> {
        let before = self.last_s.unwrap_or_default();
        if t_s < before {
            return Err(self.wrong(&format!(
                "out of order: it ended at {t_s} s, the one before it at {before} s; sort the trace by `t`"
            )));
        }
        if t_s - before > LONGEST_GAP_S {
            return Err(self.wrong(&format!(
                "{t_s} s is more than a day after what came before; `t` counts from the start of the trace, so \
                 subtract the first one from all"
            )));
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> CallError {
        CallError::Usage(format!("{}, line {}: {what}", self.name, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_written_as_the_reference_writes_it() {
        for (number, text) in [
            (0.0, "0"),
            (-9.210_219_217_891_2, "-9.21021921789"),
            (-690.775_527_898_213_7, "-690.775527898"),
            (12.5, "12.5"),
            (0.000_123_456_789_012_345, "0.000123456789012"),
            (-0.000_012_345, "-1.2345e-05"),
            (999_999_999_999.9, "1e+12"),
            (-0.999_999_999_999_9, "-1"),
        ] {
            assert_eq!(significant(number), text);
        }
    }
}
