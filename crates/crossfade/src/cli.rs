//! The command line: what can be asked for, and which function answers.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use route_plan::Phase;
use traffic_split::Percent;

use crate::output::Exit;
use crate::{ask, check, compare, demo, diffs, history, output, place, ramp, replay, run, status};

/// Where the configuration is when nobody says.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/crossfade/crossfade.toml";

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 refused or failed, 2 usage or bad configuration, 3 admin API not reachable.";

/// Moves users from an old system to a new one, a few per cent at a time, and back.
#[derive(Debug, Parser)]
#[command(name = "crossfade", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until SIGTERM or Ctrl-C.
    ///
    /// SIGHUP reads the configuration again, SIGUSR1 opens the access log anew. SIGTERM and SIGINT let requests
    /// finish; a second one ends at once.
    Run(RunArgs),
    /// Show all of it at once: two small shops, users, the proxy, and a percentage that moves.
    Demo(demo::DemoArgs),
    /// Check a configuration and say all that is wrong with it.
    Check(CheckArgs),
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Read the configuration again, in the running proxy.
    Reload(ReloadArgs),
    /// Show what is asked for, what is in force and what is measured.
    Status(StatusArgs),
    /// Set the percentage of a migration.
    Set(SetArgs),
    /// Set the phase of a migration.
    Phase(PhaseArgs),
    /// Take the users of a migration back to old and keep them there until `resume`.
    Rollback(RollbackArgs),
    /// Lift the latch of a rollback, or let a paused ramp go on.
    Resume(SaidArgs),
    /// Show a migration's ramp: how far it is, and what it waits for.
    Ramp(RampArgs),
    /// Say that a ramp may go on: after a step that waits for it, or on to the next phase.
    Advance(SaidArgs),
    /// Pause a ramp until `resume`. The guard stays armed.
    Pause(SaidArgs),
    /// Try going back: all users are on old for some seconds, then where they were.
    Drill(SaidArgs),
    /// Switch a migration's shadow off, or on again. It stays so, also over restarts.
    Shadow(ShadowArgs),
    /// Ask for percent and phase as they were after a line of `history`.
    Undo(UndoArgs),
    /// Show what happened to a migration: who asked for what, when and why.
    History(HistoryArgs),
    /// Show what comparing found: in what the answers of new differ, how often, and what of it is noise.
    Diffs(DiffsArgs),
    /// Say which system a key goes to, and why.
    Where(WhereArgs),
    /// Compare two saved answers by the rules of a migration, and say what differs.
    ///
    /// Asks no proxy. Exit codes: 0 they match, 1 they differ or cannot be compared, 2 usage or bad configuration.
    Compare(CompareArgs),
    /// Try out the guard that takes users back.
    #[command(subcommand)]
    Guard(GuardCommand),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// `crossfade run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The configuration.
    #[arg(short, long, value_name = "PATH", env = "CROSSFADE_CONFIG", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// The form of the log, instead of what the configuration says.
    #[arg(long, value_name = "FORMAT", env = "CROSSFADE_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `crossfade check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The configuration; goes before --config and its variable.
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// The configuration.
    #[arg(short, long, value_name = "PATH", env = "CROSSFADE_CONFIG", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// How to say what was found.
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
}

/// How `check` says what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How the running proxy is found.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// The admin API.
    #[arg(long, value_name = "URL", env = "CROSSFADE_ADMIN")]
    pub(crate) admin: Option<String>,
    /// The file with the admin API's token.
    #[arg(long, value_name = "PATH", env = "CROSSFADE_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The configuration whose admin table says where the API is, when --admin does not.
    #[arg(short, long, value_name = "PATH", env = "CROSSFADE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// What every word that changes a migration comes with.
