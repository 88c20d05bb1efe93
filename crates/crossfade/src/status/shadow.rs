//! A migration's shadow in `status`.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Shadow {
    pub(super) state: String,
    pub(super) sentence: String,
    pairs_per_second: Option<f64>,
    comparisons: BTreeMap<String, u64>,
    match_rate: MatchRate,
    matching: Option<String>,
    verdict: Option<Verdict>,
    effect: Option<String>,
    top_drops: Vec<Drop>,
}

#[derive(Debug, Deserialize)]
struct MatchRate {
    compared: u64,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    sentence: String,
}

#[derive(Debug, Deserialize)]
struct Drop {
    reason: String,
    count: u64,
}

/// The head of the table of shadows.
pub(super) const HEAD: [&str; 5] = ["SHADOW", "STATE", "PAIRS/S", "COMPARED", "MATCH"];

impl Shadow {
    /// Its line in the table of shadows.
    pub(super) fn row(&self, name: &str) -> Vec<String> {
        vec![
            name.to_owned(),
            self.state.clone(),
            self.pairs_per_second.map_or("-".to_owned(), |rate| format!("{rate:.1}")),
            self.match_rate.compared.to_string(),
            if self.match_rate.compared == 0 { "-".to_owned() } else { self.match_rate.text.clone() },
        ]
    }

    /// All of it, a line each.
    pub(super) fn details(&self) -> Vec<(&'static str, String)> {
        let pace = self.pairs_per_second.filter(|rate| *rate > 0.0);
        let pace = pace.map(|rate| format!(", {rate:.1} answers compared a second")).unwrap_or_default();
        let count = |result: &str| self.comparisons.get(result).copied().unwrap_or_default();
        let mut rows = vec![
            ("shadow", format!("{}{pace}", self.sentence)),
            (
                "match rate",
                match self.match_rate.compared {
                    0 => self.match_rate.text.clone(),
                    compared => format!("{} of {compared} comparisons", self.match_rate.text),
                },
            ),
            (
                "compared",
                format!(
                    "{} matched, {} mismatched, {} noise, {} races, {} not comparable, since this process began",
                    count("matched"),
                    count("mismatched"),
                    count("noise"),
                    count("race"),
                    count("not_compared")
                ),
            ),
        ];
        rows.extend(self.matching.iter().map(|sentence| ("matching", sentence.clone())));
        rows.extend(self.verdict.iter().map(|verdict| ("by copies", verdict.sentence.clone())));
        rows.extend(self.effect.iter().map(|sentence| ("effect", sentence.clone())));
        if !self.top_drops.is_empty() {
            let drops: Vec<String> =
                self.top_drops.iter().map(|drop| format!("{} {}", drop.reason, drop.count)).collect();
            rows.push(("not copied", drops.join(", ")));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_shadow_says_what_it_is_worth() {
        let shadow: Shadow = serde_json::from_value(json!({
            "state": "on", "sentence": "on: new gets copies", "reason": null, "pairs_per_second": 41.26,
            "comparisons": { "matched": 9_993, "mismatched": 7, "noise": 12, "race": 3, "not_compared": 40 },
            "match_rate": { "compared": 10_000, "rate": 0.9993, "at_least": 0.998, "text": "99.93 %, at least 99.80 %" },
            "matching": "fewer than 0.1% of comparisons are shown to differ",
            "verdict": { "verdict": "healthy", "sentence": "healthy; more" },
            "effect": "served requests are shown not to be slower for being copied",
            "top_drops": [{ "reason": "target-down", "count": 5 }, { "reason": "slow", "count": 3 }]
        }))
        .unwrap();
        assert_eq!(shadow.row("shop"), ["shop", "on", "41.3", "10000", "99.93 %, at least 99.80 %"]);
        let lines: Vec<String> =
            shadow.details().into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            lines,
            [
                "shadow: on: new gets copies, 41.3 answers compared a second",
                "match rate: 99.93 %, at least 99.80 % of 10000 comparisons",
                "compared: 9993 matched, 7 mismatched, 12 noise, 3 races, 40 not comparable, since this process began",
                "matching: fewer than 0.1% of comparisons are shown to differ",
                "by copies: healthy; more",
                "effect: served requests are shown not to be slower for being copied",
                "not copied: target-down 5, slow 3",
            ]
        );
    }
}
