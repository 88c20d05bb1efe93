//! Documents and rules made by chance, against what must hold of every comparison.

mod json_check;

use json_check::{check_fuzzed, check_pair, grown, spec};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn grown_documents_compare_as_they_must(
        rules: [u8; 3],
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        choice in 0_u8..128,
    ) {
        let (old, new) = grown(&bytes);
        check_pair(&spec(&rules), &old, &new, choice);
    }

    #[test]
    fn arrays_that_are_much_alike_compare_as_they_must(
        rules: [u8; 3],
        old in prop::collection::vec(prop::sample::select(ELEMENTS.to_vec()), 0..12),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, prop::sample::select(ELEMENTS.to_vec())), 0..5),
        choice in 0_u8..128,
    ) {
        let mut new = old.clone();
        for (at, edit, element) in edits {
            let at = at.index(new.len() + 1);
            match edit {
                0 => new.insert(at, element),
                1 if at < new.len() => new[at] = element,
                2 if at < new.len() => { new.remove(at); }
                _ => { let end = new.len(); new[at..].rotate_left(usize::from(at < end)); }
            }
        }
        let array = |elements: &[&str]| format!("[{}]", elements.join(","));
        check_pair(&spec(&rules), &array(&old), &array(&new), choice);
        let inside = |elements: &[&str]| format!(r#"{{"a":[{},[1]]}}"#, array(elements));
        check_pair(&spec(&rules), &inside(&old), &inside(&new), choice);
    }

    #[test]
    fn any_bytes_at_all_compare_as_they_must(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        check_fuzzed(&bytes);
    }
}

const ELEMENTS: [&str; 12] = [
    "1",
    "1.6",
    "2",
    "\"x\"",
    "{\"a\":1}",
    "{\"a\":1,\"b\":1}",
    "{\"a\":1,\"b\":2}",
    "{\"a\":2,\"b\":2}",
    "{\"a\":1,\"b\":1,\"c\":3}",
    "{\"a\":2.5,\"b\":\"x\",\"c\":4}",
    "[1,2]",
    "[2,1]",
];