#[derive(Debug, Args)]
pub(crate) struct WordArgs {
    /// Why; goes into journal, log and status.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Insist: what it waits for, was given up for, or lacks to go back to does not stand in the way. Needs a reason.
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// `crossfade reload`
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    /// Why; goes into the log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// `crossfade status`
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// One migration in detail; all of them without it.
    pub(crate) name: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Again each second, until Ctrl-C.
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// `crossfade set`
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The migration.
    pub(crate) name: String,
    /// The share that goes to new, in per cent: 0 to 100 with up to six decimals.
    pub(crate) percent: Percent,
    #[command(flatten)]
    pub(crate) word: WordArgs,
}

/// `crossfade phase`
#[derive(Debug, Args)]
pub(crate) struct PhaseArgs {
    /// The migration.
    pub(crate) name: String,
    /// The phase: preparation, shadow, canary, full or cleanup.
    pub(crate) phase: Phase,
    #[command(flatten)]
    pub(crate) word: WordArgs,
}

/// `crossfade resume`, `advance`, `pause` and `drill`
#[derive(Debug, Args)]
pub(crate) struct SaidArgs {
    /// The migration.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) word: WordArgs,
}

/// `crossfade rollback`
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The migration.
    pub(crate) name: String,
    /// Where to: old, previous-step or a percentage, instead of what the configuration says.
    #[arg(long, value_name = "WHERE")]
    pub(crate) to: Option<String>,
    /// All users at once, also where the configuration has them return in parts.
    #[arg(long)]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) word: WordArgs,
}

/// `crossfade shadow`
#[derive(Debug, Args)]
pub(crate) struct ShadowArgs {
    /// The migration.
    pub(crate) name: String,
    /// Whether requests are copied.
    #[arg(value_enum)]
    pub(crate) switch: Switch,
    /// With `on`: comparisons count anew, since new was mended; those before say nothing any more.
    #[arg(long)]
    pub(crate) anew: bool,
    #[command(flatten)]
    pub(crate) word: WordArgs,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Requests are copied.
    On,
    /// They are not.
    Off,
}

/// `crossfade undo`
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// The migration.
    pub(crate) name: String,
    /// The number of a line, as `history` shows it.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to: u64,
    #[command(flatten)]
    pub(crate) word: WordArgs,
}

