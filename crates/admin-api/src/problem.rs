//! Errors as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use control_plane::{ControlError, Diagnostic, LoadError};
use serde::Serialize;

/// What went wrong, for people and for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    /// The status in words.
    title: &'static str,
    /// A stable name in kebab case for the kind of problem.
    code: &'static str,
    /// A sentence about this very case.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Everything that is wrong with a configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ConfigProblem>,
    /// The same for people, each place underlined.
    #[serde(skip_serializing_if = "Option::is_none")]
    rendered: Option<String>,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Serialize)]
struct ConfigProblem {
    severity: &'static str,
    code: &'static str,
    message: String,
    path: String,
    line: usize,
    column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Problem { status, title, code, detail: None, errors: Vec::new(), rendered: None }
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// A request whose content does not say what is wanted.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request").detail(detail)
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let (status, code) = match &error {
            ControlError::UnknownMigration { .. } => (StatusCode::NOT_FOUND, "unknown-migration"),
            ControlError::Config(LoadError::Bad(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "bad-config"),
            ControlError::Config(LoadError::Unreadable { .. }) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unreadable-config")
            }
            ControlError::Refused(_) => (StatusCode::CONFLICT, "refused"),
            ControlError::NotStored(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-stored"),
            ControlError::NoJournal(_) => (StatusCode::CONFLICT, "no-journal"),
            ControlError::Reshuffle(_) => (StatusCode::CONFLICT, "reshuffle"),
            ControlError::Listen(_) => (StatusCode::CONFLICT, "cannot-listen"),
            ControlError::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            ControlError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            ControlError::Left { .. } => (StatusCode::GONE, "migration-left"),
            ControlError::Gone => (StatusCode::SERVICE_UNAVAILABLE, "ended"),
        };
        let problem = Problem::new(status, code).detail(error.to_string());
        match error {
            ControlError::Config(LoadError::Bad(bad)) => Problem {
                errors: bad.problems.into_iter().map(ConfigProblem::from).collect(),
                rendered: Some(bad.rendered),
                ..problem
            },
            _ => problem,
        }
    }
}

impl From<Diagnostic> for ConfigProblem {
    fn from(found: Diagnostic) -> Self {
        ConfigProblem {
            severity: found.severity.as_str(),
            code: found.code,
            message: found.message,
            path: found.path,
            line: found.line,
            column: found.column,
            expected: found.expected,
            help: found.help,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
