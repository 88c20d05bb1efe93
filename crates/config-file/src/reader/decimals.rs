//! Numbers that may be written in more than one way: shares, quantiles, statuses and factors.

use traffic_split::PercentError;

use super::Reader;
use crate::diagnostic::{Diagnostic, Spot};
use crate::fields::Kind;
use crate::scalar;
use crate::words::expected;
use crate::written::Value;

impl Reader<'_> {
    pub(super) fn share(&mut self, text: &str, spot: &Spot) -> Option<Value> {
        match scalar::parse_share(text) {
            Ok(share) => Some(Value::Share(share)),
            Err(PercentError::NotANumber) => {
                self.bad("bad-percent", format!("`{text}` is not a percentage"), &Kind::Share, spot)
            }
            Err(reason) => {
                self.bad("bad-percent", format!("`{text}` is not a percentage: {reason}"), &Kind::Share, spot)
            }
        }
    }

    pub(super) fn quantile(&mut self, text: &str, spot: &Spot) -> Option<Value> {
        let reason = match scalar::parse_quantile(text) {
            Ok(quantile) => return Some(Value::Quantile(quantile)),
            Err(PercentError::NotANumber) => "",
            Err(PercentError::OutOfRange) => ": it must be above 0 and below 1",
            Err(PercentError::TooPrecise) => ": it is finer than a millionth",
        };
        let as_percent = format!("p{}", text.trim_end_matches('%'));
        // A number of per cent, but for 1, which may as well be meant as all.
        let meant = scalar::parse_quantile(&as_percent).is_ok_and(|quantile| quantile.share() > 0.01);
        let help = meant.then(|| format!("write \"{as_percent}\""));
        let diagnostic =
            Diagnostic::error("bad-quantile", spot, format!("`{text}` is not a quantile{reason}"));
        self.sink.push(diagnostic.expected(expected(&Kind::Quantile)).maybe_help(help));
        None
    }

    pub(super) fn statuses(&mut self, text: &str, spot: &Spot) -> Option<Value> {
        match scalar::parse_statuses(text) {
            Some(statuses) => Some(Value::Statuses(statuses)),
            None => self.bad("bad-status", format!("`{text}` is not a status"), &Kind::Statuses, spot),
        }
    }

    pub(super) fn factor(&mut self, kind: &Kind, max: u32, text: &str, spot: &Spot) -> Option<Value> {
        match scalar::parse_factor(text) {
            Some(factor) if factor > 1.0 && factor <= f64::from(max) => Some(Value::Factor(factor)),
            Some(_) => self.bad("out-of-range", format!("`{text}` is out of range"), kind, spot),
            None => self.bad("bad-factor", format!("`{text}` is not a factor"), kind, spot),
        }
    }
}
