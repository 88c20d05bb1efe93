//! A proxy at work: the two planes and the admin interface, started and stopped in the right order.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use admin_api::{Diffs, Guard, Parts, Token};
use config_file::{AccessLog as AccessLogConfig, Admin};
use control_plane::{
    Bound, Control, ControlHandle, Controller, ListenError, Listeners, Loaded, Settings, resolve,
};
use data_plane::{Lanes, Options, Proxy, worker_count};
use shadow_compare::Comparer;
use telemetry::access_log::{self, AccessLog, Destination};
use telemetry::{SnapshotCell, Telemetry};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::diffing::Diffing;

/// Threads of everything that is not on the users' path.
const CONTROL_THREADS: usize = 2;
/// How long the controller may take to hear that the process ends.
const CONTROL_WAIT: Duration = Duration::from_secs(1);
/// How long the controller may take to keep what its guards know, for which it waits for the disk itself.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long tasks beside the users' path may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Everything that runs.
pub(crate) struct Serving {
    /// What changes the running configuration.
    pub(crate) control: ControlHandle,
    controller: JoinHandle<()>,
    /// The workers.
    pub(crate) proxy: Arc<Proxy>,
    /// Who compares the answers of copied requests.
    diffing: Arc<Diffing>,
    /// What they work by.
    pub(crate) snapshots: Arc<SnapshotCell>,
    /// The cells that they count in.
    pub(crate) telemetry: Arc<Telemetry>,
    /// Where the admin interface is.
    pub(crate) admin: SocketAddr,
    /// Where probes are answered without a token, if anywhere.
    pub(crate) probe: Option<SocketAddr>,
    /// What runs beside the users' path.
    pub(crate) runtime: Runtime,
    access_log: Option<AccessLog>,
}

/// A proxy that could not be started: a sentence that says why.
#[derive(Debug)]
pub(crate) struct StartError(String);

impl StartError {
    /// With this sentence.
    pub(crate) fn new(sentence: String) -> Self {
        StartError(sentence)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serving {
    /// Starts a proxy with this configuration, which was read from `path`. When this returns its listeners are open.
    /// `runtime` is for what runs beside the users' path; see [`control_runtime`].
    pub(crate) fn start(loaded: Loaded, path: &Path, runtime: Runtime) -> Result<Serving, StartError> {
        let checked = &loaded.checked;
        let (options, admin) = (checked.workers, checked.admin.clone());
        let workers = worker_count(options);
        let telemetry = Telemetry::new(workers);
        let (access_log, handle) = match &checked.access_log {
            Some(destination) => open_access_log(destination, path, workers)?,
            None => (None, access_log::Handle::off()),
        };
        telemetry.watch_access_log(handle.clone());
        let state_dir = checked.state_dir.as_ref().map(|dir| resolve(path, dir));
        let mut controller = Controller::open(loaded, Arc::clone(&telemetry))
            .map_err(|error| StartError(error.to_string()))?;
        // Once the directory is this process's own.
        let comparer = Comparer::start(state_dir, Arc::clone(&telemetry))
            .map_err(|error| StartError(format!("the thread that compares cannot be started: {error}")))?;
        let diffing = Arc::new(Diffing { comparer: comparer.clone(), telemetry: Arc::clone(&telemetry) });
        controller.lead(diffing.clone());
        let lanes = Lanes::new();
        comparer.ask_through(lanes.clone());
        let options = Options { workers, access_log: handle, compares: Some(comparer.clone()), lanes };
        let snapshots = controller.snapshots();
        let proxy = Proxy::start(&options, &snapshots, &telemetry)
            .map_err(|error| StartError(format!("the workers cannot be started: {error}")))?;
        let proxy = Arc::new(proxy);
        let listeners = Arc::new(ProxyListeners(Arc::clone(&proxy)));
        let borders =
            runtime.block_on(start_borders(controller, listeners, &admin, path, diffing.clone()))?;
        let Borders { control, controller, admin, probe } = borders;
        Ok(Serving {
            control,
            controller,
            proxy,
            diffing,
            snapshots,
            telemetry,
            admin,
            probe,
            runtime,
            access_log,
        })
    }

    /// What comparing found, as the admin interface tells it.
    pub(crate) fn diffs(&self) -> Arc<dyn Diffs> {
        self.diffing.clone()
    }

    /// Opens the access log anew, if there is one.
    pub(crate) fn reopen_logs(&self) {
        if let Some(access_log) = &self.access_log {
            access_log.reopen();
        }
    }

    /// Lets requests finish, for as long as the configuration says. Takes no more changes, tells probes so, closes
    /// the listeners. `true` when nothing was left to finish.
    pub(crate) async fn drain(control: ControlHandle, proxy: Arc<Proxy>) -> bool {
        // Users come first: a controller that does not answer must not hold up the end.
        if tokio::time::timeout(CONTROL_WAIT, control.drain()).await.is_err() {
            tracing::warn!("the controller does not answer, so the proxy drains without it");
        }
        let deadline = control.status().drain_timeout;
        tracing::info!(
            connections = proxy.connections(),
            deadline_seconds = deadline.as_secs_f64(),
            "draining: {} connections may finish for {} s at most",
            proxy.connections(),
            deadline.as_secs_f64()
        );
        let drained = tokio::task::spawn_blocking(move || proxy.drain(deadline)).await;
        drained.unwrap_or(false)
    }

    /// Ends everything; what is still under way is cut off.
    pub(crate) fn stop(self) {
        let Serving { control, controller, proxy, diffing, runtime, access_log, .. } = self;
        // While the directory is still this process's own.
        diffing.comparer.stop();
        let ending = async {
            control.end().await;
            // One that has panicked has told so itself.
            let _ = controller.await;
        };
        if runtime.block_on(async { tokio::time::timeout(LAST_WORD, ending).await }).is_err() {
            tracing::warn!(
                "the controller has not ended within {} s, so what its guards learned last may not be kept",
                LAST_WORD.as_secs()
            );
        }
        runtime.shutdown_timeout(STOP_TIMEOUT);
        // Held elsewhere only by a drain that was not waited for; then the workers end with the process.
        if let Some(proxy) = Arc::into_inner(proxy) {
            proxy.stop();
        }
        drop(access_log);
    }
}

/// The threads of the controller, the admin interface and signals.
pub(crate) fn control_runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| StartError(format!("the control threads cannot be started: {error}")))
}

