//! One function for each question, and the few things that hold for all.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use control_plane::{Actor, Changed, ControlError, Place};
use route_plan::Phase;
use serde::de::DeserializeOwned;
use telemetry::Telemetry;
use traffic_split::Percent;

use crate::problem::Problem;
use crate::ramp::PlanAnswer;
use crate::shadow::SwitchShadow;
use crate::wire::{
    ChangedAnswer, JournalAnswer, MigrationAnswer, MigrationsAnswer, ReloadedAnswer, RollBack, SaidBy,
    SetPercent, SetPhase, StatusAnswer, Undo, WhereAnswer,
};
use crate::{MAX_BODY_BYTES, Parts, REQUEST_TIMEOUT, query};

/// The longest name of a person that is taken.
const MAX_WHO_CHARS: usize = 128;
/// The longest reason that is taken.
const MAX_REASON_CHARS: usize = 1024;
/// How many lines of the journal are given, where nobody says.
const DEFAULT_LINES: usize = 100;
/// The most lines of the journal that are given.
const MAX_LINES: usize = 1000;
/// A file is about all migrations and may have been read already when somebody insists, so whoever insists names one.
const NO_FORCED_RELOAD: &str = "force: a reload cannot be forced; what a file asks for beyond a closed calendar or a latch \
     waits, and `advance` of that migration with force and a reason brings it into force while the calendar is closed, \
     `resume` while it is latched";
/// Who asks, where nobody says.
const ANONYMOUS: &str = "the admin API";

pub(crate) type Answer = Result<Response, Problem>;

pub(crate) async fn metrics(State(parts): State<Parts>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(Telemetry::CONTENT_TYPE))], parts.telemetry.scrape())
        .into_response()
}

/// The process is alive: it could answer this.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Clients can be sent here.
pub(crate) async fn readyz(State(parts): State<Parts>) -> Response {
    let status = parts.control.status();
    if status.is_ready() {
        return "ready\n".into_response();
    }
    let why = if status.draining { "draining\n" } else { "no listener is open\n" };
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

pub(crate) async fn status(State(parts): State<Parts>) -> Response {
    Json(StatusAnswer::from(&*parts.control.status())).into_response()
}

pub(crate) async fn migrations(State(parts): State<Parts>) -> Response {
    Json(MigrationsAnswer::from(&*parts.control.status())).into_response()
}

pub(crate) async fn migration(State(parts): State<Parts>, name: Name) -> Answer {
    let (name, status) = (path_name(name)?, parts.control.status());
    match status.migration(&name) {
        Some(migration) => Ok(Json(MigrationAnswer::from(migration)).into_response()),
        None => {
            let known = status.migrations.iter().map(|known| &known.name);
            Err(ControlError::unknown_migration(&name, known).into())
        }
    }
}

pub(crate) async fn set_percent(
    State(parts): State<Parts>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let name = path_name(name)?;
    let wanted: SetPercent = json(&headers, body)?;
    let actor = actor(wanted.who, wanted.reason, wanted.force)?;
    changed(parts.control.set_percent(&name, wanted.percent, actor).await)
}

pub(crate) async fn set_phase(
    State(parts): State<Parts>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let name = path_name(name)?;
    let wanted: SetPhase = json(&headers, body)?;
    let phase: Phase = wanted.phase.parse().map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-request").detail(format!("phase: {error}"))
    })?;
    let actor = actor(wanted.who, wanted.reason, wanted.force)?;
    changed(parts.control.set_phase(&name, phase, actor).await)
}

pub(crate) async fn roll_back(
    State(parts): State<Parts>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let name = path_name(name)?;
    let wanted: RollBack = json_or_nothing(&headers, body)?;
    let to = wanted.to.as_ref().map(target).transpose()?;
    let actor = actor(wanted.who, wanted.reason, wanted.force)?;
    changed(parts.control.go_back(&name, to, wanted.now, actor).await)
}

