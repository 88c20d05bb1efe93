//! `compare`: two saved answers held against each other, by the rules that the shadow would go by.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use response_diff::{Comparison, Difference, Limits, NotCompared, RuleSet, SavedAnswer, compare};
use route_plan::normalise_path;
use serde_json::{Value, json};

use crate::api::CallError;
use crate::cli::CompareArgs;
use crate::differences;
use crate::output::{self, Exit};
use crate::place;

/// How large a saved answer may be, coded and decoded.
const MOST_BYTES: usize = 64 << 20;

pub(crate) fn run(args: &CompareArgs) -> Exit {
    match rules(args).and_then(|(rules, limits)| outcome(args, &rules, &limits)) {
        Ok(exit) => exit,
        Err(error) => error.tell(),
    }
}

/// Those of the migration, or those that compare all of an answer.
fn rules(args: &CompareArgs) -> Result<(RuleSet, Limits), CallError> {
    let (Some(config), Some(name)) = (&args.config, &args.migration) else {
        return Ok((RuleSet::default(), Limits { decoded_bytes: MOST_BYTES, ..Limits::default() }));
    };
    let loaded = place::load(config)?;
    let migration = loaded
        .checked
        .migration(name)
        .ok_or_else(|| CallError::Usage(format!("there is no migration `{name}` in {}", config.display())))?;
    Ok((migration.compare.rules.clone(), migration.compare.limits))
}

fn outcome(args: &CompareArgs, rules: &RuleSet, limits: &Limits) -> Result<Exit, CallError> {
    if [&args.old, &args.new].iter().all(|path| is_standard_input(path)) {
        return Err(CallError::Usage("only one of the two answers can be standard input".to_owned()));
    }
    let path = path(&args.path)?;
    let mut old = SavedAnswer::parse(&read(&args.old)?, limits.decoded_bytes);
    let mut new = SavedAnswer::parse(&read(&args.new)?, limits.decoded_bytes);
    // Beside a whole answer, a body alone says nothing of status and fields.
    match (old.has_head(), new.has_head()) {
        (true, false) => new.take_head_of(&old),
        (false, true) => old.take_head_of(&new),
        _ => {}
    }
    let comparison = compare(&old.answer(), &new.answer(), rules.for_path(&path), limits);
    if args.json {
        output::say_line(&format!("{:#}", to_json(&comparison)));
    } else {
        let style = differences::Style::of(&io::stdout());
        output::say(&in_words(&comparison, limits, &style));
    }
    Ok(if comparison == Comparison::Match { Exit::Done } else { Exit::Failed })
}

/// The path as the proxy would match and forward it.
fn path(given: &str) -> Result<String, CallError> {
    let path = given.split(['?', '#']).next().unwrap_or_default();
    match normalise_path(path.as_bytes()) {
        Ok(path) => Ok(String::from_utf8_lossy(&path).into_owned()),
        Err(error) => Err(CallError::Usage(format!("--path {given} is no path of a request: {error}"))),
    }
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn read(path: &Path) -> Result<Vec<u8>, CallError> {
    let cannot = |error: &dyn std::fmt::Display| {
        CallError::Usage(format!("{} cannot be read: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    // One byte more shows that there is more.
    let most = MOST_BYTES as u64 + 1;
    let read = if is_standard_input(path) {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| cannot(&error))?;
    if bytes.len() > MOST_BYTES {
        return Err(cannot(&format!("it has more than {} MiB", MOST_BYTES >> 20)));
    }
    Ok(bytes)
}

fn to_json(comparison: &Comparison) -> Value {
    match comparison {
        Comparison::Match => json!({ "result": "match", "differences": [] }),
        Comparison::Mismatch(list) => {
            let list: Vec<Value> = list.iter().map(difference_json).collect();
            json!({ "result": "mismatch", "differences": list })
        }
        Comparison::NotCompared(why) => {
            json!({ "result": "not_compared", "reason": why.as_str(), "differences": [] })
        }
    }
}

fn difference_json(difference: &Difference) -> Value {
    let Difference { path, at, kind, old, new, .. } = difference;
    let mut object = json!({ "path": path, "kind": kind.as_str(), "at": at });
    for (name, value) in [("old", old), ("new", new)] {
        if let Some(value) = value {
            object[name] = json!(value);
        }
    }
    object
}

fn in_words(comparison: &Comparison, limits: &Limits, style: &differences::Style) -> String {
    match comparison {
        Comparison::Match => format!("{}: nothing differs that counts\n", style.good("match")),
        Comparison::NotCompared(why) => {
            format!("{} ({why}): {}\n", style.doubtful("not compared"), sentence(*why, limits))
        }
        Comparison::Mismatch(list) => {
            let count = match list.len() {
                1 => "1 difference".to_owned(),
                many if many >= limits.differences => format!("{many} differences or more"),
                many => format!("{many} differences"),
            };
            format!("{}: {count}\n\n{}", style.bad("mismatch"), differences::list(list, style))
        }
    }
}

/// What the reason means for whoever reads it.
fn sentence(why: NotCompared, limits: &Limits) -> String {
    match why {
        NotCompared::Incomplete => {
            "a body did not come to its end: it is shorter than its Content-Length".to_owned()
        }
        NotCompared::CaptureLimit => {
            "of a body, only length and hash were kept, which cannot tell".to_owned()
        }
        NotCompared::Encoding => {
            "a body has a Content-Encoding that is not known or that it does not fulfil".to_owned()
        }
        NotCompared::DecodedSize => {
            format!("a body decodes to more than the limit of {} bytes", limits.decoded_bytes)
        }
        NotCompared::Depth => format!("a body nests deeper than the limit of {}", limits.depth),
        NotCompared::Nodes => format!("a body has more values than the limit of {}", limits.nodes),
        NotCompared::Work => format!("it takes more steps than the limit of {}", limits.work),
    }
}
