//! `Proxy-Status` (RFC 9209): tells whoever looks at an answer what happened between crossfade and an upstream.

use route_plan::{Ended, Failure};

/// The name of the field.
pub(crate) const NAME: &str = "Proxy-Status";

/// The field's value on an answer of crossfade's own, given instead of one that `failure` prevented.
pub(crate) fn of_failure(failure: Failure) -> &'static str {
    match failure {
        Failure::NoEndpoint => "crossfade; error=destination_unavailable",
        Failure::Overloaded => "crossfade; error=connection_limit_reached",
        Failure::Connect => "crossfade; error=connection_refused",
        Failure::ConnectTimeout => "crossfade; error=connection_timeout",
        Failure::FirstByteTimeout | Failure::TotalTimeout | Failure::Late => {
            "crossfade; error=http_response_timeout"
        }
        Failure::IdleTimeout => "crossfade; error=connection_read_timeout",
        Failure::Closed => "crossfade; error=connection_terminated",
        Failure::Truncated => "crossfade; error=http_response_incomplete",
        Failure::BadAnswer => "crossfade; error=http_protocol_error",
        Failure::Status5xx | Failure::StatusOther | Failure::Header => "crossfade; error=http_request_error",
    }
}

/// The field's value on an answer of old's that stands in for one of new, which ended like this.
pub(crate) fn of_fallback(ended: Ended) -> String {
    const DETAILS: &str = "details=\"answered by old after new failed\"";
    match ended {
        Ended::Failed(failure) => format!("{}; {DETAILS}", of_failure(failure)),
        Ended::Answered(status) => format!("crossfade; received-status={status}; {DETAILS}"),
        Ended::Client => "crossfade".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_lists_of_tokens_and_parameters() {
        for failure in Failure::ALL {
            let error = of_failure(failure).strip_prefix("crossfade; error=").unwrap();
            assert!(error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{error}");
        }
        assert_eq!(
            of_fallback(Ended::Answered(503)),
            "crossfade; received-status=503; details=\"answered by old after new failed\""
        );
        assert_eq!(
            of_fallback(Ended::Failed(Failure::Connect)),
            "crossfade; error=connection_refused; details=\"answered by old after new failed\""
        );
    }
}