/// Where to go back to.
fn target(to: &serde_json::Value) -> Result<Place, Problem> {
    let percent = match to {
        serde_json::Value::String(word) if word == "old" => return Ok(Place::Old),
        serde_json::Value::String(word) if word == "previous-step" => return Ok(Place::PreviousStep),
        serde_json::Value::String(text) => text.parse().ok(),
        to => to.as_f64().and_then(|number| Percent::from_f64(number).ok()),
    };
    let expected = "to: expected `old`, `previous-step` or a number of per cent, 0 to 100";
    percent
        .map(Place::At)
        .ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-request").detail(expected))
}

pub(crate) async fn resume(State(parts): State<Parts>, name: Name, headers: HeaderMap, body: Body) -> Answer {
    let (name, actor) = said_of(name, &headers, body)?;
    changed(parts.control.resume(&name, actor).await)
}

pub(crate) async fn advance(
    State(parts): State<Parts>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (name, actor) = said_of(name, &headers, body)?;
    changed(parts.control.advance(&name, actor).await)
}

pub(crate) async fn pause(State(parts): State<Parts>, name: Name, headers: HeaderMap, body: Body) -> Answer {
    let (name, actor) = said_of(name, &headers, body)?;
    changed(parts.control.pause(&name, actor).await)
}

/// Answers when the drill is over.
pub(crate) async fn drill(State(parts): State<Parts>, name: Name, headers: HeaderMap, body: Body) -> Answer {
    let (name, actor) = said_of(name, &headers, body)?;
    changed(parts.control.drill(&name, actor).await)
}

pub(crate) async fn undo(State(parts): State<Parts>, name: Name, headers: HeaderMap, body: Body) -> Answer {
    let name = path_name(name)?;
    let wanted: Undo = json(&headers, body)?;
    let actor = actor(wanted.who, wanted.reason, wanted.force)?;
    changed(parts.control.undo(&name, wanted.to, actor).await)
}

/// Switches the shadow on or off.
pub(crate) async fn switch_shadow(
    State(parts): State<Parts>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let name = path_name(name)?;
    let wanted: SwitchShadow = json(&headers, body)?;
    if wanted.anew && !wanted.on {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-request");
        return Err(problem.detail("anew: comparisons count anew only with `on` true"));
    }
    let actor = actor(wanted.who, wanted.reason, wanted.force)?;
    changed(parts.control.switch_shadow(&name, wanted.on, wanted.anew, actor).await)
}

/// What comes when in the ramp.
pub(crate) async fn plan(State(parts): State<Parts>, name: Name) -> Answer {
    let name = path_name(name)?;
    let plan = parts.control.plan(&name).await?;
    Ok(Json(PlanAnswer::of(name, &plan)).into_response())
}

pub(crate) async fn reload(State(parts): State<Parts>, headers: HeaderMap, body: Body) -> Answer {
    let actor = said_by(&headers, body)?;
    if actor.force {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-request").detail(NO_FORCED_RELOAD));
    }
    let reloaded = parts.control.reload(control_plane::Cause::Asked(actor)).await?;
    Ok(Json(ReloadedAnswer::from(reloaded)).into_response())
}

/// The latest lines of the journal about a migration, as they are.
pub(crate) async fn journal(State(parts): State<Parts>, name: Name, RawQuery(query): RawQuery) -> Answer {
    let name = path_name(name)?;
    let limit = match query::parameter(query.as_deref(), "limit") {
        None => DEFAULT_LINES,
        Some(text) => std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|limit| (1..=MAX_LINES).contains(limit))
            .ok_or_else(|| Problem::bad_request(format!("limit: expected a number, 1 to {MAX_LINES}")))?,
    };
    let lines = parts.control.history(&name, limit).await?;
    Ok(Json(JournalAnswer { migration: name, lines }).into_response())
}

