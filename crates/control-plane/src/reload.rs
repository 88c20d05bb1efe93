//! What a new file means for what runs: the intents after it, whether it may be applied, and what of it cannot be.

use std::collections::BTreeMap;

use config_file::{AccessLog, Checked, MigrationConfig};
use ramp::reshuffle::{Dealing, Reshuffle, judge};
use ramp::{Event, Intent, Written, apply};
use traffic_split::Percent;

use crate::change;

/// The intents of all migrations, by name.
pub(crate) type Intents = BTreeMap<String, Intent>;

/// The intents after reading a file, and what that changes, as sentences. A migration that was not known begins with
/// what the file says; one that is gone is forgotten.
pub(crate) fn read_file(before: &Intents, file: &Checked) -> (Intents, Vec<String>) {
    let mut sentences = Vec::new();
    let mut after = Intents::new();
    for migration in &file.migrations {
        let written = written(migration);
        let intent = match before.get(&migration.name) {
            Some(intent) => {
                let (intent, effects) = apply(intent, &Event::FileRead(written));
                sentences.extend(change::sentences(&migration.name, &effects, change::THE_FILE));
                intent
            }
            None => {
                let intent = Intent::first(written);
                let standing = intent.standing();
                sentences.push(format!(
                    "{}: new migration in phase {}, {} % of the users get new",
                    migration.name,
                    standing.phase,
                    standing.in_force()
                ));
                intent
            }
        };
        after.insert(migration.name.clone(), intent);
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    sentences.extend(gone.map(|name| format!("{name}: the migration is gone from the file")));
    (after, sentences)
}

/// What a file says of a migration's intent.
pub(crate) fn written(migration: &MigrationConfig) -> Written {
    Written { percent: migration.percent, phase: migration.phase, attempt: migration.attempt }
}

/// Whether the file would deal users out anew by accident.
pub(crate) fn reshuffle(running: (&Checked, &Intents), file: (&Checked, &Intents)) -> Option<Reshuffle> {
    let may = |name: &str| file.0.migration(name).is_some_and(|migration| migration.reshuffle);
    judge(&dealings(running.0, running.1), &dealings(file.0, file.1), &may)
}

fn dealings<'a>(checked: &'a Checked, intents: &Intents) -> Vec<Dealing<'a>> {
    let upstream = |index: usize| checked.upstreams.get(index).map_or("", |upstream| upstream.name.as_str());
    let dealing = |migration: &'a MigrationConfig| Dealing {
        name: &migration.name,
        upstreams: (upstream(migration.old), upstream(migration.new)),
        salt: migration.salt.as_bytes(),
        keys: migration.keys(),
        in_force: intents.get(&migration.name).map_or(Percent::ZERO, |intent| intent.standing().in_force()),
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
