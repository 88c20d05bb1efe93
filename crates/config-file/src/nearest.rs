//! The valid name that somebody most likely meant.

/// The candidate nearest to `name`, if one is near enough to be a slip of the keyboard.
///
/// Upper case, `-` and `_` and a plural `s` count as nothing; otherwise about one slip in three letters is allowed.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(name);
    let allowed = (wanted.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (slips(&wanted, &plain(candidate)), candidate))
        .filter(|(slips, candidate)| *slips <= allowed && *slips < candidate.chars().count())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// The nearest name as a question, or all of them when none is near and they are few.
pub(crate) fn suggest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
    kind: &str,
) -> Option<String> {
    if let Some(found) = nearest(name, candidates.clone()) {
        return Some(format!("did you mean `{found}`?"));
    }
    let all: Vec<String> = candidates.take(MANY).map(|candidate| format!("`{candidate}`")).collect();
    match all.len() {
        0 | MANY => None,
        1 => Some(format!("the only {kind} is {}", all.join(""))),
        _ => Some(format!("the {kind}s are {}", all.join(", "))),
    }
}

/// Choices as prose: `a`, `b` or `c`.
pub(crate) fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// So many names are no help any more.
const MANY: usize = 30;

/// How many keys were hit wrong. A word that goes on after the right one, or stops before its end, is one slip.
fn slips(wanted: &str, candidate: &str) -> usize {
    let shorter = wanted.len().min(candidate.len());
    if shorter >= 3 && (wanted.starts_with(candidate) || candidate.starts_with(wanted)) && wanted != candidate
    {
        return 1;
    }
    strsim::damerau_levenshtein(wanted, candidate)
}

fn plain(name: &str) -> String {
    let lower: String = name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect();
    match lower.strip_suffix('s') {
        Some(singular) if !singular.is_empty() => singular.to_owned(),
        _ => lower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let names = ["percent", "phase", "old", "new", "assign_cookie", "listener"];
        for (wrong, right) in [
            ("percnt", Some("percent")),
            ("Percent", Some("percent")),
            ("assign-cookie", Some("assign_cookie")),
            ("listeners", Some("listener")),
            ("nwe", Some("new")),
            ("percentage", Some("percent")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, names), right, "{wrong}");
        }
    }

    #[test]
    fn lists_are_prose() {
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