/// `crossfade ramp`
#[derive(Debug, Args)]
pub(crate) struct RampArgs {
    /// The migration.
    pub(crate) name: String,
    /// What comes when at the earliest, what each gate needs at present traffic, and which keys move.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Say with which step this key moves; may be given several times.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Vec<String>,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// `crossfade history`
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The migration.
    pub(crate) name: String,
    /// The lines of the journal as they are, as a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
    /// How many at most: the latest.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// `crossfade diffs`
#[derive(Debug, Args)]
pub(crate) struct DiffsArgs {
    /// The migration.
    pub(crate) name: String,
    /// One endpoint alone: `GET /orders/{id}`, or its path.
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// Show the sample of this number: the differences, and both answers side by side.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["suggest", "export"])]
    pub(crate) sample: Option<u64>,
    /// How many groups at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    /// As JSON.
    #[arg(long, conflicts_with_all = ["suggest", "export"])]
    pub(crate) json: bool,
    /// Print the rules that what was found justifies, as TOML with their evidence.
    #[arg(long, conflicts_with = "export")]
    pub(crate) suggest: bool,
    /// Print all of it, samples too, as lines of JSON.
    #[arg(long)]
    pub(crate) export: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// `crossfade where`
#[derive(Debug, Args)]
pub(crate) struct WhereArgs {
    /// The migration.
    pub(crate) name: String,
    /// The key, such as a user's id.
    pub(crate) key: OsString,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask no proxy but this configuration alone: what was set since is not known.
    #[arg(long, value_name = "FILE")]
    pub(crate) offline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// `crossfade guard`
#[derive(Debug, Subcommand)]
pub(crate) enum GuardCommand {
    /// Run the guard over traffic of the past, and say when it would have gone back, and why.
    ///
    /// Asks no proxy. The guard is fed as in mid-flight, without a warm-up, until it goes back or the trace ends.
    Replay(ReplayArgs),
}

/// `crossfade guard replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The traffic: a line `t,arm,ok,latency_ms,user` for each request, in the order in which they ended; - is standard
    /// input.
    ///
    /// `t` is the end of the request in seconds from the start of the trace, `arm` old or new, `ok` 1 or 0, `user` a
    /// number that tells users apart.
    #[arg(value_name = "TRACE")]
    pub(crate) trace: PathBuf,
    /// The configuration that has the limits; without it they are the defaults, and slowness need not persist.
    #[arg(short, long, value_name = "FILE", requires = "migration")]
    pub(crate) config: Option<PathBuf>,
    /// The migration of that configuration.
    #[arg(short, long, value_name = "NAME", requires = "config")]
    pub(crate) migration: Option<String>,
    /// The end alone, as one JSON object; with --dump after its lines.
    #[arg(long)]
    pub(crate) json: bool,
    /// A line `t lnW` for each 100 ms: the logarithm of the evidence, at 0 of which the guard goes back.
    #[arg(long)]
    pub(crate) dump: bool,
}

/// `crossfade compare`
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// What old answered: a whole answer as `curl -i` saves it, or a body alone; - is standard input.
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// What new answered.
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// The configuration that has the rules; without it, all of an answer counts.
    #[arg(short, long, value_name = "FILE", requires = "migration")]
    pub(crate) config: Option<PathBuf>,
    /// The migration of that configuration.
    #[arg(short, long, value_name = "NAME", requires = "config")]
    pub(crate) migration: Option<String>,
    /// The path that was asked for, which chooses the rules of an endpoint.
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub(crate) path: String,
    /// As one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads the arguments and does what they say.
pub(crate) fn main() -> ExitCode {
    // Ends with 2 and a word on usage when they say nothing that can be done.
    let exit = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Demo(args) => return demo::run(args),
        Command::Check(args) => check::check(&args),
        Command::Schema => check::schema(),
        Command::Reload(args) => ask::reload(&args),
        Command::Status(args) => status::status(&args),
        Command::Set(args) => ask::set(&args),
        Command::Phase(args) => ask::phase(&args),
        Command::Rollback(args) => ask::rollback(&args),
        Command::Resume(args) => ask::resume(&args),
        Command::Ramp(args) => ramp::ramp(&args),
        Command::Advance(args) => ask::said(&args, "advance"),
        Command::Pause(args) => ask::said(&args, "pause"),
        Command::Drill(args) => ask::drill(&args),
        Command::Shadow(args) => ask::shadow(&args),
        Command::Undo(args) => ask::undo(&args),
        Command::History(args) => history::history(&args),
        Command::Diffs(args) => diffs::diffs(&args),
        Command::Where(args) => place::place(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Guard(GuardCommand::Replay(args)) => replay::replay(&args),
        Command::Completions { shell } => completions(shell),
    };
    exit.into()
}

fn completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "crossfade", &mut script);
    output::say(&String::from_utf8_lossy(&script));
    Exit::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn check_takes_its_file_either_way() {
        for args in
            [["check", "a.toml"].as_slice(), &["check", "-c", "a.toml"], &["check", "a.toml", "-c", "b.toml"]]
        {
            let Command::Check(check) =
                Cli::try_parse_from(["crossfade"].iter().chain(args)).unwrap().command
            else {
                panic!("{args:?}")
            };
            assert_eq!(check.path.unwrap_or(check.config), PathBuf::from("a.toml"));
        }
    }

    #[test]
    fn what_is_no_percentage_or_phase_is_usage() {
        for args in [["set", "shop", "101"], ["set", "shop", "many"], ["phase", "shop", "fulll"]] {
            let refused = Cli::try_parse_from(["crossfade"].into_iter().chain(args)).unwrap_err();
            assert_eq!(refused.exit_code(), 2, "{args:?}");
        }
        assert!(Cli::try_parse_from(["crossfade", "set", "shop", "37.5%"]).is_ok());
    }
}
