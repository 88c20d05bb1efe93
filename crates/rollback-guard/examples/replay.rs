//! Runs a guard with default limits over a trace and prints `t lnW` at the end of each slot, until new is found to be
//! worse than tolerated; then the decision. The same as the reference implementation's `replay --dump`.
//!
//! ```text
//! cargo run --release -p rollback-guard --example replay -- TRACE.csv
//! ```

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the caller, whose files they are"
)]

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write, stdout};

use rollback_guard::Limits;
use rollback_guard::replay::{HEADER, Replay, Row, TICK};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: replay TRACE.csv")?;
    let mut out = BufWriter::new(stdout().lock());
    let mut replay = Replay::new(Limits::default(), TICK);
    let mut lines = Vec::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        if line.trim_end() == HEADER {
            continue;
        }
        replay.row(&Row::parse(&line)?, |t_s, judgement| {
            if judgement.slot_ended {
                lines.push((t_s, judgement.ln_w));
            }
        });
        for (t_s, ln_w) in lines.drain(..) {
            writeln!(out, "{t_s:.3} {ln_w}")?;
        }
        if replay.breach().is_some() {
            break;
        }
    }
    match replay.breach() {
        Some((t_s, breach)) => writeln!(
            out,
            r#"{{"verdict": "breached", "t": {t_s:.3}, "n_new": {}, "f_new": {}, "cause": "{}"}}"#,
            breach.new.requests, breach.new.failures, breach.cause
        )?,
        None => writeln!(out, r#"{{"verdict": "{}", "t": null}}"#, replay.guard().judgement().verdict)?,
    }
    Ok(())
}
