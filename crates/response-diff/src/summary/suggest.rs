//! Rules that what was found so far justifies, as TOML that a person can take over.
//!
//! A place that is noise gets the narrowest rule under which it would not have differed: times get a window, arrays whose
//! order varies are compared without it, numbers get a tolerance. Only where none of these fits is a place ignored, since
//! what is ignored can hide anything. Each rule has its evidence beside it.
//!
//! Where a place is noise in one way and differs for real in another (by value and by type, say), it is not ignored; that
//! is said in a comment; so it is where it is noise only as long as little differs at once ([`Level`]). What differs for
//! real, but always in a way that clients often do not mind (`1` and `1.0`, `null` and nothing, letter case, white space),
//! is proposed in comments, for a person to decide: it is no noise.
//!
//! A rule for a place that is noise at three endpoints or more, and at no endpoint differs for real, is suggested once for
//! all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::groups::GroupView;
use super::level::Level;
use super::likeness::Likenesses;
use super::noise::{Evidence, State};
use crate::{Kind, RuleSet};

/// At how many endpoints a place has to be noise to be so for all.
const COMMON: usize = 3;
/// Of how many differences a proposal is made that are no noise.
const LEAST_PROPOSED: u64 = 3;
/// Windows for times, in milliseconds and as configuration writes them.
const WINDOWS: [(u64, &str); 9] = [
    (1_000, "1s"),
    (2_000, "2s"),
    (5_000, "5s"),
    (10_000, "10s"),
    (30_000, "30s"),
    (60_000, "60s"),
    (300_000, "5m"),
    (900_000, "15m"),
    (3_600_000, "60m"),
];
/// Tolerances for numbers. What differs by more is not the same number any more.
const TOLERANCES: [(f64, &str); 4] =
    [(1e-9, "0.0000001%"), (1e-6, "0.0001%"), (1e-4, "0.01%"), (1e-3, "0.1%")];

/// What a place is treated by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// Whatever is there is left out.
    Ignore,
    /// An option of a rule and its value: `within`, `2s`.
    Rule(&'static str, &'static str),
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The endpoint's path as configuration writes it; `None` for all endpoints.
    pub endpoint: Option<String>,
    /// The place.
    pub path: String,
    /// What it is treated by.
    pub remedy: Remedy,
    /// Why, as sentences without line breaks.
    pub evidence: Vec<String>,
}

/// All rules that are suggested for one migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// By what is noise.
    pub noise: Vec<Suggestion>,
    /// What is no noise, for a person to decide.
    pub proposals: Vec<Suggestion>,
    /// What is noise and gets no rule, and why.
    pub without: Vec<String>,
}