pub(crate) async fn place(State(parts): State<Parts>, name: Name, RawQuery(query): RawQuery) -> Answer {
    let name = path_name(name)?;
    let key = query::parameter(query.as_deref(), "key")
        .ok_or_else(|| Problem::bad_request("the key is missing: .../where?key=KEY"))?;
    let place = parts.control.where_key(&name, &key)?;
    Ok(Json(WhereAnswer::from(&place)).into_response())
}

pub(crate) async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found").detail(format!("there is nothing at {}", uri.path()))
}

pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
        .detail(format!("{method} is not possible at {}", uri.path()))
}

/// The layer that refuses announced bodies that are too large before any of it is read, ends requests that take too
/// long, and marks every answer as one not to be kept or guessed about.
pub(crate) async fn within_limits(request: Request, next: Next) -> Response {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let mut response = if announced.is_some_and(|bytes: u64| bytes > MAX_BODY_BYTES as u64) {
        too_large().into_response()
    } else {
        match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout")
                .detail(format!("the request took longer than {} s", REQUEST_TIMEOUT.as_secs()))
                .into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large")
        .detail(format!("a body has at most {MAX_BODY_BYTES} bytes"))
}

pub(crate) type Name = Result<Path<String>, PathRejection>;
type Body = Result<Bytes, BytesRejection>;

pub(crate) fn path_name(name: Name) -> Result<String, Problem> {
    name.map(|Path(name)| name).map_err(|rejection| Problem::bad_request(rejection.body_text()))
}

/// A body of JSON. Its media type must say so: what an HTML form can send never does.
fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let body = body.map_err(|rejection| {
        let status = rejection.status();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            too_large()
        } else {
            Problem::new(status, "bad-request").detail(rejection.body_text())
        }
    })?;
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json")
            .detail("the body is expected as `Content-Type: application/json`"));
    }
    serde_json::from_slice(&body).map_err(|error| {
        let (status, code) = match error.classify() {
            serde_json::error::Category::Data => (StatusCode::UNPROCESSABLE_ENTITY, "bad-request"),
            _ => (StatusCode::BAD_REQUEST, "bad-json"),
        };
        Problem::new(status, code).detail(error.to_string())
    })
}

fn changed(changed: Result<Changed, ControlError>) -> Answer {
    Ok(Json(ChangedAnswer::from(&changed?)).into_response())
}

/// Which migration it is about, who asks and why, where nothing else is to be said.
fn said_of(name: Name, headers: &HeaderMap, body: Body) -> Result<(String, Actor), Problem> {
    Ok((path_name(name)?, said_by(headers, body)?))
}

/// Who asks and why, where nothing else is to be said; the body may be left out.
fn said_by(headers: &HeaderMap, body: Body) -> Result<Actor, Problem> {
    let said: SaidBy = json_or_nothing(headers, body)?;
    actor(said.who, said.reason, said.force)
}

/// A body that may be left out.
fn json_or_nothing<T: DeserializeOwned + Default>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    match body {
        Ok(body) if body.is_empty() => Ok(T::default()),
        body => json(headers, body),
    }
}

fn actor(who: Option<String>, reason: Option<String>, force: bool) -> Result<Actor, Problem> {
    let who = who.filter(|who| !who.is_empty()).unwrap_or_else(|| ANONYMOUS.to_owned());
    is_plain("who", &who, MAX_WHO_CHARS)?;
    let reason = reason.filter(|reason| !reason.is_empty());
    reason.as_deref().map_or(Ok(()), |reason| is_plain("reason", reason, MAX_REASON_CHARS))?;
    Ok(Actor { who, reason, force })
}

/// Both end up in logs and on terminals.
fn is_plain(field: &str, text: &str, max_chars: usize) -> Result<(), Problem> {
    if text.chars().count() > max_chars || text.chars().any(char::is_control) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-request")
            .detail(format!("{field}: expected one line of at most {max_chars} characters")));
    }
    Ok(())
}
