//! Many queries at once, walked along with a document.
//!
//! Queries of names and wildcards are one automaton, built when the rules are read: a step costs a look into a short
//! sorted list, and where no query can match any more, a step costs nothing. Queries with indexes, slices and filters
//! are followed one by one.

use std::collections::BTreeMap;
use std::fmt;

use crate::json::{Json, Value};
use crate::limits::Work;
use crate::{Limits, NotCompared};

use super::{PathError, Query, Segment, Selector, Step};

/// States of the automaton. Queries that would make more are followed one by one.
const MOST_STATES: usize = 4096;

/// Queries, each known by its number in the list that they were made from.
#[derive(Clone, Debug)]
pub struct PathSet {
    queries: Vec<Query>,
    states: Vec<State>,
    start: Place,
}

/// Why a list of texts is not a list of queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSetError {
    /// The number of the text in the list, from 0.
    pub entry: usize,
    /// What is wrong with it.
    pub error: PathError,
}

impl fmt::Display for PathSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "path {}: {}", self.entry + 1, self.error)
    }
}

impl std::error::Error for PathSetError {}

/// Where a walk has come to, as far as the queries are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    state: u32,
    /// The queries outside the automaton: those that go on from here, and those that choose this place.
    going: Going,
    chosen: Vec<u16>,
}

/// Queries by number, each with the segment that comes next. In order, each once.
type Going = Vec<(u16, u16)>;

#[derive(Clone, Debug, Default)]
struct State {
    /// Names that lead elsewhere than other names do, in order.
    names: Vec<(Box<str>, u32)>,
    other_names: u32,
    elements: u32,
    chosen: Vec<u16>,
}

/// What a walk calls with a place, its value and the queries that choose it.
type Found<'f> = dyn FnMut(&[Step<'_>], Value<'_>, &[u16]) + 'f;

/// The state in which no query goes on and none chooses the place.
const NOWHERE: u32 = 0;

impl PathSet {
    /// Reads the queries.
    ///
    /// # Errors
    ///
    /// One for each text that is none.
    pub fn compile<T: AsRef<str>>(texts: &[T]) -> Result<PathSet, Vec<PathSetError>> {
        let mut queries = Vec::new();
        let mut errors = Vec::new();
        for (entry, text) in texts.iter().enumerate() {
            let too_many = || PathError { at: 0, message: format!("there are more than {} paths", u16::MAX) };
            match Query::parse(text.as_ref()) {
                _ if entry >= usize::from(u16::MAX) => {
                    errors.push(PathSetError { entry, error: too_many() });
                    break;
                }
                Ok(query) => queries.push(query),
                Err(error) => errors.push(PathSetError { entry, error }),
            }
        }
        if errors.is_empty() { Ok(PathSet::of(queries)) } else { Err(errors) }
    }

    /// A set of queries that are read already; at most 65,535.
    pub(crate) fn of(queries: Vec<Query>) -> PathSet {
        let deep = |query: &Query| query.segments.iter().filter(|segment| segment.descendant).count();
        // Names at several unknown depths are what makes states many.
        [usize::MAX, 1, 0]
            .into_iter()
            .find_map(|most| {
                let is_in = |query: &Query| query.is_fixed() && deep(query) <= most;
                Automaton::build(&queries, is_in)
            })
            .unwrap_or_else(|| Automaton {
                states: vec![State::default()],
                start: NOWHERE,
                outside: all(&queries),
            })
            .into_set(queries)
    }

    /// The document's value.
    #[must_use]
    pub fn start(&self) -> &Place {
        &self.start
    }

    /// The place to which `step` leads from `place`. `siblings` is how many elements the array has in which the step is
    /// taken, and `child` the value that is there, which filters look at.
    pub(crate) fn step(
        &self,
        place: &Place,
        step: Step<'_>,
        siblings: usize,
        child: Value<'_>,
        work: &mut Work,
    ) -> Place {
        let state = self.automaton_step(place.state, step);
        let mut next = Place { state, going: Vec::new(), chosen: Vec::new() };
        for (number, segment) in &place.going {
            let query = &self.queries[usize::from(*number)];
            let chooses = |selector: &Selector| selector.chooses(step, siblings, child, work);
            advance(query, *number, *segment, chooses, &mut next.going, &mut next.chosen);
        }
        tidy(&mut next.going);
        tidy(&mut next.chosen);
        next
    }

