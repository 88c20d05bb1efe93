//! The part of the grammar that filters are written in.

use regex::{Regex, RegexBuilder};

use super::super::query::{Compared, Comparison, Pattern, Query, Test};
use super::{Parsed, Parser};

/// Bytes that a compiled regular expression may take.
const PATTERN_SIZE: usize = 1 << 20;

/// What stands in a filter, before it is known where: alone it is asked, beside an operator it is compared.
enum Term {
    Literal(Compared),
    Query(Query),
    /// A function that has a value.
    Value(Compared),
    /// A function that is true or false.
    Truth(Test),
}

impl Parser<'_> {
    /// Parts of a filter between `||`.
    pub(super) fn any(&mut self) -> Parsed<Test> {
        self.joined("||", Self::all, Test::Any)
    }

    /// Parts of a filter between `&&`.
    fn all(&mut self) -> Parsed<Test> {
        self.joined("&&", Self::basic, Test::All)
    }

    fn joined(
        &mut self,
        operator: &str,
        part: fn(&mut Self) -> Parsed<Test>,
        join: fn(Vec<Test>) -> Test,
    ) -> Parsed<Test> {
        let first = part(self)?;
        let mut parts = vec![first];
        loop {
            let before = self.at;
            self.skip_space();
            if !self.take(operator) {
                self.at = before;
                break;
            }
            self.skip_space();
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { join(parts) })
    }

    fn basic(&mut self) -> Parsed<Test> {
        if self.take("!") {
            self.skip_space();
            let inner = if self.peek() == Some('(') {
                self.parenthesised()?
            } else {
                let start = self.at;
                let term = self.term()?;
                self.test(term, start)?
            };
            return Ok(Test::Not(Box::new(inner)));
        }
        if self.peek() == Some('(') {
            return self.parenthesised();
        }
        let start = self.at;
        let left = self.term()?;
        let before = self.at;
        self.skip_space();
        let Some(comparison) = self.comparison() else {
            self.at = before;
            return self.test(left, start);
        };
        let left = self.compared(left, start)?;
        self.skip_space();
        let start = self.at;
        let right = self.term()?;
        let right = self.compared(right, start)?;
        Ok(Test::Compare(left, comparison, right))
    }

    fn parenthesised(&mut self) -> Parsed<Test> {
        self.at += 1;
        self.skip_space();
        let inner = self.deeper(Self::any)?;
        self.skip_space();
        if self.take(")") { Ok(inner) } else { Err(self.wrong("a `(` is closed by `)`")) }
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let all = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        all.into_iter().find(|(sign, _)| self.take(sign)).map(|(_, comparison)| comparison)
    }

    /// A term that stands alone.
    fn test(&self, term: Term, start: usize) -> Parsed<Test> {
        match term {
            Term::Query(query) => Ok(Test::Exists(query)),
            Term::Truth(test) => Ok(test),
            Term::Literal(_) => Err(self.wrong_at(start, "a literal alone is no filter: compare it")),
            Term::Value(_) => Err(self.wrong_at(start, "this function's value is no filter: compare it")),
        }
    }

    /// A term that is compared.
    fn compared(&self, term: Term, start: usize) -> Parsed<Compared> {
        match term {
            Term::Literal(compared) | Term::Value(compared) => Ok(compared),
            Term::Query(query) if query.is_singular() => Ok(Compared::Value(query)),
            Term::Query(_) => {
                let many =
                    "a query that is compared has names and indexes alone, so that it chooses one value";
                Err(self.wrong_at(start, many))
            }
            Term::Truth(_) => {
                Err(self.wrong_at(start, "this function is true or false and cannot be compared"))
            }
        }
    }

    fn term(&mut self) -> Parsed<Term> {
        match self.peek() {
            Some('@' | '$') => Ok(Term::Query(self.filter_query()?)),
            Some('\'' | '"') => Ok(Term::Literal(Compared::Text(self.string()?.into()))),
            Some('-' | '0'..='9') => Ok(Term::Literal(self.number()?)),
            Some('a'..='z') => self.word_or_function(),
            _ => Err(self.wrong("a filter has queries `@...` or `$...`, literals and functions")),
        }
    }

    fn filter_query(&mut self) -> Parsed<Query> {
        let relative = self.peek() == Some('@');
        self.at += 1;
        Ok(Query { relative, segments: self.deeper(Self::segments)? })
    }

    fn number(&mut self) -> Parsed<Compared> {
        let start = self.at;
        self.take("-");
        let whole = self.at;
        self.digits();
        let digits = &self.text[whole..self.at];
        if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
            return Err(self.wrong_at(start, "a number is written as JSON writes it"));
        }
        if self.take(".") {
            self.some_digits()?;
        }
        if self.take("e") || self.take("E") {
            let _ = self.take("-") || self.take("+");
            self.some_digits()?;
        }
        Ok(Compared::Number(self.text[start..self.at].into()))
    }

    fn word_or_function(&mut self) -> Parsed<Term> {
        let start = self.at;
        let rest = &self.text[start..];
        let continues =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        let word = &rest[..rest.find(|letter| !continues(letter)).unwrap_or(rest.len())];
        self.at += word.len();
        if self.peek() == Some('(') {
            return self.deeper(|parser| parser.function(start));
        }
        match word {
            "true" => Ok(Term::Literal(Compared::Bool(true))),
            "false" => Ok(Term::Literal(Compared::Bool(false))),
            "null" => Ok(Term::Literal(Compared::Null)),
            _ => {
                Err(self
                    .wrong_at(start, &format!("`{word}` is neither `true`, `false`, `null` nor a function")))
            }
        }
    }

    /// The functions of RFC 9535 section 2.4, from the parenthesis on.
    fn function(&mut self, start: usize) -> Parsed<Term> {
        let name = &self.text[start..self.at];
        self.at += 1;
        let mut arguments = Vec::new();
        self.skip_space();
        while !self.take(")") {
            if !arguments.is_empty() {
                if !self.take(",") {
                    return Err(self.wrong("an argument ends with `,` or `)`"));
                }
                self.skip_space();
            }
            let start = self.at;
            arguments.push((self.term()?, start));
            self.skip_space();
        }
        let takes = match name {
            "length" | "count" | "value" => 1,
            "match" | "search" => 2,
            _ => {
                let known = "`length`, `count`, `value`, `match` or `search`";
                return Err(self.wrong_at(start, &format!("`{name}` is none of the functions {known}")));
            }
        };
        if arguments.len() != takes {
            let found = arguments.len();
            return Err(self.wrong_at(start, &format!("`{name}` takes {takes} arguments, not {found}")));
        }
        let mut arguments = arguments.into_iter();
        let mut next = || arguments.next().unwrap_or((Term::Literal(Compared::Null), start));
        let (first, first_start) = next();
        match name {
            "length" => Ok(Term::Value(Compared::Length(Box::new(self.compared(first, first_start)?)))),
            "count" => Ok(Term::Value(Compared::Count(self.nodes(first, first_start)?))),
            "value" => Ok(Term::Value(Compared::Only(self.nodes(first, first_start)?))),
            _ => {
                let text = self.compared(first, first_start)?;
                let (pattern, pattern_start) = next();
                let pattern = self.compared(pattern, pattern_start)?;
                let pattern = self.pattern(pattern, pattern_start, name == "match")?;
                Ok(Term::Truth(Test::Matches { text, pattern }))
            }
        }
    }

    fn nodes(&self, term: Term, start: usize) -> Parsed<Query> {
        match term {
            Term::Query(query) => Ok(query),
            _ => Err(self.wrong_at(start, "this function takes a query")),
        }
    }

    fn pattern(&self, pattern: Compared, start: usize, whole: bool) -> Parsed<Pattern> {
        let Compared::Text(text) = &pattern else { return Ok(Pattern::Found { pattern, whole }) };
        let compiled = compile_pattern(text, whole);
        let said = |error: regex::Error| {
            let error = error.to_string();
            let last = error.lines().next_back().unwrap_or_default();
            self.wrong_at(start, &format!("this regular expression is not valid: {last}"))
        };
        compiled.map(Pattern::Fixed).map_err(said)
    }
}

/// Builds a regular expression of RFC 9485 that matches the whole text or any part of it.
pub(in crate::path) fn compile_pattern(pattern: &str, whole: bool) -> Result<Regex, regex::Error> {
    let translated = translate_pattern(pattern);
    let translated = if whole { format!(r"\A(?:{translated})\z") } else { translated };
    RegexBuilder::new(&translated).size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE).build()
}

/// In RFC 9485 a dot is any character but line feed and carriage return.
fn translate_pattern(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let (mut escaped, mut in_class) = (false, false);
    for letter in pattern.chars() {
        match letter {
            '.' if !escaped && !in_class => {
                out.push_str(r"[^\n\r]");
                continue;
            }
            '[' if !escaped => in_class = true,
            ']' if !escaped => in_class = false,
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
        out.push(letter);
    }
    out
}
