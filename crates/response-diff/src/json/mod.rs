//! JSON bodies: parsed, mapped and held against each other by rules.

mod array;
mod compare;
mod fingerprint;
mod leftovers;
mod map;
mod number;
mod parse;
mod rules;
mod spec;
mod surrogate;
mod text;
mod time;
mod tree;

pub(crate) use compare::compare;
pub use compare::differences;
pub(crate) use number::{Decimal, same_value};
pub use parse::{Unparsed, parse};
pub use rules::JsonRules;
pub(crate) use rules::{Options as ValueOptions, Rule as ValueRule};
pub use spec::{JsonSpec, MapSpec, NumberSpec, RuleError, RuleSpec};
pub use tree::{Elements, Json, Members, Type, Value, View};

#[cfg(test)]
mod compare_tests;
#[cfg(test)]
mod parse_tests;
