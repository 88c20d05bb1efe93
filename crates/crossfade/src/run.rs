//! `run`: the proxy until it is told to end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use config_file::LogFormat as WrittenFormat;
use control_plane::{Cause, LoadError, Loaded};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use telemetry::logs::{self, Format, LogGuard};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::interval;

use crate::cli::{LogFormat, RunArgs};
use crate::output::{self, Exit};
use crate::serving::{self, Serving, StartError};

/// How often to look whether all workers are alive.
const WORKER_LOOK: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &RunArgs) -> Exit {
    let loaded = match control_plane::load(&args.config) {
        Ok(loaded) => loaded,
        Err(error) => {
            refuse(args, &error);
            return Exit::Usage;
        }
    };
    let log = match start_log(args, &loaded) {
        Ok(log) => log,
        Err(error) => {
            output::complain(&format!("crossfade: {error}"));
            return Exit::Failed;
        }
    };
    raise_file_limit();
    match serve(loaded, args, &log) {
        Ok(exit) => exit,
        Err(error) => {
            tracing::error!("{error}");
            Exit::Failed
        }
    }
}

fn serve(loaded: Loaded, args: &RunArgs, log: &LogGuard) -> Result<Exit, StartError> {
    let runtime = serving::control_runtime()?;
    // Before anybody can know that the process is there: a reload asked for too early would otherwise end it.
    let mut signals = runtime
        .block_on(async { Signals::new() })
        .map_err(|error| StartError::new(format!("signals cannot be received: {error}")))?;
    let serving = Serving::start(loaded, &args.config, runtime)?;
    serving.telemetry.watch_event_log(log.dropped());
    tracing::info!(admin.bound = %serving.admin, "admin on http://{}", serving.admin);
    if let Some(probe) = serving.probe {
        tracing::info!(probe.bound = %probe, "probes on http://{probe}");
    }
    let exit = serving.runtime.block_on(until_told(&serving, &mut signals));
    serving.stop();
    tracing::info!("ended");
    Ok(exit)
}

/// Does what signals say, until one says to end and requests have finished.
async fn until_told(serving: &Serving, signals: &mut Signals) -> Exit {
    let mut look = interval(WORKER_LOOK);
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Reload => {
                    let control = serving.control.clone();
                    // What comes of it is told by the controller; the next signal is heard meanwhile.
                    tokio::spawn(async move { control.reload(Cause::Signal).await });
                }
                Told::Reopen => {
                    serving.reopen_logs();
                    tracing::info!("the access log is opened anew");
                }
                Told::End => break,
            },
            _ = look.tick() => {
                if serving.proxy.worker_died() {
                    tracing::error!("a worker has died, so the process ends");
                    return Exit::Failed;
                }
            }
        }
    }
    drain(serving, signals).await
}

async fn drain(serving: &Serving, signals: &mut Signals) -> Exit {
    let proxy = &serving.proxy;
    tokio::select! {
        drained = Serving::drain(serving.control.clone(), Arc::clone(proxy)) => {
            if drained {
                tracing::info!("drained");
            } else {
                let left = proxy.connections();
                tracing::warn!(connections = left, "the time to drain is over, {left} connections are cut off");
            }
            Exit::Done
        }
        () = signals.end() => {
            let left = proxy.connections();
            tracing::warn!(connections = left, "told to end a second time, {left} connections are cut off");
            Exit::Failed
        }
    }
}

/// What a signal says.
enum Told {
    Reload,
    Reopen,
    End,
}

struct Signals {
    reload: Signal,
    reopen: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.reload.recv() => Told::Reload,
            _ = self.reopen.recv() => Told::Reopen,
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
        }
    }

    /// Waits for the word to end; others come too late.
    async fn end(&mut self) {
        while !matches!(self.next().await, Told::End) {}
    }
}

/// Says on standard error what is wrong with the configuration: there is no log yet.
fn refuse(args: &RunArgs, error: &LoadError) {
    match (error, control_plane::read(&args.config)) {
        (LoadError::Bad(_), Ok(outcome)) => {
            output::complain(&outcome.render(output::is_colourful(&io::stderr())));
        }
        _ => output::complain(&format!("crossfade: {error}")),
    }
}

fn start_log(args: &RunArgs, loaded: &Loaded) -> Result<LogGuard, String> {
    let log = loaded.checked.log;
    let format = match (args.log_format, log.format) {
        (Some(LogFormat::Json), _) | (None, WrittenFormat::Json) => Format::Json,
        (Some(LogFormat::Text), _) | (None, WrittenFormat::Text) => Format::Text,
        (Some(LogFormat::Auto), _) | (None, WrittenFormat::Auto) => Format::Auto,
    };
    logs::start(log.level.as_str(), format)
}

/// Each client and each upstream connection is a file; the hard limit is what the administrator allows.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(error = %error, "the limit of open files stays at {current:?}");
    }
}
