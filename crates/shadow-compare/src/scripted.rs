//! What the tests of this crate are made of.

use std::sync::Arc;

use route_plan::{Again, Asked, Captured, CapturedBody, FieldLines, Pair};
use traffic_split::Arm;

/// An answer with this body, of JSON.
pub(crate) fn captured(status: u16, body: &str) -> Captured {
    let mut headers = FieldLines::new();
    headers.push(b"content-type", b"application/json");
    Captured {
        status,
        headers,
        trailers: FieldLines::new(),
        body: CapturedBody::Whole(body.as_bytes().to_vec()),
        to_head_us: 1_000,
    }
}

/// A `GET` that old served, with the bodies of both answers.
pub(crate) fn pair(migration: &str, target: &str, old: &str, new: &str) -> Pair {
    Pair {
        asked: Asked {
            migration: Arc::from(migration),
            served: Arm::Old,
            method: Box::from(&b"GET"[..]),
            host: Box::from(&b"shop.example.com"[..]),
            target: target.as_bytes().into(),
            request_id: Box::from(&b"r-1"[..]),
            key: 7,
            at_ms: 1_700_000_000_000,
        },
        answers: [captured(200, old), captured(200, new)],
        again: Some(Again { heads: [b"GET old".as_slice().into(), b"GET new".as_slice().into()] }),
    }
}
