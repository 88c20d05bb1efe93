//! `crossfade demo`: a migration to watch, with nothing to prepare.
//!
//! Everything that a migration has is started in this one process, on ports that the kernel chooses: an old and a new
//! shop, a few thousand users who check every answer that they get, and between them the proxy itself, from a
//! configuration file, with its admin port and its journal. A story then lets new get copies, mends what comparing found,
//! lets the ramp begin, breaks the new shop, both shops, and kills the new one while everybody is on it; what it asks of
//! the proxy it asks through the same handle that the commands end at. Nothing of it is pretended, so what the view shows is what the proxy does.

mod crowd;
mod figures;
mod latency;
mod ledger;
mod shop;
mod stage;
mod story;
mod terminal;
mod text;
mod view;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::serving::{self, Serving};
use crowd::{Crowd, Destination};
use ledger::Tally;
use shop::Shops;
use stage::{Cast, Ending, Output, Stage};
use terminal::Terminal;
use text::grouped;

/// The migration's name.
const MIGRATION: &str = "shop";

/// Shows a migration in the terminal: two small shops, a few thousand users, the proxy, copies, a ramp, and what breaks.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct DemoArgs {
    /// End when the story is over; exit code 1 if a request failed or a user was on a wrong arm
    #[arg(long)]
    exit: bool,
    /// Go on as soon as what is shown has come about, without time to read
    #[arg(long)]
    fast: bool,
    /// How many users the shop has
    #[arg(long, value_name = "N", default_value_t = 3000, value_parser = clap::value_parser!(u32).range(300..=10_000))]
    users: u32,
    /// Use no colours; so does the environment variable NO_COLOR
    #[arg(long)]
    no_color: bool,
    /// Print the configuration that the demo runs on, and end
    #[arg(long)]
    print_config: bool,
}

