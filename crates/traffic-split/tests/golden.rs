//! The vectors of `BUCKETS.md`, which other programs are written against. If one of these fails, users would change
//! systems by an upgrade: the code is wrong, never the table.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use traffic_split::{Bucket, Percent};

const DOCUMENT: &str = include_str!("../BUCKETS.md");

#[test]
fn every_vector_of_the_document_holds() {
    let rows: Vec<_> = DOCUMENT.lines().filter_map(row).collect();
    assert_eq!(rows.len(), 18);
    for (salt, key, hash, new_from) in rows {
        let bucket = Bucket::of(&salt, &key);
        assert_eq!(bucket, Bucket::from_hash(hash), "salt {salt:x?} key {key:x?}");
        assert!(bucket.is_new(new_from), "{hash:016x} is new at {new_from}");
        let below = Percent::from_millionths(new_from.millionths() - 1).unwrap();
        assert!(!bucket.is_new(below), "{hash:016x} is old at {below}");
    }
}

/// Salt, key, hash and the smallest percentage of a row of vectors; `None` for any other line.
fn row(line: &str) -> Option<(Vec<u8>, Vec<u8>, u64, Percent)> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, salt, key, hash, new_from, _, _] = cells[..] else { return None };
    let hash = u64::from_str_radix(hash.trim_matches('`'), 16).ok()?;
    Some((bytes(salt), bytes(key), hash, new_from.parse().unwrap()))
}

/// `(empty)`, hexadecimal, or hexadecimal ` x ` times.
fn bytes(cell: &str) -> Vec<u8> {
    let (hex, times) = cell.split_once(" x ").unwrap_or((cell, "1"));
    let hex = hex.trim_matches('`').trim_start_matches("(empty)");
    let pairs = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    pairs.collect::<Vec<u8>>().repeat(times.parse().unwrap())
}