/// The data plane as the controller sees it.
struct ProxyListeners(Arc<Proxy>);

impl Listeners for ProxyListeners {
    fn set(&self, wanted: &[SocketAddr]) -> Result<Vec<Bound>, ListenError> {
        match self.0.set_listeners(wanted) {
            Ok(bound) => Ok(bound.iter().map(|one| Bound { asked: one.asked, bound: one.bound }).collect()),
            Err(error) => Err(ListenError { addr: error.addr, message: error.to_string() }),
        }
    }
}

struct Borders {
    control: ControlHandle,
    controller: JoinHandle<()>,
    admin: SocketAddr,
    probe: Option<SocketAddr>,
}

/// The admin addresses are taken first, so that one that is in use is known before any client is accepted; they are
/// answered last, when there is something to say.
async fn start_borders(
    controller: Controller,
    listeners: Arc<dyn Listeners>,
    config: &Admin,
    path: &Path,
    diffing: Arc<Diffing>,
) -> Result<Borders, StartError> {
    let (admin_listener, admin) = bind("admin.listen", config.listen).await?;
    let probe = match config.probe_listen {
        Some(address) => Some(bind("admin.probe_listen", address).await?),
        None => None,
    };
    let token = match &config.token_file {
        Some(file) => Some(read_token(&resolve(path, file))?),
        None => None,
    };
    let Control { handle: control, task } = controller
        .start(listeners, Settings::default())
        .await
        .map_err(|error| StartError(error.to_string()))?;
    let telemetry = Arc::clone(&diffing.telemetry);
    let parts = Parts { control: control.clone(), telemetry, diffs: Some(diffing) };
    tokio::spawn(admin_api::serve(
        admin_listener,
        admin_api::router(parts.clone(), Guard::new(admin, token)),
    ));
    let probe = probe.map(|(listener, bound)| {
        tokio::spawn(admin_api::serve(listener, admin_api::probe_router(parts)));
        bound
    });
    Ok(Borders { control, controller: task, admin, probe })
}

async fn bind(key: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError(format!("{key}: cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn read_token(path: &Path) -> Result<Token, StartError> {
    let failed = |why: &dyn fmt::Display| StartError(format!("admin.token_file {}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    Token::from_text(&text).map_err(|error| failed(&error))
}

fn open_access_log(
    destination: &AccessLogConfig,
    config: &Path,
    workers: usize,
) -> Result<(Option<AccessLog>, access_log::Handle), StartError> {
    let destination = match destination {
        AccessLogConfig::Stdout => Destination::Stdout,
        AccessLogConfig::File(file) => Destination::File(resolve(config, file)),
    };
    match AccessLog::start(destination.clone(), workers) {
        Ok((log, handle)) => Ok((Some(log), handle)),
        Err(error) => Err(StartError(format!("proxy.access_log {destination:?} cannot be opened: {error}"))),
    }
}
