//! `history`: what the journal has of a migration.

use serde_json::Value;

use crate::api::{Api, CallError, encode};
use crate::cli::HistoryArgs;
use crate::output::{self, Exit};

pub(crate) fn history(args: &HistoryArgs) -> Exit {
    let path = format!("/api/v1/migrations/{}/journal?limit={}", encode(args.name.as_bytes()), args.limit);
    let lines = match Api::find(&args.admin).and_then(|api| api.get(&path)) {
        Ok(answer) => answer["lines"].clone(),
        Err(error) => return CallError::tell(&error),
    };
    if args.json {
        output::say_line(&format!("{lines:#}"));
    } else {
        output::say(&table(lines.as_array().map(Vec::as_slice).unwrap_or_default()));
    }
    Exit::Done
}

fn table(lines: &[Value]) -> String {
    let head = ["LINE", "TIME", "WHAT", "IN FORCE", "BY", "REASON"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(lines.iter().map(|line| {
        let text = |member: &str| line[member].as_str().unwrap_or_default().to_owned();
        vec![line["seq"].to_string(), text("time"), what(line), in_force(line), text("who"), text("reason")]
    }));
    output::table(&rows)
}

/// What happened, in a few words.
fn what(line: &Value) -> String {
    let (data, state) = (&line["data"], &line["state"]);
    let percent = |value: &Value| value.as_f64().unwrap_or_default();
    match line["kind"].as_str().unwrap_or_default() {
        "known" => format!("new in the file at {} %", percent(&state["percent"])),
        "file" => format!("the file says {} %", percent(&state["file"]["percent"])),
        "percent" => format!("{} % asked for", percent(&data["percent"])),
        "phase" => format!("phase {} asked for", data["phase"].as_str().unwrap_or_default()),
        "rolled_back" => {
            let cause = data["cause"].as_str().unwrap_or_default();
            format!("rolled back to {} % ({cause})", percent(&data["to"]))
        }
        "verdict" => format!("verdict: {}", data["verdict"].as_str().unwrap_or_default()),
        "step" => format!("ramp: step {}", data["step"]),
        "shadow" if data["on"] == true => "shadow: on".to_owned(),
        "shadow" if data["off"] == "effect" => "shadow: OFF, since it harmed users".to_owned(),
        "shadow" => "shadow: off".to_owned(),
        "advanced" => "ramp: advanced".to_owned(),
        "paused" => "ramp: paused".to_owned(),
        "arrived" => "ramp: arrived".to_owned(),
        "undone" => format!("{} % asked for again", percent(&state["percent"])),
        "part_taken_back" => "rollback: the next part".to_owned(),
        "verified" if data["verified"] == true => {
            format!("rollback: verified after {} ms", percent(&data["to_target_us"]) / 1e3)
        }
        "verified" => "rollback: NOT verified".to_owned(),
        "drill_ended" if data["passed"] == true => "drill: went well".to_owned(),
        "drill_ended" => "drill: did NOT go well".to_owned(),
        "drill_interrupted" => "drill: interrupted".to_owned(),
        "drill_begun" => "drill: begun".to_owned(),
        "opened" => "calendar: open again".to_owned(),
        "renamed" => format!("renamed from {}", data["from"].as_str().unwrap_or_default()),
        "left" => "gone from the file".to_owned(),
        "returned" => "back in the file".to_owned(),
        other => other.replace('_', " "),
    }
}

/// The percent in force after it, and before it if it was another one.
fn in_force(line: &Value) -> String {
    let after = line["state"]["in_force"].as_f64().map(|percent| format!("{percent} %")).unwrap_or_default();
    match (line["data"]["in_force_before"].as_f64(), line["data"]["in_force"].as_f64()) {
        (Some(before), Some(now)) if before.to_bits() != now.to_bits() => format!("{before} % -> {now} %"),
        _ => after,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::table;

    #[test]
    fn a_line_each() {
        let lines = [
            json!({
                "seq": 9, "time": "2026-01-01T00:00:00.000000Z", "kind": "percent", "who": "alice",
                "data": { "percent": 25.0, "in_force_before": 5.0, "in_force": 25.0 }, "state": { "in_force": 25.0 }
            }),
            json!({
                "seq": 10, "time": "2026-01-01T01:00:00.000000Z", "kind": "rolled_back", "who": "bob", "reason": "errors",
                "data": { "to": 0.0, "cause": "person", "in_force_before": 25.0, "in_force": 0.0 },
                "state": { "in_force": 0.0 }
            }),
            json!({ "seq": 12, "time": "2026-01-01T02:00:00.000000Z", "kind": "left", "state": { "in_force": 0.0 } }),
        ];
        assert_eq!(
            table(&lines),
            "\
LINE  TIME                         WHAT                         IN FORCE     BY     REASON
9     2026-01-01T00:00:00.000000Z  25 % asked for               5 % -> 25 %  alice
10    2026-01-01T01:00:00.000000Z  rolled back to 0 % (person)  25 % -> 0 %  bob    errors
12    2026-01-01T02:00:00.000000Z  gone from the file           0 %
"
        );
    }
}
