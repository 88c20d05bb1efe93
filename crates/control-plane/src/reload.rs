//! What a new file means for what runs: the intents after it, whether it may be applied, and what of it cannot be.

use std::collections::BTreeMap;

use config_file::{AccessLog, Checked, MigrationConfig};
use jiff::Timestamp;
use ramp::reshuffle::{Dealing, Reshuffle, judge, predecessor};
use ramp::{Event, Intent, Terms, Written, apply};
use traffic_split::Percent;

use crate::book::Book;
use crate::change;

/// The intents of all migrations, by name.
pub(crate) type Intents = BTreeMap<String, Intent>;

/// What a file comes to.
#[derive(Debug)]
pub(crate) struct Outlook {
    /// The intents after it.
    pub(crate) intents: Intents,
    /// What it changes, as sentences.
    pub(crate) sentences: Vec<String>,
    /// Why it must not be applied: it would deal users out anew by accident.
    pub(crate) reshuffle: Option<Reshuffle>,
    /// The running migrations that go on under another name: now and before.
    pub(crate) renamed: Vec<(String, String)>,
    /// The running migrations that neither stay nor go on under another name.
    pub(crate) gone: Vec<Dealing>,
}

/// The intents of the first file: it is the intent.
pub(crate) fn first(file: &Checked) -> Intents {
    let first = |migration: &MigrationConfig| {
        (migration.name.clone(), Intent::first(written(migration), &migration.policy))
    };
    file.migrations.iter().map(first).collect()
}

/// What a new file comes to. A migration goes on with the intents that it has, also under another name and also
/// when it was gone from the file for a while; what was never known begins with what the file says.
pub(crate) fn read_file(book: &Book, file: &Checked, now: Timestamp) -> Outlook {
    let before = book.dealings();
    let mut after = dealings(file);
    let names = after.clone();
    let mut outlook = Outlook {
        intents: Intents::new(),
        sentences: Vec::new(),
        reshuffle: None,
        renamed: Vec::new(),
        gone: Vec::new(),
    };
    for (migration, dealing) in file.migrations.iter().zip(&mut after) {
        let name = &migration.name;
        let terms = Terms { policy: &migration.policy, now, force: false };
        let predecessor = predecessor(&before, &names, dealing);
        let returned = || book.departed.get(name).map(|one| (&one.dealing, &one.intent));
        // Its own past goes before that of one that merely resembles it.
        let known = predecessor.and_then(|was| Some((was, book.intents.get(&was.name)?)));
        let known = match known {
            Some((was, _)) if was.name != *name => returned().or(known),
            known => known.or_else(returned),
        };
        let intent = match known {
            Some((was, intent)) => {
                // A file is never refused for what it says of intent; if it were, nothing would change.
                let (intent, effects) = apply(intent, &Event::FileRead(written(migration)), &terms)
                    .unwrap_or((intent.clone(), Vec::new()));
                dealing.in_force = intent.standing().in_force();
                outlook.sentences.extend(continues(was, dealing, &before));
                outlook.sentences.extend(change::sentences(name, &effects, change::THE_FILE));
                if outlook.reshuffle.is_none() && !migration.reshuffle {
                    outlook.reshuffle = judge(was, dealing);
                }
                if was.name != *name {
                    outlook.renamed.push((name.clone(), was.name.clone()));
                }
                intent
            }
            None => {
                let intent = Intent::first(written(migration), &migration.policy);
                outlook.sentences.push(begins(name, &intent));
                intent
            }
        };
        outlook.intents.insert(name.clone(), intent);
    }
    for was in before {
        let is_renamed = outlook.renamed.iter().any(|(_, before)| *before == was.name);
        if !is_renamed && !outlook.intents.contains_key(&was.name) {
            outlook.sentences.push(format!("{}: the migration is gone from the file", was.name));
            outlook.gone.push(was);
        }
    }
    outlook
}

