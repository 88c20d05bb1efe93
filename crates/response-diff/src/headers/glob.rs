//! Names with stars in them.

/// A pattern for names: `*` stands for any number of characters, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    text: Box<str>,
}

impl Glob {
    /// Of names that have no case, such as those of fields: they are compared in lower case.
    pub(crate) fn new(text: &str) -> Self {
        Glob { text: text.to_ascii_lowercase().into() }
    }

    /// Of names that have case, such as those of cookies.
    pub(crate) fn of_case(text: &str) -> Self {
        Glob { text: text.into() }
    }

    /// The pattern as it is compared.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a name fits; of those without case, in lower case.
    pub(crate) fn fits(&self, name: &str) -> bool {
        let Some((start, rest)) = self.text.split_once('*') else { return *self.text == *name };
        let Some(mut name) = name.strip_prefix(start) else { return false };
        let Some((middle, end)) = rest.rsplit_once('*') else { return name.ends_with(rest) };
        for part in middle.split('*') {
            match name.split_once(part) {
                Some((_, behind)) => name = behind,
                None => return false,
            }
        }
        name.ends_with(end)
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, fits) in [
            ("date", "date", true),
            ("Date", "date", true),
            ("date", "x-date", false),
            ("x-*", "x-", true),
            ("x-*", "x-a", true),
            ("x-*", "ax-a", false),
            ("*-id", "request-id", true),
            ("*-id", "request-ids", false),
            ("x-*-time", "x-a-time", true),
            ("x-*-time", "x-time", false),
            ("x-*time", "x-time", true),
            ("ab*ba", "aba", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a**c", "abc", true),
            ("*", "", true),
            ("*", "anything", true),
        ] {
            assert_eq!(Glob::new(pattern).fits(name), fits, "{pattern} {name}");
        }
        for (pattern, name, fits) in
            [("V", "V", true), ("V", "v", false), ("v", "V", false), ("S*", "Sid", true)]
        {
            assert_eq!(Glob::of_case(pattern).fits(name), fits, "{pattern} {name}");
        }
    }
}
