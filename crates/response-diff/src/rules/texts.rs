//! Rules for what is text and no part of a JSON document: header and trailer fields, values of cookies, and bodies of
//! text.

use crate::headers::FieldPlace;
use crate::json::{NumberSpec, RuleError, RuleSpec, ValueOptions, ValueRule};

/// How texts in certain places are compared.
#[derive(Clone, Debug)]
pub(super) struct TextRule {
    place: TextPlace,
    rule: ValueRule,
}

#[derive(Clone, Debug)]
enum TextPlace {
    Body,
    Field(FieldPlace),
}

impl TextRule {
    /// Reads a rule whose path is no query. What is wrong comes with the field that it is in: `.path`.
    pub(super) fn compile(spec: &RuleSpec) -> Result<TextRule, Vec<(String, String)>> {
        let place = match spec.path.as_str() {
            "body" => Some(TextPlace::Body),
            path => FieldPlace::parse(path).map(TextPlace::Field),
        };
        let mut wrong = Vec::new();
        if place.is_none() {
            let message = format!(
                "`{}` is no place in an answer: write a JSONPath such as `$.price`, `header:NAME`, `trailer:NAME` or \
                 `body`",
                spec.path
            );
            wrong.push((".path".to_owned(), message));
        }
        let for_json = [
            (spec.order.is_some(), "order"),
            (!spec.by.is_empty(), "by"),
            (spec.numbers.form.is_some(), "form"),
            (spec.numbers.absolute.is_some(), "absolute"),
            (spec.numbers.relative.is_some(), "relative"),
            (spec.null.is_some(), "null"),
        ];
        for (_, option) in for_json.into_iter().filter(|(is_said, _)| *is_said && place.is_some()) {
            let message = format!("`{option}` is for values in JSON, and `{}` is text", spec.path);
            wrong.push((format!(".{option}"), message));
        }
        // What was said already is not said again for being read.
        let text = RuleSpec {
            order: None,
            by: Vec::new(),
            numbers: NumberSpec::default(),
            null: None,
            ..spec.clone()
        };
        let mut errors: Vec<RuleError> = Vec::new();
        let rule = ValueRule::read(&text, "", &mut errors);
        if wrong.is_empty() {
            wrong.extend(errors.into_iter().map(|error| (error.entry, error.message)));
        }
        match place {
            Some(place) if wrong.is_empty() => Ok(TextRule { place, rule }),
            _ => Err(wrong),
        }
    }

    /// Whether it is for a place such as `body` or `header:location`.
    pub(super) fn is_for(&self, place: &str) -> bool {
        match &self.place {
            TextPlace::Body => place == "body",
            TextPlace::Field(field) => field.has(place),
        }
    }
}

/// What holds in a place: for each option the first rule that has it.
pub(super) fn options(rules: &[TextRule], place: &str) -> ValueOptions {
    ValueRule::resolve(rules.iter().filter(|rule| rule.is_for(place)).map(|rule| &rule.rule))
}