fn begins(name: &str, intent: &Intent) -> String {
    let standing = intent.standing();
    let (phase, in_force) = (standing.phase, standing.in_force());
    format!("{name}: new migration in phase {phase}, {in_force} % of the users get new")
}

/// Says that a migration goes on where `was` stood, if that is not plain.
fn continues(was: &Dealing, now: &Dealing, running: &[Dealing]) -> Option<String> {
    let (name, in_force) = (&now.name, now.in_force);
    if was.name != *name {
        Some(format!("{name}: continues {}, {in_force} % of the users get new", was.name))
    } else if running.iter().all(|one| one.name != *name) {
        Some(format!(
            "{name}: the migration is back and goes on where it was, {in_force} % of the users get new"
        ))
    } else {
        None
    }
}

/// What a file says of a migration's intent.
pub(crate) fn written(migration: &MigrationConfig) -> Written {
    let ramp = migration.policy.steps.iter().map(|step| step.percent).collect();
    Written { percent: migration.percent, phase: migration.phase, attempt: migration.attempt, ramp }
}

/// How a file deals out the users of its migrations; its percent in force is not known from the file.
pub(crate) fn dealings(checked: &Checked) -> Vec<Dealing> {
    let upstream =
        |index: usize| checked.upstreams.get(index).map_or_else(String::new, |one| one.name.clone());
    let mut trusted: Vec<_> = checked.trusted_proxies.iter().map(ToString::to_string).collect();
    trusted.sort();
    let dealing = |migration: &MigrationConfig| Dealing {
        name: migration.name.clone(),
        upstreams: (upstream(migration.old), upstream(migration.new)),
        salt: migration.salt.as_bytes().to_vec(),
        keys: migration.keys(),
        assigned_cookie: migration.assign_cookie.as_ref().map(|cookie| cookie.name.clone()),
        trusted_proxies: trusted.clone(),
        in_force: Percent::ZERO,
    };
    checked.migrations.iter().map(dealing).collect()
}

/// What the file says and only a restart brings about, a line each. `first` is the file that the process started
/// with, `workers` how many workers that came to.
pub(crate) fn needs_restart(first: &Checked, workers: usize, file: &Checked) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |key: &str, running: String, wanted: String| {
        if running != wanted {
            lines.push(format!("{key}: running {running}, file says {wanted}"));
        }
    };
    let wanted_workers = match file.workers {
        0 if first.workers == 0 => workers.to_string(),
        0 => "one for each core".to_owned(),
        count => count.to_string(),
    };
    let text = |value: Option<&String>| value.map_or("none".to_owned(), |text| format!("\"{text}\""));
    line("proxy.workers", workers.to_string(), wanted_workers);
    line("proxy.access_log", access_log(first), access_log(file));
    line("admin.listen", first.admin.listen.to_string(), file.admin.listen.to_string());
    line("admin.token_file", text(first.admin.token_file.as_ref()), text(file.admin.token_file.as_ref()));
    if first.admin.token_file == file.admin.token_file && first.admin.token != file.admin.token {
        line("admin.token_file", "with the token it held at the start".to_owned(), "another one".to_owned());
    }
    let probe = |checked: &Checked| {
        checked.admin.probe_listen.map_or("none".to_owned(), |address| address.to_string())
    };
    line("admin.probe_listen", probe(first), probe(file));
    line("state.dir", text(first.state_dir.as_ref()), text(file.state_dir.as_ref()));
    line("log.level", first.log.level.as_str().to_owned(), file.log.level.as_str().to_owned());
    line("log.format", format!("{:?}", first.log.format), format!("{:?}", file.log.format));
    lines
}

fn access_log(checked: &Checked) -> String {
    match &checked.access_log {
        None => "none".to_owned(),
        Some(AccessLog::Stdout) => "stdout".to_owned(),
        Some(AccessLog::File(path)) => format!("\"{path}\""),
    }
}

#[cfg(test)]
mod tests;
