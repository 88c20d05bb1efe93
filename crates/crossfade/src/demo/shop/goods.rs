//! What the shops sell and how they say it: the same goods at the same prices, written down twice.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;

/// The largest cart that is read.
const MAX_CART_BYTES: usize = 16 * 1024;

/// How many products there are; their ids count from 1.
pub(in crate::demo) const PRODUCTS: u32 = 12;
/// Names, and prices in cents.
const GOODS: [(&str, u32); PRODUCTS as usize] = [
    ("blue kettle", 1250),
    ("garden chair", 4900),
    ("reading lamp", 3490),
    ("wool blanket", 5999),
    ("bread knife", 1800),
    ("tea for a month", 2240),
    ("folding ruler", 790),
    ("cast-iron pan", 3950),
    ("bicycle bell", 1110),
    ("paper lantern", 605),
    ("walnut bowl", 2700),
    ("umbrella", 1995),
];
/// What there is to know about a product before one buys it, by its id.
const NOTES: [(u32, &str); 1] = [(6, "contains nuts")];
/// How long the list may be kept by whoever got it.
const LIST_IS_FRESH: &str = "public, max-age=60";

/// Who wrote an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edition {
    /// The old shop.
    Old,
    /// The new shop as it was first: it rounds prices to ten cents, forgets notes and does not say how long its list may
    /// be kept.
    NewAtFirst,
    /// The new shop, mended.
    New,
}

/// What one product costs, in cents; `None` for an id that there is not.
pub(in crate::demo) fn price_cents(id: u32) -> Option<u32> {
    good(id).map(|(_, cents)| cents)
}

/// The right answer to a request.
pub(super) async fn answer(request: Request<Incoming>, edition: Edition) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let segments: Vec<&str> = head.uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    match segments.as_slice() {
        ["cart"] if head.method == Method::POST => cart(edition, body).await,
        ["cart"] => not_allowed("POST"),
        [] | ["products"] | ["products", _] if !reads => not_allowed("GET, HEAD"),
        [] => found("text/html; charset=utf-8", front_page()),
        ["products"] => {
            let mut list = found("application/json", product_list(edition));
            if edition != Edition::NewAtFirst {
                list.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(LIST_IS_FRESH));
            }
            list
        }
        ["products", id] => match id.parse().ok().and_then(|id| quote(edition, id)) {
            Some(quote) => found("application/json", quote),
            None => status(StatusCode::NOT_FOUND, "there is no such product"),
        },
        _ => status(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

async fn cart(edition: Edition, body: Incoming) -> Response<Full<Bytes>> {
    let Ok(body) = Limited::new(body, MAX_CART_BYTES).collect().await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE, "a cart is never that large");
    };
    let cart: Option<serde_json::Value> = serde_json::from_slice(&body.to_bytes()).ok();
    let number = |name: &str| {
        let value = cart.as_ref().and_then(|cart| cart.get(name)).and_then(serde_json::Value::as_u64);
        value.and_then(|value| u32::try_from(value).ok())
    };
    let cents = number("product").and_then(price_cents);
    match (cents, number("quantity")) {
        (Some(cents), Some(quantity @ 1..=99)) => {
            let total = price(edition, cents * quantity);
            found(
                "application/json",
                match edition {
                    Edition::Old => format!("{{\"items\":{quantity},\"total\":{total}}}\n"),
                    Edition::NewAtFirst | Edition::New => {
                        format!("{{\"total\":{total},\"currency\":\"EUR\",\"items\":{quantity}}}\n")
                    }
                },
            )
        }
        _ => status(StatusCode::BAD_REQUEST, "expected {\"product\": 1, \"quantity\": 2}"),
    }
}

fn product_list(edition: Edition) -> String {
    let products: Vec<String> =
        (1..=PRODUCTS).filter_map(|id| Some(format!("{{{}}}", product(edition, id)?))).collect();
    format!("[{}]\n", products.join(","))
}

/// A product by itself is a quote: with a number of its own and the time at which the price held.
fn quote(edition: Edition, id: u32) -> Option<String> {
    let product = product(edition, id)?;
    let (quote, now) = (fastrand::u64(..), Timestamp::now());
    Some(match edition {
        Edition::Old => format!("{{{product},\"quote\":\"{quote:016x}\",\"priced_at\":\"{now:.3}\"}}\n"),
        Edition::NewAtFirst | Edition::New => {
            format!("{{\"priced_at\":\"{now:.3}\",\"quote\":\"{quote:016x}\",{product}}}\n")
        }
    })
}

