//! A rollback in the product's own words, and how long it took: from its journal and its status.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::demo::text::milliseconds;

/// The switch as the journal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Switch {
    /// When it was decided.
    pub(super) decided: SystemTime,
    /// From there until the new percentage was in force.
    pub(super) took: Duration,
}

impl Switch {
    /// Of the last rollback in these lines of the journal, which was decided then.
    pub(super) fn of(decided: SystemTime, lines: &[Value]) -> Option<Switch> {
        let line = lines.iter().rfind(|line| line["kind"] == "rolled_back")?;
        let took = line["data"]["in_force_after_us"].as_u64()?;
        Some(Switch { decided, took: Duration::from_micros(took) })
    }

    /// What it took, as a sentence; `first` is when new first did what it should not.
    pub(super) fn sentence(&self, first: Option<SystemTime>) -> String {
        let switch = format!("the switch took {}", microseconds(self.took));
        let in_force = self.decided + self.took;
        match first.and_then(|first| in_force.duration_since(first).ok()) {
            Some(after) => {
                format!("0 % in force {} after the first bad answer; {switch}", milliseconds(Some(after)))
            }
            None => switch,
        }
    }
}

/// `38 us`; from a millisecond on `1.2 ms`.
fn microseconds(duration: Duration) -> String {
    match duration.as_micros() {
        us @ 0..1000 => format!("{us} us"),
        _ => milliseconds(Some(duration)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_rollback_of_the_journal_is_told_with_its_times() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let line = |kind: &str, us: u64| json!({"kind": kind, "data": {"in_force_after_us": us}});
        let lines = [line("rolled_back", 99), line("rolled_back", 38), json!({"kind": "verified"})];
        let switch = Switch::of(at, &lines).unwrap();
        assert_eq!(switch, Switch { decided: at, took: Duration::from_micros(38) });
        assert_eq!(
            switch.sentence(Some(at - Duration::from_millis(412))),
            "0 % in force 412 ms after the first bad answer; the switch took 38 us"
        );
        assert_eq!(switch.sentence(None), "the switch took 38 us");
        // A clock that was set back tells nothing.
        assert_eq!(switch.sentence(Some(at + Duration::from_secs(1))), "the switch took 38 us");
        assert_eq!(microseconds(Duration::from_micros(1_240)), "1.2 ms");
        assert_eq!(Switch::of(at, &lines[2..]), None);
    }
}