/// One place of one template, with all its groups.
type Places<'g, 'v> = BTreeMap<(Option<String>, &'g str), Vec<&'v GroupView<'g>>>;

impl Suggestions {
    /// The rules that these groups ([`super::Groups::list`]) justify.
    #[must_use]
    pub fn of(groups: &[GroupView<'_>]) -> Suggestions {
        let mut places: Places<'_, '_> = BTreeMap::new();
        for group in groups {
            let template = group.endpoint.template().map(configured);
            places.entry((template, group.path)).or_default().push(group);
        }
        let mut all = Suggestions::default();
        for ((template, path), groups) in &places {
            all.add(template.as_ref(), path, groups);
        }
        all.join_common(&places);
        all.leave_out_what_is_inside();
        all
    }

    fn add(&mut self, template: Option<&String>, path: &str, groups: &[&GroupView<'_>]) {
        let (noise, real): (Vec<_>, Vec<_>) =
            groups.iter().copied().partition(|group| group.knowledge.is_noise());
        let mut remedies: BTreeMap<Remedy, Vec<String>> = BTreeMap::new();
        for group in &noise {
            remedies.entry(remedy(group.kind, &group.likenesses)).or_default().push(evidence(group));
        }
        if let Some(ignored) = remedies.get(&Remedy::Ignore).cloned() {
            let kinds: Vec<_> = real.iter().map(|group| group.kind.as_str()).collect();
            let obstacle = match (template, kinds.as_slice()) {
                _ if !is_ignorable(path) => Some(no_rule(path).to_owned()),
                (None, _) => Some("its endpoint has no path that a rule could name".to_owned()),
                (Some(_), []) => None,
                (Some(_), kinds) => {
                    Some(format!("it also differs by {}, and that is no noise", kinds.join(" and by ")))
                }
            };
            if let Some(obstacle) = obstacle {
                self.without.push(format!("{path}: {}; {obstacle}", ignored.join("; ")));
                remedies.remove(&Remedy::Ignore);
            } else {
                // It is left out whole, which no other rule adds to.
                let evidence = remedies.into_values().flatten().collect();
                remedies = BTreeMap::from([(Remedy::Ignore, evidence)]);
            }
        }
        let in_part = real.iter().filter(|group| group.knowledge.level > Level::FIRST);
        self.without.extend(in_part.map(|group| noise_in_part(group)));
        let Some(template) = template else { return };
        let suggestion = |(remedy, evidence): (Remedy, Vec<String>)| Suggestion {
            endpoint: Some(template.clone()),
            path: path.to_owned(),
            remedy,
            evidence,
        };
        let proposed = real.iter().filter(|group| group.count >= LEAST_PROPOSED && path.starts_with('$'));
        let mut proposals: BTreeMap<Remedy, Vec<String>> = BTreeMap::new();
        for group in proposed {
            // Where a rule is suggested for what is noise, it holds for this too.
            if let Some(remedy) = proposal(&group.likenesses).filter(|remedy| !remedies.contains_key(remedy))
            {
                proposals.entry(remedy).or_default().push(evidence(group));
            }
        }
        self.noise.extend(remedies.into_iter().map(suggestion));
        self.proposals.extend(proposals.into_iter().map(suggestion));
    }

    /// One rule for all endpoints where many have the same.
    fn join_common(&mut self, places: &Places<'_, '_>) {
        let mut endpoints: BTreeMap<(String, Remedy), BTreeSet<String>> = BTreeMap::new();
        for one in &self.noise {
            let key = (one.path.clone(), one.remedy.clone());
            endpoints.entry(key).or_default().extend(one.endpoint.clone());
        }
        let differs_for_real = |path: &str| {
            let groups =
                places.iter().filter(|((_, other), _)| *other == path).flat_map(|(_, groups)| groups);
            groups.into_iter().any(|group| !group.knowledge.is_noise())
        };
        endpoints.retain(|(path, _), endpoints| endpoints.len() >= COMMON && !differs_for_real(path));
        let common = endpoints.into_iter().map(|((path, remedy), endpoints)| Suggestion {
            endpoint: None,
            path,
            remedy,
            evidence: vec![format!("noise at {} endpoints: {}", endpoints.len(), listed(&endpoints))],
        });
        let common: Vec<_> = common.collect();
        self.noise.retain(|one| !common.iter().any(|all| all.path == one.path && all.remedy == one.remedy));
        self.noise.splice(..0, common);
    }

    /// A rule for something inside what is left out adds nothing.
    fn leave_out_what_is_inside(&mut self) {
        let ignored: Vec<_> = self.noise.iter().filter(|one| one.remedy == Remedy::Ignore).cloned().collect();
        let is_inside = |one: &Suggestion| {
            ignored.iter().any(|outer| {
                let inside = one.path.strip_prefix(outer.path.as_str());
                let is_same_endpoint = outer.endpoint.is_none() || outer.endpoint == one.endpoint;
                is_same_endpoint && inside.is_some_and(|rest| rest.starts_with(['.', '[']))
            })
        };
        self.noise.retain(|one| !is_inside(one));
        self.proposals.retain(|one| !is_inside(one));
    }

    /// The rules as TOML, for the migration of this name. It is valid configuration as it is; what is for endpoints that
    /// have rules of their own `already` is in comments, since a second table for them would be refused.
    #[must_use]
    pub fn toml(&self, migration: &str, already: &RuleSet) -> String {
        let mut out = String::new();
        if self.noise.is_empty() {
            out.push_str("# No rules are suggested: nothing is known to be noise that a rule could tell.\n");
        } else {
            out.push_str("# Old differs from itself in these places as often as from new. Add this to what the file has.\n");
        }
        let key = toml_key(migration);
        let (common, own): (Vec<_>, Vec<_>) = self.noise.iter().partition(|one| one.endpoint.is_none());
        let ignored = |of: &[&Suggestion]| of.iter().any(|one| one.remedy == Remedy::Ignore);
        if ignored(&common) {
            let _ = write!(out, "\n[migration.{key}.shadow]\n{}", ignore_list(&common));
        }
        if common.iter().any(|one| one.remedy != Remedy::Ignore) {
            let _ = write!(out, "\n[migration.{key}.compare]\n{}", rule_list(&common));
        }
        out.push_str(&tables(&key, &own, already));
        for without in &self.without {
            let _ = write!(out, "\n# Noise without a rule: {}\n", comment(without));
        }
        if !self.proposals.is_empty() {
            out.push_str("\n# Not noise: new differs, always in this way. If no client minds, these rules make it the same:\n");
            let proposals: Vec<_> = self.proposals.iter().collect();
            for line in tables(&key, &proposals, already).trim_start().lines() {
                let _ = writeln!(out, "#{}{line}", if line.is_empty() { "" } else { " " });
            }
        }
        out
    }
}

/// A table for each endpoint.
fn tables(key: &str, suggestions: &[&Suggestion], already: &RuleSet) -> String {
    let mut endpoints: BTreeMap<&str, Vec<&Suggestion>> = BTreeMap::new();
    for one in suggestions {
        endpoints.entry(one.endpoint.as_deref().unwrap_or_default()).or_default().push(one);
    }
    endpoints.iter().fold(String::new(), |mut out, (path, own)| {
        let rules = ignore_list(own) + &rule_list(own);
        if already.has_table_for(path) {
            let _ = writeln!(out, "\n# To be added to the table that the file has for {}:", toml_text(path));
            out + &rules.lines().map(|line| format!("# {line}\n")).collect::<String>()
        } else {
            let _ = write!(out, "\n[[migration.{key}.compare.endpoint]]\npath = {}\n", toml_text(path));
            out + &rules
        }
    })
}

fn ignore_list(suggestions: &[&Suggestion]) -> String {
    let ignored = suggestions.iter().filter(|one| one.remedy == Remedy::Ignore);
    list("ignore", ignored.map(|one| (&one.evidence, toml_text(&one.path))))
}

fn rule_list(suggestions: &[&Suggestion]) -> String {
    list(
        "rules",
        suggestions.iter().filter_map(|one| match &one.remedy {
            Remedy::Ignore => None,
            Remedy::Rule(option, value) => {
                let path = toml_text(&one.path);
                Some((&one.evidence, format!("{{ path = {path}, {option} = {} }}", toml_text(value))))
            }
        }),
    )
}

fn list<'s>(name: &str, entries: impl Iterator<Item = (&'s Vec<String>, String)>) -> String {
    let mut out = String::new();
    for (evidence, entry) in entries {
        for line in evidence {
            let _ = writeln!(out, "  # {}", comment(line));
        }
        let _ = writeln!(out, "  {entry},");
    }
    if out.is_empty() { out } else { format!("{name} = [\n{out}]\n") }
}

/// The narrowest treatment under which a noise would not have been a difference.
fn remedy(kind: Kind, likenesses: &Likenesses) -> Remedy {
    let total = likenesses.total();
    if kind == Kind::Order {
        return Remedy::Rule("order", "ignore");
    }
    if total == 0 {
        return Remedy::Ignore;
    }
    let window = WINDOWS.iter().find(|(ms, _)| *ms >= likenesses.most_apart_ms.saturating_mul(2));
    let tolerance = TOLERANCES.iter().find(|(share, _)| *share >= likenesses.most_relative * 2.0);
    match (window, tolerance) {
        (Some((_, window)), _) if likenesses.times == total => Remedy::Rule("within", window),
        (_, Some((_, tolerance)))
            if likenesses.numbers > 0 && likenesses.numbers + likenesses.forms == total =>
        {
            Remedy::Rule("relative", tolerance)
        }
        _ => proposal(likenesses).unwrap_or(Remedy::Ignore),
    }
}

/// What makes all the differences none, without hiding a value.
fn proposal(likenesses: &Likenesses) -> Option<Remedy> {
    let total = likenesses.total();
    let options = [
        (likenesses.forms, Remedy::Rule("form", "loose")),
        (likenesses.nulls, Remedy::Rule("null", "absent")),
        (likenesses.cases, Remedy::Rule("case", "ignore")),
        (likenesses.spaces, Remedy::Rule("whitespace", "ignore")),
    ];
    options.into_iter().find(|(count, _)| total > 0 && *count == total).map(|(_, remedy)| remedy)
}

fn is_ignorable(path: &str) -> bool {
    path.len() > 1 && path.starts_with('$') || path.starts_with("header:") || path.starts_with("trailer:")
}

fn no_rule(path: &str) -> &'static str {
    if path == "body" {
        "no rule can leave it out, but where it is text, one can mask what varies, with REGEX for that: \
         rules = [{ path = \"body\", mask = \"REGEX\" }]"
    } else {
        "no rule can leave it out"
    }
}