    /// Calls with the place, the value and the numbers of the queries for each value that a query chooses, in document
    /// order and each once.
    ///
    /// # Errors
    ///
    /// [`NotCompared::Work`] when it takes more steps than the limit: not every value was found then.
    pub fn each_chosen(
        &self,
        json: &Json<'_>,
        limits: &Limits,
        mut found: impl FnMut(&[Step<'_>], Value<'_>, &[u16]),
    ) -> Result<(), NotCompared> {
        let mut work = Work::new(limits);
        let mut steps = Vec::new();
        self.walk(json.root(), &self.start, &mut steps, &mut work, &mut found);
        if work.is_spent() { Err(NotCompared::Work) } else { Ok(()) }
    }

    /// Documents nest no deeper than their limit, so neither does this.
    fn walk<'v>(
        &self,
        value: Value<'v>,
        place: &Place,
        steps: &mut Vec<Step<'v>>,
        work: &mut Work,
        found: &mut Found<'_>,
    ) {
        work.take(1);
        if place.is_nowhere() || work.is_spent() {
            return;
        }
        let chosen: Vec<u16> = self.chosen(place).collect();
        if !chosen.is_empty() {
            found(steps, value, &chosen);
        }
        let siblings = value.elements().count();
        let elements = value.elements().enumerate().map(|(index, child)| (Step::Index(index), child));
        let members = value.members().map(|(name, child)| (Step::Name(name), child));
        for (step, child) in elements.chain(members) {
            let next = self.step(place, step, siblings, child, work);
            steps.push(step);
            self.walk(child, &next, steps, work, found);
            steps.pop();
        }
    }

    fn automaton_step(&self, state: u32, step: Step<'_>) -> u32 {
        if state == NOWHERE {
            return NOWHERE;
        }
        let state = &self.states[state as usize];
        match step {
            Step::Index(_) => state.elements,
            Step::Name(name) => match state.names.binary_search_by(|(known, _)| (**known).cmp(name)) {
                Ok(found) => state.names[found].1,
                Err(_) => state.other_names,
            },
        }
    }

    /// The place of a pair of values, where a query chooses it if it chooses either.
    pub(crate) fn both(&self, one: Place, other: &Place) -> Place {
        let mut both = one;
        if both.going != other.going {
            both.going.extend(&other.going);
            tidy(&mut both.going);
        }
        if both.chosen != other.chosen {
            both.chosen.extend(&other.chosen);
            tidy(&mut both.chosen);
        }
        both
    }

    /// The numbers of the queries that choose this place.
    pub fn chosen<'s>(&'s self, place: &'s Place) -> impl Iterator<Item = u16> + Clone + 's {
        self.states[place.state as usize].chosen.iter().chain(&place.chosen).copied()
    }

    /// The numbers of the queries of names and wildcards that choose the places of a state.
    pub(crate) fn chosen_in(&self, state: usize) -> &[u16] {
        &self.states[state].chosen
    }

    pub(crate) fn states(&self) -> usize {
        self.states.len()
    }
}

impl Place {
    /// Whether no query chooses this place or any inside it.
    #[must_use]
    pub fn is_nowhere(&self) -> bool {
        self.state == NOWHERE && !self.looks()
    }

    /// Whether a query goes on or chose by index, slice or filter: what it chooses is more than a matter of names.
    pub(crate) fn looks(&self) -> bool {
        !self.going.is_empty() || !self.chosen.is_empty()
    }

    pub(crate) fn state(&self) -> usize {
        self.state as usize
    }

    /// Queries outside the automaton that choose this place.
    pub(crate) fn chosen_by_looking(&self) -> &[u16] {
        &self.chosen
    }
}

/// What one query makes of a step: it goes on, it chooses the place, both or nothing.
fn advance(
    query: &Query,
    number: u16,
    at: u16,
    mut chooses: impl FnMut(&Selector) -> bool,
    going: &mut Going,
    chosen: &mut Vec<u16>,
) {
    let Some(Segment { descendant, selectors }) = query.segments.get(usize::from(at)) else { return };
    if *descendant {
        going.push((number, at));
    }
    if selectors.iter().any(&mut chooses) {
        if usize::from(at) + 1 == query.segments.len() {
            chosen.push(number);
        } else {
            going.push((number, at + 1));
        }
    }
}

