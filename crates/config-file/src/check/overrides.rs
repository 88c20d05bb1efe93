//! Keys that always go to one arm.

use std::collections::HashMap;

use traffic_split::{Arm, Overrides};

use crate::Files;
use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::written::{Said, Table};

/// So many contradictions of one migration are shown; the rest are counted.
const SHOWN: usize = 5;

pub(super) fn overrides(table: &Table, files: &dyn Files, sink: &mut Sink) -> Overrides {
    let mut overrides = Overrides::default();
    let mut first: HashMap<String, (Arm, Spot)> = HashMap::new();
    let mut contradictions = 0;
    for arm in Arm::ALL {
        for said in keys_of(table, arm, files, sink) {
            match first.get(&said.value) {
                Some((earlier, spot)) if *earlier != arm => {
                    contradictions += 1;
                    if contradictions <= SHOWN {
                        let message = format!("the key `{}` cannot go to both arms", said.value);
                        let diagnostic = Diagnostic::error("override-conflict", &said.spot, message);
                        sink.push(
                            diagnostic
                                .expected("each key in one list")
                                .label(spot.span.clone(), "also listed here"),
                        );
                    }
                }
                Some(_) => {}
                None => {
                    first.insert(said.value.clone(), (arm, said.spot));
                    let keys = match arm {
                        Arm::Old => &mut overrides.old,
                        Arm::New => &mut overrides.new,
                    };
                    keys.insert(said.value.into_bytes().into_boxed_slice());
                }
            }
        }
    }
    if contradictions > SHOWN {
        let message = format!("{} more keys are in both lists", contradictions - SHOWN);
        sink.push(Diagnostic::error("override-conflict", &table.spot, message));
    }
    overrides
}

/// The keys of one arm: those in the file itself, then those of the file it names.
fn keys_of(table: &Table, arm: Arm, files: &dyn Files, sink: &mut Sink) -> Vec<Said<String>> {
    let (list, file) = match arm {
        Arm::Old => ("old", "old_file"),
        Arm::New => ("new", "new_file"),
    };
    let mut keys: Vec<Said<String>> =
        table.texts(list).into_iter().map(|said| Said::new(said.value.to_owned(), said.spot)).collect();
    let Some(path) = table.text(file) else { return keys };
    match files.read(path.value) {
        Ok(text) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            keys.extend(lines.map(|line| Said::new(line.to_owned(), path.spot.clone())));
        }
        Err(reason) => {
            let message = format!("the file `{}` cannot be read: {reason}", path.value);
            sink.push(
                Diagnostic::error("unreadable-file", &path.spot, message)
                    .expected("a file with one key a line"),
            );
        }
    }
    keys
}
