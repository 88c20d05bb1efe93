//! Where old has what a path of new's form names.

use crate::path::{Query, Selector, push_name};

use super::{Change, Mapping, Part};

impl Mapping {
    /// `None` where it is in the same place, or where the path is none of names and wildcards.
    pub(in crate::json) fn origin(&self, path: &str) -> Option<String> {
        let query = Query::parse(path).ok()?;
        let mut parts = query
            .segments
            .into_iter()
            .map(|mut segment| match segment.selectors.pop() {
                Some(Selector::Name(name)) => Some(Part::Name(name)),
                Some(Selector::Wildcard) => Some(Part::Any),
                _ => None,
            })
            .collect::<Option<Vec<Part>>>()?;
        let before = parts.clone();
        for change in self.changes.iter().rev() {
            change.undo(&mut parts);
        }
        (parts != before).then(|| written(&parts))
    }
}

impl Change {
    fn undo(&self, path: &mut Vec<Part>) {
        let (at, away, back): (_, &[Box<str>], &[Box<str>]) = match self {
            Change::Move { at, from, to } => (at, to, from),
            Change::Wrap { at, names } => (at, names, &[]),
            Change::Unwrap { at, names } => (at, &[], names),
            Change::Rename { at, from, to } => {
                if is_inside(path, at) {
                    for part in &mut path[at.len()..] {
                        if let Part::Name(name) = part {
                            *name = to.rewrite(name, *from).into();
                        }
                    }
                }
                return;
            }
            Change::Drop(_) | Change::Values { .. } | Change::Convert { .. } => return,
        };
        let end = at.len() + away.len();
        let is_there = is_inside(path, at)
            && path.len() >= end
            && path[at.len()..end].iter().zip(away).all(|(part, name)| *part == Part::Name(name.clone()));
        if is_there {
            path.splice(at.len()..end, back.iter().cloned().map(Part::Name));
        }
    }
}

/// Whether a path leads to a place that `at` chooses, or into it.
fn is_inside(path: &[Part], at: &[Part]) -> bool {
    path.len() >= at.len() && path.iter().zip(at).all(|(part, wanted)| *wanted == Part::Any || part == wanted)
}

fn written(parts: &[Part]) -> String {
    let mut out = String::from("$");
    for part in parts {
        match part {
            Part::Name(name) => push_name(&mut out, name),
            Part::Any => out.push_str("[*]"),
        }
    }
    out
}
