//! What a hook that is asked says.

use ramp::hook_url::HookUrl;
use serde_json::Value;

use crate::{Answer, CallError};

/// Longer reasons are cut, in characters.
const MAX_REASON_CHARS: usize = 300;

/// Yes or no. Whatever is no clear yes is a no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Yes,
    /// Do not.
    No {
        /// Why, as a sentence: the hook's own reason, or what was wrong with its answer. One line of at most 300
        /// characters where it is the hook's.
        why: String,
    },
}

impl Verdict {
    /// A body that is no JSON object says nothing beyond its status, which is yes. One that was meant to be an object
    /// may have meant no.
    pub(crate) fn of(url: &HookUrl, outcome: Result<Answer, CallError>) -> Self {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) => return Verdict::No { why: error.to_string() },
        };
        let said: Value = match serde_json::from_slice(&answer.body) {
            Ok(said) => said,
            Err(error) if answer.body.trim_ascii_start().starts_with(b"{") => {
                let why = format!("the JSON in the answer of {} cannot be read: {error}", url.origin());
                return Verdict::No { why };
            }
            Err(_) => Value::Null,
        };
        match said.get("confirm") {
            None | Some(Value::Bool(true)) => Verdict::Yes,
            Some(Value::Bool(false)) => {
                let reason = said.get("reason").and_then(Value::as_str).map(one_line);
                let reason = reason.filter(|reason| !reason.is_empty());
                let why = reason.unwrap_or_else(|| format!("{} said no and gave no reason", url.origin()));
                Verdict::No { why }
            }
            Some(_) => {
                let why =
                    format!("the `confirm` in the answer of {} is neither true nor false", url.origin());
                Verdict::No { why }
            }
        }
    }
}

/// Somebody else's words, fit for a log: no control characters, one blank between words, not too many of them.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_reason_is_one_bounded_line() {
        assert_eq!(one_line(" freeze\r\n until \u{1b}[31mMonday"), "freeze until [31mMonday");
        assert_eq!(one_line(&"ü".repeat(301)), format!("{}...", "ü".repeat(300)));
    }
}
