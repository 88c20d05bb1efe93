//! What users ask for, and what a right answer to it is, whichever shop gives it.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use serde_json::Value;

use crate::demo::shop;

/// One thing to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The front page.
    Front,
    /// All products.
    List,
    /// The product of this id.
    Product(u32),
    /// Putting so many of a product into the cart.
    Cart {
        /// Its id.
        product: u32,
        /// How many.
        quantity: u32,
    },
}

impl Page {
    /// What a user may want next: mostly one product, sometimes to buy it.
    pub(super) fn any(taste: &mut fastrand::Rng) -> Page {
        let product = taste.u32(1..=shop::PRODUCTS);
        match taste.u8(0..10) {
            0 => Page::Front,
            1 => Page::List,
            2 => Page::Cart { product, quantity: taste.u32(1..=5) },
            _ => Page::Product(product),
        }
    }

    /// The request for it by this user.
    pub(super) fn request(self, host: &str, user: &str) -> Option<Request<Full<Bytes>>> {
        let (method, target, body) = match self {
            Page::Front => (Method::GET, "/".to_owned(), String::new()),
            Page::List => (Method::GET, "/products".to_owned(), String::new()),
            Page::Product(id) => (Method::GET, format!("/products/{id}"), String::new()),
            Page::Cart { product, quantity } => {
                let cart = format!("{{\"product\":{product},\"quantity\":{quantity}}}");
                (Method::POST, "/cart".to_owned(), cart)
            }
        };
        let mut request =
            Request::builder().method(method).uri(target).header(HOST, host).header("x-user-id", user);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::from(body)).ok()
    }

    /// Whether this is the right answer. The shops may write it differently, but must mean the same.
    pub(super) fn is_answered_by(self, body: &[u8]) -> bool {
        match self {
            Page::Front => body.ends_with(b"</ul>\n"),
            Page::List => json(body)
                .as_array()
                .is_some_and(|list| list.iter().map(id_of).eq((1..=u64::from(shop::PRODUCTS)).map(Some))),
            Page::Product(id) => {
                let product = json(body);
                id_of(&product) == Some(id.into()) && cents(&product, "price") == shop::price_cents(id)
            }
            Page::Cart { product, quantity } => {
                let cart = json(body);
                let total = shop::price_cents(product).map(|price| price * quantity);
                cart.get("items") == Some(&quantity.into()) && cents(&cart, "total") == total
            }
        }
    }
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

fn id_of(product: &Value) -> Option<u64> {
    product.get("id").and_then(Value::as_u64)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is cast is clipped to the range, and a price outside it is wrong anyway"
)]
fn cents(value: &Value, name: &str) -> Option<u32> {
    value.get(name).and_then(Value::as_f64).map(|amount| (amount * 100.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_are_right() {
        let kettle = Page::Product(1);
        assert!(kettle.is_answered_by(br#"{"id":1,"name":"blue kettle","price":12.5}"#));
        assert!(kettle.is_answered_by(br#"{"price":12.50,"currency":"EUR","id":1}"#));
        assert!(!kettle.is_answered_by(br#"{"id":2,"price":12.5}"#));
        assert!(!kettle.is_answered_by(br#"{"id":1,"price":12.6}"#));
        assert!(!kettle.is_answered_by(br#"{"id":1,"price":12"#));
        let cart = Page::Cart { product: 1, quantity: 3 };
        assert!(cart.is_answered_by(br#"{"items":3,"total":37.5}"#));
        assert!(!cart.is_answered_by(br#"{"items":3,"total":12.5}"#));
        assert!(!Page::List.is_answered_by(b"[]"));
        assert!(!Page::Front.is_answered_by(b"<!doctype html>"));
    }

    #[test]
    fn every_request_can_be_made() {
        let mut taste = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let page = Page::any(&mut taste);
            let request = page.request("127.0.0.1:1", "user-1001").unwrap();
            assert_eq!(request.headers()["x-user-id"], "user-1001");
            assert_eq!(request.method() == Method::POST, matches!(page, Page::Cart { .. }));
        }
    }
}
