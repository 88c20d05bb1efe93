//! Lone surrogates, such as half an emoji at the end of a text that was cut.
//!
//! They are grammatical in JSON (RFC 8259 section 8.2), and no `str` can hold them. The last 2,048 characters of plane 16,
//! which are for private use, stand for them inside; a document that has one of those itself is not read, so that nothing
//! is taken for what it is not.

const FIRST: u32 = 0x10_F800;
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

/// What stands for a surrogate; `None` for any other code.
pub(super) fn stand_in(surrogate: u32) -> Option<char> {
    if !SURROGATES.contains(&surrogate) {
        return None;
    }
    char::from_u32(FIRST + (surrogate - SURROGATES.start()))
}

/// The surrogate that a character stands for.
pub(super) fn original(letter: char) -> Option<u32> {
    u32::from(letter).checked_sub(FIRST).map(|index| SURROGATES.start() + index)
}

/// Where a document has a character that would be taken for a lone surrogate.
pub(super) fn find(text: &str) -> Option<usize> {
    // All of them begin with this byte, and hardly anything else does.
    const LEAD: u8 = 0xF4;
    if !text.as_bytes().contains(&LEAD) {
        return None;
    }
    text.find(|letter| original(letter).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_surrogate_has_a_character_and_back() {
        for surrogate in SURROGATES {
            let letter = stand_in(surrogate).unwrap();
            assert_eq!(original(letter), Some(surrogate));
            assert_eq!(find(&format!("a{letter}")), Some(1));
        }
        for other in ['a', '\u{d7ff}', '\u{e000}', '\u{10f7ff}'] {
            assert_eq!((stand_in(u32::from(other)), original(other)), (None, None));
            assert_eq!(find(&other.to_string()), None);
        }
        assert_eq!(original(char::MAX), Some(0xDFFF));
    }
}
