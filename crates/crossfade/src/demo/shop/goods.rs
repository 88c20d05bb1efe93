//! What the shops sell and how they say it: the same goods at the same prices, written down twice.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use traffic_split::Arm;

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

/// What one product costs, in cents; `None` for an id that there is not.
pub(in crate::demo) fn price_cents(id: u32) -> Option<u32> {
    good(id).map(|(_, cents)| cents)
}

/// The right answer to a request.
pub(super) async fn answer(request: Request<Incoming>, arm: Arm) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let segments: Vec<&str> = head.uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    match segments.as_slice() {
        ["cart"] if head.method == Method::POST => cart(arm, body).await,
        ["cart"] => not_allowed("POST"),
        [] | ["products"] | ["products", _] if !reads => not_allowed("GET, HEAD"),
        [] => found("text/html; charset=utf-8", front_page(arm)),
        ["products"] => found("application/json", product_list(arm)),
        ["products", id] => match id.parse().ok().and_then(|id| product(arm, id)) {
            Some(product) => found("application/json", product),
            None => status(StatusCode::NOT_FOUND, "there is no such product"),
        },
        _ => status(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

async fn cart(arm: Arm, body: Incoming) -> Response<Full<Bytes>> {
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
            let total = price(arm, cents * quantity);
            found(
                "application/json",
                match arm {
                    Arm::Old => format!("{{\"items\":{quantity},\"total\":{total}}}\n"),
                    Arm::New => format!("{{\"total\":{total},\"currency\":\"EUR\",\"items\":{quantity}}}\n"),
                },
            )
        }
        _ => status(StatusCode::BAD_REQUEST, "expected {\"product\": 1, \"quantity\": 2}"),
    }
}

fn product_list(arm: Arm) -> String {
    let products: Vec<String> = (1..=PRODUCTS).filter_map(|id| product(arm, id)).collect();
    let list: Vec<&str> = products.iter().map(|product| product.trim_end()).collect();
    format!("[{}]\n", list.join(","))
}

fn product(arm: Arm, id: u32) -> Option<String> {
    let (name, cents) = good(id)?;
    let price = price(arm, cents);
    Some(match arm {
        Arm::Old => format!("{{\"id\":{id},\"name\":\"{name}\",\"price\":{price}}}\n"),
        Arm::New => {
            format!("{{\"name\":\"{name}\",\"id\":{id},\"price\":{price},\"currency\":\"EUR\"}}\n")
        }
    })
}

fn front_page(arm: Arm) -> String {
    let rows: String = (1..=PRODUCTS)
        .filter_map(|id| {
            good(id).map(|(name, _)| format!("<li><a href=\"/products/{id}\">{name}</a></li>\n"))
        })
        .collect();
    format!("<!doctype html>\n<title>The {arm} shop</title>\n<h1>The {arm} shop</h1>\n<ul>\n{rows}</ul>\n")
}

/// Old writes the shortest number, new always two decimals.
fn price(arm: Arm, cents: u32) -> String {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    match arm {
        Arm::New => text,
        Arm::Old => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
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
        assert_eq!(product(Arm::Old, 1).unwrap(), "{\"id\":1,\"name\":\"blue kettle\",\"price\":12.5}\n");
        assert_eq!(
            product(Arm::New, 1).unwrap(),
            "{\"name\":\"blue kettle\",\"id\":1,\"price\":12.50,\"currency\":\"EUR\"}\n"
        );
        assert_eq!((price(Arm::Old, 4900), price(Arm::New, 4900)), ("49".into(), "49.00".into()));
        assert_eq!((price(Arm::Old, 605), price(Arm::New, 605)), ("6.05".into(), "6.05".into()));
        assert_eq!((product(Arm::Old, 0), product(Arm::New, PRODUCTS + 1)), (None, None));
    }

    #[test]
    fn both_sell_the_same() {
        for arm in [Arm::Old, Arm::New] {
            let list: serde_json::Value = serde_json::from_str(&product_list(arm)).unwrap();
            let list = list.as_array().unwrap();
            assert_eq!(list.len(), GOODS.len());
            for (product, (name, cents)) in list.iter().zip(GOODS) {
                assert_eq!(product["name"], name);
                assert_eq!((product["price"].as_f64().unwrap() * 100.0).round(), f64::from(cents));
            }
            assert!(front_page(arm).contains(&format!("The {arm} shop")));
        }
    }
}