fn tidy<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}

/// The queries at their beginning.
fn begin<'q>(queries: impl Iterator<Item = (u16, &'q Query)>) -> (Going, Vec<u16>) {
    let (mut going, mut chosen) = (Vec::new(), Vec::new());
    for (number, query) in queries {
        if query.segments.is_empty() {
            chosen.push(number);
        } else {
            going.push((number, 0));
        }
    }
    (going, chosen)
}

fn numbered(queries: &[Query]) -> impl Iterator<Item = (u16, &Query)> {
    (0..u16::MAX).zip(queries)
}

fn all(queries: &[Query]) -> (Going, Vec<u16>) {
    begin(numbered(queries))
}

/// Sets of positions in the queries as states (the subset construction).
struct Automaton {
    states: Vec<State>,
    start: u32,
    outside: (Going, Vec<u16>),
}

impl Automaton {
    /// `None` when it would have too many states.
    fn build(queries: &[Query], is_in: impl Fn(&Query) -> bool) -> Option<Automaton> {
        let inside = begin(numbered(queries).filter(|(_, query)| is_in(query)));
        let outside = begin(numbered(queries).filter(|(_, query)| !is_in(query)));
        let mut known = BTreeMap::from([((Vec::new(), Vec::new()), NOWHERE)]);
        let mut waiting = Vec::new();
        let mut number_of = |positions: (Going, Vec<u16>), waiting: &mut Vec<(u32, (Going, Vec<u16>))>| {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            *known.entry(positions.clone()).or_insert_with(|| {
                waiting.push((next, positions));
                next
            })
        };
        let start = number_of(inside, &mut waiting);
        let mut states = vec![State::default()];
        while let Some((number, (going, chosen))) = waiting.pop() {
            if number as usize >= MOST_STATES {
                return None;
            }
            let names = names_of(queries, &going);
            let mut lead = |on: On<'_>| number_of(after(queries, &going, on), &mut waiting);
            let other_names = lead(On::Name(None));
            let elements = lead(On::Element);
            let names: Vec<_> =
                names.into_iter().map(|name| (name.into(), lead(On::Name(Some(name))))).collect();
            let state = State { names, other_names, elements, chosen };
            let at = number as usize;
            if states.len() <= at {
                states.resize(at + 1, State::default());
            }
            states[at] = state;
        }
        Some(Automaton { states, start, outside })
    }

    fn into_set(self, queries: Vec<Query>) -> PathSet {
        let (going, chosen) = self.outside;
        PathSet { queries, states: self.states, start: Place { state: self.start, going, chosen } }
    }
}

/// A step as the automaton sees it.
#[derive(Clone, Copy)]
enum On<'a> {
    /// A name that the queries have, or any other.
    Name(Option<&'a str>),
    Element,
}

fn after(queries: &[Query], from: &Going, on: On<'_>) -> (Going, Vec<u16>) {
    let chooses = |selector: &Selector| match (selector, on) {
        (Selector::Wildcard, _) => true,
        (Selector::Name(wanted), On::Name(Some(name))) => **wanted == *name,
        _ => false,
    };
    let (mut going, mut chosen) = (Vec::new(), Vec::new());
    for (number, segment) in from {
        advance(&queries[usize::from(*number)], *number, *segment, chooses, &mut going, &mut chosen);
    }
    tidy(&mut going);
    tidy(&mut chosen);
    (going, chosen)
}

/// The names that the next segments ask for, in order.
fn names_of<'q>(queries: &'q [Query], going: &Going) -> Vec<&'q str> {
    let segments =
        going.iter().filter_map(|(number, at)| queries[usize::from(*number)].segments.get(usize::from(*at)));
    let mut names: Vec<&str> = segments
        .flat_map(|segment| &segment.selectors)
        .filter_map(|selector| match selector {
            Selector::Name(name) => Some(&**name),
            _ => None,
        })
        .collect();
    tidy(&mut names);
    names
}
