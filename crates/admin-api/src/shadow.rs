//! What travels of shadows.

use std::collections::BTreeMap;

use control_plane::ShadowStatus;
use serde::{Deserialize, Serialize};
use telemetry::Compared;

/// `POST .../shadow`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchShadow {
    /// Whether requests are copied.
    pub(crate) on: bool,
    /// What was compared so far says nothing any more.
    #[serde(default)]
    pub(crate) anew: bool,
    #[serde(default)]
    pub(crate) who: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) force: bool,
}

/// A migration's shadow.
#[derive(Debug, Serialize)]
pub(crate) struct ShadowAnswer<'a> {
    /// `on`, `off` or `idle`.
    state: &'static str,
    sentence: &'a str,
    /// Why it was switched off, if it was.
    reason: Option<&'a str>,
    /// Over the last minute; `null` before that is known.
    pairs_per_second: Option<f64>,
    /// Since the start of the process, by what they came to.
    comparisons: BTreeMap<&'static str, u64>,
    match_rate: MatchRateAnswer,
    /// What is shown of the answers of both arms; `null` where mismatches are not limited.
    matching: Option<&'a str>,
    /// What copies say of new; `null` where they do not judge it.
    verdict: Option<VerdictAnswer<'a>>,
    /// What copying does to users; `null` where that is not looked at.
    effect: Option<&'a str>,
    /// The most frequent ones first.
    top_drops: Vec<DropAnswer>,
}

/// Of the comparisons since they began to count anew, noise and races left out: by what the gate of phase shadow counts.
#[derive(Debug, Serialize)]
struct MatchRateAnswer {
    compared: u64,
    /// 0 to 1; `null` without any.
    rate: Option<f64>,
    /// 0 to 1, with a confidence of 99 %.
    at_least: f64,
    /// Both as a person reads it: `99.93 %, at least 99.90 %`.
    text: String,
}

#[derive(Debug, Serialize)]
struct VerdictAnswer<'a> {
    verdict: &'static str,
    sentence: &'a str,
}

#[derive(Debug, Serialize)]
struct DropAnswer {
    reason: &'static str,
    count: u64,
}

impl<'a> From<&'a ShadowStatus> for ShadowAnswer<'a> {
    fn from(shadow: &'a ShadowStatus) -> Self {
        let comparisons = Compared::ALL.map(|result| (result.as_str(), shadow.comparisons.of(result)));
        ShadowAnswer {
            state: shadow.state.as_str(),
            sentence: &shadow.sentence,
            reason: shadow.by.as_ref().and_then(|by| by.reason.as_deref()),
            pairs_per_second: shadow.pairs_per_s,
            comparisons: comparisons.into(),
            match_rate: MatchRateAnswer {
                compared: shadow.match_rate.compared(),
                rate: shadow.match_rate.rate(),
                at_least: shadow.match_rate.at_least(),
                text: shadow.match_rate.to_string(),
            },
            matching: shadow.matching.as_deref(),
            verdict: shadow
                .verdict
                .as_ref()
                .map(|(verdict, sentence)| VerdictAnswer { verdict: verdict.as_str(), sentence }),
            effect: shadow.effect.as_deref(),
            top_drops: shadow.drops.iter().map(|&(reason, count)| DropAnswer { reason, count }).collect(),
        }
    }
}