/// The members that are the same in each answer about a product.
fn product(edition: Edition, id: u32) -> Option<String> {
    let (name, cents) = good(id)?;
    let cents = if edition == Edition::NewAtFirst { (cents + 5) / 10 * 10 } else { cents };
    let price = price(edition, cents);
    let note = NOTES.iter().find(|(of, _)| *of == id && edition != Edition::NewAtFirst);
    let note = note.map(|(_, note)| format!(",\"note\":\"{note}\"")).unwrap_or_default();
    Some(match edition {
        Edition::Old => format!("\"id\":{id},\"name\":\"{name}\",\"price\":{price}{note}"),
        Edition::NewAtFirst | Edition::New => {
            format!("\"name\":\"{name}\",\"id\":{id},\"price\":{price},\"currency\":\"EUR\"{note}")
        }
    })
}

fn front_page() -> String {
    let rows: String = (1..=PRODUCTS)
        .filter_map(|id| {
            good(id).map(|(name, _)| format!("<li><a href=\"/products/{id}\">{name}</a></li>\n"))
        })
        .collect();
    format!("<!doctype html>\n<title>The shop</title>\n<h1>The shop</h1>\n<ul>\n{rows}</ul>\n")
}

/// Old writes the shortest number, new always two decimals.
fn price(edition: Edition, cents: u32) -> String {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    match edition {
        Edition::NewAtFirst | Edition::New => text,
        Edition::Old => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

fn good(id: u32) -> Option<(&'static str, u32)> {
    let at = usize::try_from(id.checked_sub(1)?).ok()?;
    GOODS.get(at).copied()
}

pub(super) fn found(content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = status(StatusCode::METHOD_NOT_ALLOWED, "not this method");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

pub(super) fn status(status: StatusCode, sentence: &str) -> Response<Full<Bytes>> {
    let mut response = found("text/plain; charset=utf-8", format!("{sentence}\n"));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shops_differ_subtly() {
        assert_eq!(product(Edition::Old, 1).unwrap(), "\"id\":1,\"name\":\"blue kettle\",\"price\":12.5");
        assert_eq!(
            product(Edition::New, 6).unwrap(),
            "\"name\":\"tea for a month\",\"id\":6,\"price\":22.40,\"currency\":\"EUR\",\"note\":\"contains nuts\""
        );
        assert_eq!((price(Edition::Old, 4900), price(Edition::New, 4900)), ("49".into(), "49.00".into()));
        assert_eq!((price(Edition::Old, 605), price(Edition::New, 605)), ("6.05".into(), "6.05".into()));
        assert_eq!((product(Edition::Old, 0), product(Edition::New, PRODUCTS + 1)), (None, None));
    }

    #[test]
    fn both_sell_the_same_once_new_is_mended() {
        let list = |edition| {
            let list: serde_json::Value = serde_json::from_str(&product_list(edition)).unwrap();
            list.as_array().unwrap().clone()
        };
        let price = |product: &serde_json::Value| product["price"].as_f64().unwrap() * 100.0;
        for edition in [Edition::Old, Edition::New] {
            let list = list(edition);
            assert_eq!(list.len(), GOODS.len());
            for (product, (name, cents)) in list.iter().zip(GOODS) {
                assert_eq!(
                    (product["name"].as_str(), price(product).round()),
                    (Some(name), f64::from(cents))
                );
            }
            assert_eq!(list.iter().filter(|product| product.get("note").is_some()).count(), NOTES.len());
        }
        let at_first = list(Edition::NewAtFirst);
        let wrong = at_first
            .iter()
            .zip(GOODS)
            .filter(|(product, (_, cents))| (price(product) - f64::from(*cents)).abs() > 0.5);
        let wrong: Vec<_> = wrong.map(|(product, _)| product["id"].as_u64().unwrap()).collect();
        assert_eq!(wrong, [4, 10, 12]);
        assert!(at_first.iter().all(|product| product.get("note").is_none()));
    }

    #[test]
    fn every_quote_is_another_one() {
        let [one, other] = [(); 2]
            .map(|()| serde_json::from_str::<serde_json::Value>(&quote(Edition::Old, 6).unwrap()).unwrap());
        assert_ne!(one["quote"], other["quote"]);
        assert!(one["priced_at"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert_eq!((&one["price"], &one["note"]), (&other["price"], &"contains nuts".into()));
    }
}
