//! Which migrations wait for which.

use std::collections::{HashMap, VecDeque};

use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::nearest::suggest;
use crate::written::{Said, Table};

/// A longer circle is not told in full.
const TOLD: usize = 4;

/// The migrations that this one waits for, each once.
pub(super) fn after(name: &Said<String>, table: &Table, root: &Table, sink: &mut Sink) -> Vec<String> {
    let mut after: Vec<String> = Vec::new();
    for said in table.texts("after") {
        let others = || root.named("migration").iter().map(|(other, _)| other.value.as_str());
        if said.value == name.value {
            let message = format!("`{}` would wait for itself, for ever", said.value);
            let diagnostic = Diagnostic::error("after-itself", &said.spot, message);
            sink.push(diagnostic.expected("the name of another migration"));
        } else if !others().any(|other| other == said.value) {
            let message = format!("no migration is called `{}`", said.value);
            let diagnostic = Diagnostic::error("unknown-migration", &said.spot, message);
            let candidates = others().filter(|other| *other != name.value);
            let help = suggest(said.value, candidates, "other migration");
            sink.push(diagnostic.expected("the name of another migration").maybe_help(help));
        } else if !after.iter().any(|earlier| earlier == said.value) {
            after.push(said.value.to_owned());
        }
    }
    after
}

/// One migration's word that it waits for another one, both by their place in the file.
struct Wait {
    by: usize,
    on: usize,
    spot: Spot,
}

/// Reports migrations that wait for one another, so that none of them ever begins.
pub(super) fn circles(root: &Table, sink: &mut Sink) {
    let migrations = root.named("migration");
    let places: HashMap<&str, usize> =
        migrations.iter().enumerate().map(|(place, (name, _))| (name.value.as_str(), place)).collect();
    let waits: Vec<Vec<Wait>> = migrations
        .iter()
        .enumerate()
        .map(|(by, (_, table))| {
            let wait = |said: Said<&str>| Some(Wait { by, on: *places.get(said.value)?, spot: said.spot });
            table.texts("after").into_iter().filter_map(wait).filter(|wait| wait.on != by).collect()
        })
        .collect();
    let name = |place: usize| migrations.get(place).map_or("", |(name, _)| name.value.as_str());
    for first in 0..migrations.len() {
        let circle = circle(first, &waits);
        let Some((begin, others)) = circle.split_first() else { continue };
        let message = if circle.len() <= TOLD {
            let rest: String =
                others.iter().map(|wait| format!(", `{}` for `{}`", name(wait.by), name(wait.on))).collect();
            format!("`{}` waits for `{}`{rest}: none of them ever begins", name(begin.by), name(begin.on))
        } else {
            let count = others.len();
            format!("`{}` waits for itself by way of {count} others: none of them ever begins", name(first))
        };
        let mut diagnostic = Diagnostic::error("after-in-a-circle", &begin.spot, message)
            .expected("a migration that does not wait for this one")
            .help("take one of these out of its `after`");
        for wait in others {
            let words = format!("`{}` waits for `{}`", name(wait.by), name(wait.on));
            diagnostic = diagnostic.label(wait.spot.span.clone(), words);
        }
        sink.push(diagnostic);
    }
}

/// The shortest way from a migration back to it by way of those behind it in the file; empty: there is none. So each
/// circle is found from its first migration alone.
fn circle(first: usize, waits: &[Vec<Wait>]) -> Vec<&Wait> {
    let mut reached: HashMap<usize, &Wait> = HashMap::new();
    let mut next = VecDeque::from([first]);
    while let Some(place) = next.pop_front() {
        for wait in waits.get(place).into_iter().flatten() {
            if wait.on == first {
                let mut way = vec![wait];
                let mut at = wait.by;
                while let Some(before) = reached.get(&at) {
                    way.push(before);
                    at = before.by;
                }
                way.reverse();
                return way;
            }
            if wait.on > first && !reached.contains_key(&wait.on) {
                reached.insert(wait.on, wait);
                next.push_back(wait.on);
            }
        }
    }
    Vec::new()
}
