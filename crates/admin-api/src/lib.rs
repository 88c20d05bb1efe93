//! The admin interface: state and changes over HTTP, for the command line, probes, scrapers and scripts.
//!
//! It is a border: requests become typed questions to the controller, answers become JSON, and the types that travel
//! live here alone. It stands on an address of its own and is held off the users' path: few connections, short
//! times, small bodies. What changes something is guarded twice. A token, once configured, has to be shown; and since
//! a browser on an operator's machine can be made to send requests to loopback, the `Host` must be a name that this
//! address really has, and a request that some other site caused is refused.

mod diffs;
mod guard;
mod handlers;
mod problem;
mod query;
mod ramp;
mod serve;
mod shadow;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use control_plane::{ControlHandle, Where};
use telemetry::Telemetry;

pub use diffs::{
    Diffs, DiffsAnswer, DiffsCounts, DiffsCoverage, DiffsDifference, DiffsEndpoint, DiffsGroup, DiffsNoise,
    DiffsQuestions, DiffsRace, DiffsSample, DiffsStorage, DiffsSummary, DiffsTurnedAway, DiffsWish,
};
pub use guard::{Guard, MIN_TOKEN_BYTES, Token, TokenError};
pub use serve::{MAX_CONNECTIONS, serve};

/// The largest request body that is read.
pub const MAX_BODY_BYTES: usize = 64 << 10;
/// How long a request may take, its body included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What the handlers ask.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The controller.
    pub control: ControlHandle,
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
    /// What comparing found; `None`: nobody compares.
    pub diffs: Option<Arc<dyn Diffs>>,
}

/// The whole interface, behind `guard`.
pub fn router(parts: Parts, guard: Guard) -> Router {
    let api = Router::new()
        .route("/status", get(handlers::status))
        .route("/reload", post(handlers::reload))
        .route("/migrations", get(handlers::migrations))
        .route("/migrations/{name}", get(handlers::migration))
        .route("/migrations/{name}/percent", post(handlers::set_percent))
        .route("/migrations/{name}/phase", post(handlers::set_phase))
        .route("/migrations/{name}/rollback", post(handlers::roll_back))
        .route("/migrations/{name}/resume", post(handlers::resume))
        .route("/migrations/{name}/advance", post(handlers::advance))
        .route("/migrations/{name}/pause", post(handlers::pause))
        .route("/migrations/{name}/drill", post(handlers::drill))
        .route("/migrations/{name}/undo", post(handlers::undo))
        .route("/migrations/{name}/shadow", post(handlers::switch_shadow))
        .route("/migrations/{name}/ramp", get(handlers::plan))
        .route("/migrations/{name}/journal", get(handlers::journal))
        .route("/migrations/{name}/diffs", get(diffs::diffs))
        .route("/migrations/{name}/where", get(handlers::place));
    finish(probes().nest("/api/v1", api), parts, guard)
}

/// Metrics and health alone, for an address that needs no token.
pub fn probe_router(parts: Parts) -> Router {
    finish(probes(), parts, Guard::open())
}

/// The answer of `.../where` for a place that was found without the interface: from a file.
#[must_use]
pub fn where_json(place: &Where) -> serde_json::Value {
    // Numbers and texts under literal names: nothing in it can fail to be JSON.
    serde_json::to_value(wire::WhereAnswer::from(place)).unwrap_or_default()
}

fn probes() -> Router<Parts> {
    Router::new()
        .route("/metrics", get(handlers::metrics))
        .route("/healthz", get(handlers::healthz))
        .route("/readyz", get(handlers::readyz))
}

/// What holds for every request, known path or not: the guard first, then the time limit, then the handler.
fn finish(router: Router<Parts>, parts: Parts, guard: Guard) -> Router {
    router
        .fallback(handlers::not_found)
        .method_not_allowed_fallback(handlers::wrong_method)
        .with_state(parts)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn(handlers::within_limits))
        .layer(from_fn_with_state(Arc::new(guard), guard::check))
}
