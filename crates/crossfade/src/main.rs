//! The command: arguments, the order of start and stop, signals. Decisions are made in the crates below.

mod api;
mod ask;
mod check;
mod cli;
mod compare;
mod demo;
mod differences;
mod diffing;
mod diffs;
mod history;
mod output;
mod place;
mod ramp;
mod replay;
mod run;
mod serving;
mod status;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