/// What old does too, but not so much of it at once.
fn noise_in_part(group: &GroupView<'_>) -> String {
    let Evidence { old_pairs, old_differ, new_pairs, new_differ } = group.knowledge.evidence;
    let GroupView { path, endpoint, kind, reaching, count, .. } = group;
    let much = group.knowledge.level.at_least();
    let mut text = format!(
        "{path}: {endpoint} {kind}: noise where less than {much} differs at once, and in {reaching} of {count} it is \
         {much} or more, as old from itself in {old_differ} of {old_pairs} and from new in {new_differ} of {new_pairs}; \
         "
    );
    text += match group.knowledge.state {
        State::Real => "a rule would hide that",
        State::Unknown { .. } | State::Noise { .. } => "whether that is noise too is not known yet",
    };
    text
}

fn evidence(group: &GroupView<'_>) -> String {
    let Evidence { old_pairs, old_differ, new_pairs, new_differ } = group.knowledge.evidence;
    let mut text = format!("{} {}", group.endpoint, group.kind);
    if let State::Noise { confidence } = group.knowledge.state {
        // Rounded down, so that it does not promise too much.
        let percent = (confidence * 1e4).floor() / 1e2;
        let _ = write!(
            text,
            ": old differs from itself in {old_differ} of {old_pairs}, from new in {new_differ} of {new_pairs} \
             (noise, {percent} % sure)"
        );
    } else {
        let _ = write!(text, ": in {} of {} comparisons", group.count, group.comparisons);
        if old_pairs > 0 {
            let _ = write!(text, ", old from itself in {old_differ} of {old_pairs}");
        }
    }
    let alike = &group.likenesses;
    if alike.times > 0 && alike.times == alike.total() {
        let _ = write!(text, "; times, at most {} ms apart", alike.most_apart_ms);
    }
    text
}

fn listed(endpoints: &BTreeSet<String>) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = endpoints.iter().take(SHOWN).map(String::as_str).collect();
    let more = if endpoints.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// An endpoint's template as configuration can write it: `{id}.json` is any one segment there.
fn configured(template: &str) -> String {
    let segment = |segment: &str| {
        if segment.contains('{') && !is_param(segment) { "{id}".into() } else { segment.to_owned() }
    };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn is_param(segment: &str) -> bool {
    let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
    name.is_some_and(|name| !name.is_empty() && !name.contains(['{', '}']))
}

fn toml_key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_bare { name.to_owned() } else { toml_text(name) }
}

/// A basic string (TOML 1.0). Configuration reads `${NAME}` as a variable of the environment, and `$${` as `${`.
fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.replace("${", "$${").chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A comment has no line breaks and no other control characters.
fn comment(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