/// Runs the demo until Ctrl-C, or to the end of its story if the arguments say so.
pub(crate) fn run(args: DemoArgs) -> ExitCode {
    let result = if args.print_config { print_config() } else { perform(args) };
    match result {
        Ok(code) => code,
        Err(sentence) => {
            // Without a place to complain to there is still the exit code.
            let _ = writeln!(io::stderr(), "crossfade demo: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn print_config() -> Result<ExitCode, String> {
    let shop = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let text = config([shop(8081), shop(8082)], Path::new("crossfade-demo"));
    io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// From the first thread to the last.
fn perform(args: DemoArgs) -> Result<ExitCode, String> {
    let shops = Shops::open().map_err(because("the shops cannot be opened"))?;
    let folder = tempfile::Builder::new().prefix("crossfade-demo-").tempdir();
    let folder = folder.map_err(because("there is no folder for the configuration"))?;
    let path = folder.path().join("crossfade.toml");
    let text = config([shops.old.address, shops.new.address], &folder.path().join("state"));
    std::fs::write(&path, text).map_err(because("the configuration cannot be written"))?;
    let loaded = control_plane::load(&path).map_err(because("the configuration cannot be used"))?;
    let runtime = serving::control_runtime().map_err(because("the proxy does not start"))?;
    let interruptions = runtime.block_on(async { Interruptions::new() });
    let interruptions = interruptions.map_err(because("signals cannot be received"))?;
    let serving = Serving::start(loaded, &path, runtime).map_err(because("the proxy does not start"))?;
    let shown = serving.runtime.block_on(show(args, &serving, (&shops, &path), interruptions));
    serving.stop();
    shops.close();
    shown
}

/// Puts what failed before why it did.
fn because<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

/// The configuration: what a first one of one's own looks like, but for the ports, and for times that are of seconds.
fn config([old, new]: [SocketAddr; 2], state: &Path) -> String {
    let health = shop::HEALTH_PATH;
    let state = state.display();
    format!(
        r#"[admin]
listen = "127.0.0.1:0"

[[listener]]
listen = "127.0.0.1:0"

[state]
dir = "{state}"

[upstream.shop-old]
endpoints = ["http://{old}"]

[upstream.shop-new]
endpoints = ["http://{new}"]
health = {{ path = "{health}", interval = "1s" }}

[migration.{MIGRATION}]
match = [{{ path = "/*" }}]
old = "shop-old"
new = "shop-new"
key = ["header:x-user-id", "request-id"]
phase = "preparation"           # `crossfade advance {MIGRATION}` goes on to phase shadow, and from there to the ramp
abort = {{ rollbacks = 100 }}      # by default the third rollback ends the attempt; here they are what there is to see

# In phase shadow new gets a copy of each request that only reads, and its answers are held against old's.
[migration.{MIGRATION}.shadow]
canary = "none"                 # while users are on new they are what new is judged by
per_second = 5000               # of copies; by default 1000
ignore = ["$.currency", "$[*].currency"]   # what new says beside what old does, and is meant to

[migration.{MIGRATION}.compare]
numbers = {{ form = "loose" }}    # old writes 49 for 49.00

# What new fails, old answers. A cart is told how many of a product there are to be, so that it may be told twice.
[migration.{MIGRATION}.fallback]
replay = [{{ method = "POST", path = "/cart" }}]

# What it tolerates is as always: old's failures and half a point, and latencies well below twice old's.
[migration.{MIGRATION}.guard]
warm_up = "0s"                  # by default 30 s after each step, which is as long as the ramp takes here

# Each step is left when the guard has shown new to be no worse. In earnest it is held for hours or days before.
[[migration.{MIGRATION}.ramp]]
percent = 25
hold = "6s"

[[migration.{MIGRATION}.ramp]]
percent = 50
hold = "5s"

[[migration.{MIGRATION}.ramp]]
percent = 100
hold = "1s"
"#
    )
}

/// Lets the users come, tells the story, lets them go, and waits until the proxy has nothing left to do.
async fn show(
    args: DemoArgs,
    serving: &Serving,
    (shops, config): (&Shops, &Path),
    mut interruptions: Interruptions,
) -> Result<ExitCode, String> {
    let status = serving.control.status();
    let proxy = status.listeners.first().map(|listener| listener.bound).ok_or("nothing listens")?;
    let destination = Destination { proxy, migration: MIGRATION, snapshots: Arc::clone(&serving.snapshots) };
    let crowd = Crowd::arrive(&destination, args.users).map_err(because("the users cannot come"))?;
    let colour = !args.no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let output = Terminal::of_stdout(colour).map_or(Output::Lines, Output::Picture);
    let commands = commands(proxy, serving.admin);
    let ending = match introduce(&output, args.users, &commands) {
        Err(gone) => gone.into(),
        Ok(()) => {
            let cast = Cast { serving, crowd: &crowd, shops, users: args.users, commands: &commands, config };
            let mut stage = Stage::new(cast, output, args.fast);
            tokio::select! {
                ending = stage.play(args.exit) => ending,
                () = interruptions.next() => Ending::Over,
            }
        }
    };
    let began = Instant::now();
    let tally = crowd.leave();
    let drained = tokio::select! {
        drained = Serving::drain(serving.control.clone(), Arc::clone(&serving.proxy)) => drained,
        // Asked a second time: whatever else uses the proxy is cut off.
        () = interruptions.next() => false,
    };
    conclude(&tally, drained, began.elapsed());
    match ending {
        Ending::Broken(sentence) => Err(sentence),
        _ if args.exit && !(tally.is_clean() && drained) => Ok(ExitCode::FAILURE),
        Ending::Over | Ending::Unseen => Ok(ExitCode::SUCCESS),
    }
}

/// Somebody wants the demo to end, or its terminal is gone.
struct Interruptions([Signal; 3]);

impl Interruptions {
    fn new() -> io::Result<Self> {
        let [interrupt, terminate, hang_up] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Interruptions([interrupt?, terminate?, hang_up?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

/// What to try in another terminal.
fn commands(proxy: SocketAddr, admin: SocketAddr) -> Vec<String> {
    let crossfade = program();
    vec![
        format!("{crossfade} status {MIGRATION} --admin http://{admin}"),
        format!("{crossfade} diffs {MIGRATION} --admin http://{admin}"),
        format!("{crossfade} resume {MIGRATION} --admin http://{admin}"),
        format!("{crossfade} rollback {MIGRATION} --admin http://{admin}"),
        format!("{crossfade} where {MIGRATION} alice --admin http://{admin}"),
        format!("{crossfade} history {MIGRATION} --admin http://{admin}"),
        format!("curl -i -H 'x-user-id: alice' http://{proxy}/products/1"),
    ]
}

/// How this program is called from where the user is, if that is short.
fn program() -> String {
    const LONGEST: usize = 24;
    let path = std::env::current_exe().ok();
    let folder = std::env::current_dir().ok();
    let relative = path.zip(folder).and_then(|(path, folder)| {
        let relative = path.strip_prefix(folder).ok()?.display().to_string();
        Some(if relative.contains('/') { relative } else { format!("./{relative}") })
    });
    relative.filter(|relative| relative.len() <= LONGEST).unwrap_or_else(|| "crossfade".to_owned())
}

/// The first lines where there is no picture that shows the same.
fn introduce(output: &Output, users: u32, commands: &[String]) -> io::Result<()> {
    if matches!(output, Output::Picture(_)) {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "crossfade demo: two shops, one proxy, {} users", grouped(users.into()))?;
    for command in commands {
        writeln!(stdout, "try: {command}")?;
    }
    Ok(())
}

/// The last lines.
fn conclude(tally: &Tally, drained: bool, took: Duration) {
    let how = if drained { "drained" } else { "cut off what was still under way" };
    let mut stdout = io::stdout().lock();
    // Whoever closed the output does not want to know.
    if tally.stood_in > 0 {
        let _ = writeln!(stdout, "old answered {} requests that new had failed", grouped(tally.stood_in));
    }
    if tally.failures_of_both > 0 {
        let count = grouped(tally.failures_of_both);
        let _ = writeln!(
            stdout,
            "{count} requests failed while both shops did, and nothing could have covered them"
        );
    }
    let _ = writeln!(
        stdout,
        "ended: {} requests, {} failed{}, {} flapped, {} on a wrong arm; {how} in {} ms",
        grouped(tally.requests()),
        grouped(tally.failed_without_need()),
        if tally.failures_of_both > 0 { " beside those" } else { "" },
        grouped(tally.flapped),
        grouped(tally.wrong_arm),
        took.as_millis()
    );
}
