//! JSON bodies: parsed, mapped and held against each other by rules.

mod number;
mod parse;
mod spec;
mod tree;

pub(crate) use number::{Decimal, same_value};
pub use parse::{Unparsed, parse};
pub use spec::{JsonSpec, MapSpec, NumberSpec, RuleError, RuleSpec};
pub use tree::{Elements, Json, Members, Type, Value, View};

#[cfg(test)]
mod parse_tests;
