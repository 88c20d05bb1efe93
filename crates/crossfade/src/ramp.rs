//! `ramp`: how far a ramp is, what comes when, and with which step a key moves.

use serde_json::Value;

use crate::api::{Api, CallError, encode};
use crate::cli::RampArgs;
use crate::output::{self, Exit};

pub(crate) fn ramp(args: &RampArgs) -> Exit {
    let shown = Api::find(&args.admin).and_then(|api| shown(&api, args));
    match shown {
        Ok(text) => {
            output::say(&text);
            Exit::Done
        }
        Err(error) => error.tell(),
    }
}

fn shown(api: &Api, args: &RampArgs) -> Result<String, CallError> {
    let base = format!("/api/v1/migrations/{}", encode(args.name.as_bytes()));
    let plan = api.get(&format!("{base}/ramp"))?;
    let mut keys = Vec::new();
    for key in &args.key {
        let place = api.get(&format!("{base}/where?key={}", encode(key.as_bytes())))?;
        keys.push((key.clone(), place));
    }
    if args.json {
        return Ok(format!("{plan:#}\n"));
    }
    let mut text = headline(&plan);
    if args.plan {
        text.push_str(&table(&plan));
        text.push_str(
            "Earliest: if nothing speaks against it and every word that is waited for is given at once.\n\
             Gate: requests that new needs in the step, at present traffic, if it is as good as old.\n",
        );
    }
    for (key, place) in keys {
        text.push_str(&format!("{key}: {}\n", moves_with(&plan, &place)));
    }
    Ok(text)
}

fn headline(plan: &Value) -> String {
    let steps = plan["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let step = plan["step"].as_u64().unwrap_or_default();
    let at = steps.iter().find(|one| one["step"].as_u64() == Some(step));
    let name = plan["migration"].as_str().unwrap_or_default();
    let waits_for = plan["waits_for"].as_str().unwrap_or_default();
    match at {
        Some(at) => format!("{name}: step {step} of {}, {} %: {waits_for}\n", steps.len(), at["percent"]),
        None => format!("{name}: before the first of {} steps: {waits_for}\n", steps.len()),
    }
}

fn table(plan: &Value) -> String {
    let head = ["STEP", "PERCENT", "EARLIEST", "HOLD", "GATE", "THEN", "KEYS WITH BUCKET"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for step in plan["steps"].as_array().into_iter().flatten() {
        let flag = |name: &str| step[name].as_bool().unwrap_or_default();
        let earliest = match step["earliest"].as_str() {
            _ if flag("entered") => "entered".to_owned(),
            Some(at) => at.replace('T', " "),
            None => "not within a year".to_owned(),
        };
        let mut then: Vec<&str> =
            step["hooks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        then.extend(flag("approve").then_some("approve"));
        then.extend(flag("drill").then_some("drill"));
        let [from, to] = [0, 1].map(|index| step["buckets"][index].as_f64().unwrap_or_default());
        rows.push(vec![
            step["step"].to_string(),
            format!("{} %", step["percent"].as_f64().unwrap_or_default()),
            earliest,
            seconds(step["hold_seconds"].as_f64().unwrap_or_default()),
            gate(step),
            then.join(", "),
            format!("{from} to {to} ({} % of them)", rounded((to - from) * 100.0)),
        ]);
    }
    output::table(&rows)
}

fn gate(step: &Value) -> String {
    let least = step["min_requests"].as_u64().unwrap_or_default();
    let requests = match step["gate_requests"].as_u64() {
        Some(requests) => format!("{} requests", requests.max(least)),
        None if least > 0 => format!("at least {least} requests"),
        None => return "not known yet".to_owned(),
    };
    match step["gate_seconds"].as_f64() {
        Some(time) => format!("{requests}, {}", seconds(time)),
        None => requests,
    }
}

/// With which step a key moves.
fn moves_with(plan: &Value, place: &Value) -> String {
    let Some(bucket) = place["bucket"].as_f64() else {
        return place["explanation"].as_str().unwrap_or_default().to_owned();
    };
    let steps = plan["steps"].as_array().into_iter().flatten();
    let mut with = steps.filter(|step| {
        let [from, to] = [0, 1].map(|index| step["buckets"][index].as_f64().unwrap_or_default());
        from <= bucket && bucket < to
    });
    match with.next() {
        Some(step) => format!("bucket {bucket:.8}, moves with step {} ({} %)", step["step"], step["percent"]),
        None => format!("bucket {bucket:.8}, moves with none of the steps"),
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// The two largest units that say it.
fn seconds(seconds: f64) -> String {
    let units = [("d", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)];
    let mut left = seconds.ceil();
    let mut parts = Vec::new();
    for (unit, size) in units {
        let count = (left / size).floor();
        if count >= 1.0 && parts.len() < 2 {
            parts.push(format!("{count} {unit}"));
        }
        left -= count * size;
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> Value {
        json!({
            "migration": "shop", "step": 1, "held": false, "waits_for": "the step is to be served for 2 h more",
            "steps": [
                { "step": 1, "percent": 5.0, "entered": true, "earliest": null, "hold_seconds": 86400.0,
                  "min_requests": 0, "gate_requests": 900, "gate_seconds": 90.5, "approve": true, "drill": true,
                  "hooks": [], "buckets": [0.0, 0.05] },
                { "step": 2, "percent": 25.0, "entered": false, "earliest": "2026-11-27T09:00:00+01:00",
                  "hold_seconds": 0.0, "min_requests": 1000, "gate_requests": null, "gate_seconds": null,
                  "approve": false, "drill": false, "hooks": ["confirm"], "buckets": [0.05, 0.25] },
            ]
        })
    }

    #[test]
    fn the_plan_says_what_comes_when() {
        assert_eq!(headline(&plan()), "shop: step 1 of 2, 5.0 %: the step is to be served for 2 h more\n");
        let table = table(&plan());
        assert!(table.contains("entered") && table.contains("2026-11-27 09:00:00+01:00"), "{table}");
        assert!(
            table.contains("900 requests, 1 min 31 s") && table.contains("at least 1000 requests"),
            "{table}"
        );
        assert!(table.contains("0.05 to 0.25 (20 % of them)"), "{table}");
    }

    #[test]
    fn a_key_moves_with_one_step_or_none() {
        let at = |bucket: f64| moves_with(&plan(), &json!({ "bucket": bucket }));
        assert_eq!(at(0.05), "bucket 0.05000000, moves with step 2 (25.0 %)");
        assert_eq!(at(0.7), "bucket 0.70000000, moves with none of the steps");
    }
}
