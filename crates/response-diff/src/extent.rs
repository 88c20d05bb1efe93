//! How much of two texts or of two runs of bytes differs, as a number that is cheap to find.
//!
//! It is no edit distance, and need not be: it tells a line with another token in it from another line, and is the same
//! whichever of the two is old.

/// So many bytes that differ are one more.
const BYTES: usize = 32;
/// Longer texts are not looked at word by word.
const MOST_BYTES: usize = 256 << 10;

/// Of bytes: what is between their common beginning and their common end. At least 1.
pub(crate) fn of_bytes(one: &[u8], other: &[u8]) -> u32 {
    let start = one.iter().zip(other).take_while(|pair| pair.0 == pair.1).count();
    let (one, other) = (&one[start..], &other[start..]);
    let end = one.iter().rev().zip(other.iter().rev()).take_while(|pair| pair.0 == pair.1).count();
    parts(one.len().max(other.len()) - end)
}

/// Of texts that are given in pieces: the words that only one of them has, wherever they stand. At least 1.
pub(crate) fn of_texts<T: AsRef<str>>(one: &[T], other: &[T]) -> u32 {
    let bytes = |pieces: &[T]| pieces.iter().map(|piece| piece.as_ref().len()).sum::<usize>();
    let most = bytes(one).max(bytes(other));
    if most > MOST_BYTES {
        return parts(most);
    }
    let (one, other) = (sorted_words(one), sorted_words(other));
    let (mut at, mut other_at, mut only, mut other_only) = (0, 0, 0, 0);
    loop {
        match (one.get(at), other.get(other_at)) {
            (Some(word), Some(another)) if word == another => (at, other_at) = (at + 1, other_at + 1),
            (Some(word), Some(another)) if word > another => {
                (other_at, other_only) = (other_at + 1, other_only + another.len());
            }
            (Some(word), _) => (at, only) = (at + 1, only + word.len()),
            (None, Some(another)) => (other_at, other_only) = (other_at + 1, other_only + another.len()),
            (None, None) => return parts(only.max(other_only)),
        }
    }
}

fn sorted_words<T: AsRef<str>>(pieces: &[T]) -> Vec<&str> {
    let is_between = |letter: char| !(letter.is_alphanumeric() || matches!(letter, '-' | '_'));
    let words =
        pieces.iter().flat_map(|piece| piece.as_ref().split(is_between)).filter(|word| !word.is_empty());
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    words
}

fn parts(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_little_and_another_text_is_much() {
        let page = "<li>a good that is sold and has a name</li>".repeat(40);
        let with = |token: &str| format!("<form token={token}>{page}<i>{token}</i>");
        let (token, other) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
        for (one, other, expected) in [
            ("", "", 1),
            ("a, b", "a; b", 1),
            ("b a", "a b", 1),
            ("made in 12 ms", "made in 7 ms", 1),
            (&with("1"), &with("2"), 1),
            (&with(token), &with(other), 2),
            (&"word ".repeat(80), "word", 10),
            (&with(token), "Error", 40),
        ] {
            assert_eq!(of_texts(&[one], &[other]), expected, "{one:?} {other:?}");
        }
        for (one, other, expected) in [(0, 0, 1), (32, 0, 1), (33, 0, 2), (100, 0, 4), (0, 96, 3)] {
            let (one, other) = (
                [b"start", vec![1; one].as_slice(), b"end"].concat(),
                [b"start", vec![2; other].as_slice(), b"end"].concat(),
            );
            assert_eq!(of_bytes(&one, &other), expected);
        }
        let long = "a b ".repeat(MOST_BYTES / 2);
        assert_eq!(of_texts(&[long.as_str()], &[]) as usize, long.len() / BYTES);
    }

    proptest! {
        #[test]
        fn it_is_the_same_the_other_way_round(one in "[ab -]{0,200}", other in "[ab -]{0,200}") {
            prop_assert_eq!(of_texts(&[&one], &[&other]), of_texts(&[&other], &[&one]));
            prop_assert_eq!(of_texts(&[&one], &[&one]), 1);
            let bytes = of_bytes(one.as_bytes(), other.as_bytes());
            prop_assert_eq!(bytes, of_bytes(other.as_bytes(), one.as_bytes()));
            prop_assert!(bytes <= parts(one.len().max(other.len())));
        }
    }
}
