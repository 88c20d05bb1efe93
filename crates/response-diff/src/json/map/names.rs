//! Manners of writing names of several words.

/// How words make a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// `unit_price`
    Snake,
    /// `unitPrice`
    Camel,
    /// `UnitPrice`
    Pascal,
    /// `unit-price`
    Kebab,
}

impl Manner {
    pub(super) fn parse(text: &str) -> Option<Manner> {
        match text {
            "snake" => Some(Manner::Snake),
            "camel" => Some(Manner::Camel),
            "pascal" => Some(Manner::Pascal),
            "kebab" => Some(Manner::Kebab),
            _ => None,
        }
    }

    /// A name of this manner in another one. Underscores before it stay, and so does a name without letters or digits.
    pub(super) fn rewrite(self, name: &str, to: Manner) -> String {
        let bare = name.trim_start_matches('_');
        let mut out = name[..name.len() - bare.len()].to_owned();
        for (number, word) in self.words(bare).into_iter().enumerate() {
            match to {
                Manner::Snake | Manner::Kebab => {
                    if number > 0 {
                        out.push(if to == Manner::Snake { '_' } else { '-' });
                    }
                    out.extend(word.chars().flat_map(char::to_lowercase));
                }
                Manner::Camel if number == 0 => out.extend(with_first(word, char::to_lowercase)),
                Manner::Camel | Manner::Pascal => out.extend(with_first(word, char::to_uppercase)),
            }
        }
        out
    }

    fn words(self, name: &str) -> Vec<&str> {
        let mut starts = vec![0];
        match self {
            Manner::Snake => return name.split('_').filter(|word| !word.is_empty()).collect(),
            Manner::Kebab => return name.split('-').filter(|word| !word.is_empty()).collect(),
            Manner::Camel | Manner::Pascal => {
                let capitals = name.char_indices().filter(|(at, letter)| *at > 0 && letter.is_uppercase());
                starts.extend(capitals.map(|(at, _)| at));
            }
        }
        starts.push(name.len());
        starts.windows(2).map(|pair| &name[pair[0]..pair[1]]).filter(|word| !word.is_empty()).collect()
    }
}

/// A word with its first letter changed.
fn with_first<C: Iterator<Item = char>>(word: &str, change: fn(char) -> C) -> impl Iterator<Item = char> {
    let mut letters = word.chars();
    letters.next().into_iter().flat_map(change).chain(letters)
}

#[cfg(test)]
mod tests {
    use super::Manner::{self, Camel, Kebab, Pascal, Snake};

    #[test]
    fn names_change_their_manner() {
        let cases: &[(Manner, &str, Manner, &str)] = &[
            (Snake, "unit_price", Camel, "unitPrice"),
            (Snake, "unit_price", Pascal, "UnitPrice"),
            (Snake, "unit_price", Kebab, "unit-price"),
            (Camel, "unitPrice", Snake, "unit_price"),
            (Camel, "unitPrice", Pascal, "UnitPrice"),
            (Camel, "userID", Snake, "user_i_d"),
            (Pascal, "UnitPrice", Snake, "unit_price"),
            (Pascal, "UnitPrice", Camel, "unitPrice"),
            (Kebab, "unit-price", Snake, "unit_price"),
            (Snake, "_id", Camel, "_id"),
            (Snake, "id", Camel, "id"),
            (Snake, "line_1", Camel, "line1"),
            (Snake, "", Camel, ""),
            (Snake, "__", Camel, "__"),
            (Snake, "größe_über", Pascal, "GrößeÜber"),
            (Camel, "a", Kebab, "a"),
        ];
        for (from, name, to, expected) in cases {
            assert_eq!(from.rewrite(name, *to), *expected, "{from:?} {name:?} {to:?}");
        }
    }
}
