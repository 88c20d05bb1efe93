//! The text that Prometheus scrapes, read back.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads an exposition in the text format, version 0.0.4.
    ///
    /// # Panics
    /// When a line is neither a comment nor a sample.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = |line: &str| Sample::parse(line).unwrap_or_else(|| panic!("not a sample: {line:?}"));
        Metrics { samples: lines.map(read).collect() }
    }

    /// The sum over all samples of this name that carry all these labels; `None` when there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        let mut found = self.samples.iter().filter(has).peekable();
        found.peek()?;
        Some(found.map(|sample| sample.value).sum())
    }

    /// Like [`Metrics::sum`], and 0 for what is not there.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sum(name, labels).unwrap_or(0.0)
    }

    /// All values that a label has in samples of this name.
    #[must_use]
    pub fn label_values(&self, name: &str, label: &str) -> Vec<&str> {
        let mut values: Vec<&str> = self
            .samples
            .iter()
            .filter(|sample| sample.name == name)
            .filter_map(|sample| sample.labels.get(label).map(String::as_str))
            .collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The names of all samples, each once.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.samples.iter().map(|sample| sample.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let name_end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(name_end);
        let mut labels = BTreeMap::new();
        let mut rest = rest;
        if let Some(mut inside) = rest.strip_prefix('{') {
            while !inside.starts_with('}') {
                let (key, after) = inside.split_once("=\"")?;
                let (value, after) = quoted(after)?;
                labels.insert(key.trim_start_matches(',').trim().to_owned(), value);
                inside = after;
            }
            rest = inside.strip_prefix('}')?;
        }
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some(Sample { name: name.to_owned(), labels, value })
    }
}

/// A label's value up to its closing quote, unescaped, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    #[allow(clippy::float_cmp, reason = "the values are written out")]
    fn reads_samples() {
        let text = "# HELP a_total x\n# TYPE a_total counter\na_total{arm=\"old\",c=\"2xx\"} 3\na_total{arm=\"old\",\
                    c=\"5xx\"} 1\na_total{arm=\"new\",c=\"a\\\"b,}\"} 2.5\nplain 7 1700000000\ninf{le=\"+Inf\"} +Inf\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a_total", &[("arm", "old")]), Some(4.0));
        assert_eq!(metrics.sum("a_total", &[("c", "a\"b,}")]), Some(2.5));
        assert_eq!(metrics.count("plain", &[]), 7.0);
        assert_eq!(metrics.sum("a_total", &[("arm", "x")]), None);
        assert_eq!(metrics.label_values("a_total", "arm"), ["new", "old"]);
        assert_eq!(metrics.names(), ["a_total", "inf", "plain"]);
    }
}
