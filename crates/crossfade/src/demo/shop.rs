//! The two backends of the demo: one shop, written twice.
//!
//! Both sell the same goods at the same prices. They differ as a rewrite differs from what it replaces: the new one
//! is quicker, names itself otherwise, orders its fields otherwise, writes `12.50` for `12.5` and has a field more.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::header::{ALLOW, CONTENT_TYPE, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use traffic_split::Arm;

/// Connections that a shop serves at once; more wait.
const MAX_CONNECTIONS: usize = 512;
/// Connections that may wait until they are accepted.
const BACKLOG: u32 = 1024;
/// How long to leave a listener alone that cannot listen or accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// The largest cart that is read.
const MAX_CART_BYTES: usize = 16 * 1024;

/// How many products there are; their ids count from 1.
pub(super) const PRODUCTS: u32 = 12;
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
pub(super) fn price_cents(id: u32) -> Option<u32> {
    good(id).map(|(_, cents)| cents)
}

/// What the shop of each arm calls itself in its `server` header.
pub(super) const fn server_name(arm: Arm) -> &'static str {
    match arm {
        Arm::Old => "shop/4.2",
        Arm::New => "shop-next/1.0",
    }
}

/// Whether a shop can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doors {
    Open,
    /// Nothing listens, and there is no connection.
    Shut,
    /// It will not open again.
    Gone,
}

/// A shop that is open. Closed for good by [`Shop::close`].
#[derive(Debug)]
pub(super) struct Shop {
    /// Where it answers.
    pub(super) address: SocketAddr,
    doors: watch::Sender<Doors>,
    thread: JoinHandle<()>,
}

impl Shop {
    /// Opens the shop of this arm on a free port, on a thread of its own.
    ///
    /// # Errors
    /// When there is no port or no thread to be had.
    pub(super) fn open(arm: Arm) -> io::Result<Shop> {
        let (doors, door) = watch::channel(Doors::Open);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (reserved, address, listener) = {
            let _context = runtime.enter();
            // Never listens: it keeps the port for this shop while the doors are shut.
            let reserved = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            let address = reserved.local_addr()?;
            (reserved, address, bound(address)?.listen(BACKLOG)?)
        };
        let thread = std::thread::Builder::new().name(format!("shop-{arm}")).spawn(move || {
            runtime.block_on(keep(address, listener, arm, door));
            drop(reserved);
        })?;
        Ok(Shop { address, doors, thread })
    }

    /// Kills it: closes its listener and cuts its connections, whatever is under way on them.
    pub(super) fn kill(&self) {
        self.doors.send_replace(Doors::Shut);
    }

    /// Opens it again at the same address, if it was killed.
    pub(super) fn revive(&self) {
        self.doors.send_replace(Doors::Open);
    }

    /// Closes it, with all its connections, and waits until its thread has ended.
    pub(super) fn close(self) {
        self.doors.send_replace(Doors::Gone);
        // A panic of that thread has been shown by now; there is nothing more to be done about it.
        let _ = self.thread.join();
    }
}

/// A socket at this address, which it shares with others of this process.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// The shop's life: it serves whenever its doors are open.
async fn keep(address: SocketAddr, first: TcpListener, arm: Arm, mut doors: watch::Receiver<Doors>) {
    serve(first, arm, &mut doors).await;
    loop {
        match doors.wait_for(|&doors| doors != Doors::Shut).await.as_deref() {
            Ok(Doors::Open) => {}
            _ => return,
        }
        match bound(address).and_then(|socket| socket.listen(BACKLOG)) {
            Ok(listener) => serve(listener, arm, &mut doors).await,
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Until the doors close. Then the listener goes, and all connections with it.
async fn serve(listener: TcpListener, arm: Arm, doors: &mut watch::Receiver<Doors>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = tokio::select! {
            _ = doors.wait_for(|&doors| doors != Doors::Open) => break,
            Ok(place) = Arc::clone(&places).acquire_owned() => place,
        };
        let stream = tokio::select! {
            _ = doors.wait_for(|&doors| doors != Doors::Open) => break,
            accepted = listener.accept() => accepted.map(|(stream, _)| stream),
        };
        let Ok(stream) = stream else {
            // Out of descriptors; trying again at once would only burn time.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        connections.spawn(async move {
            answer_all(stream, arm).await;
            drop(place);
        });
    }
    drop(listener);
    connections.shutdown().await;
}

async fn answer_all(stream: TcpStream, arm: Arm) {
    // Without it small answers may wait for an acknowledgement; with it failing they are only slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, arm));
    // A client that breaks off is no event in a demo.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, arm: Arm) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let segments: Vec<&str> = head.uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let mut response = match segments.as_slice() {
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
    };
    response.headers_mut().insert(SERVER, HeaderValue::from_static(server_name(arm)));
    tokio::time::sleep(work(arm)).await;
    Ok(response)
}

/// What the database takes: old 4 to 8 ms and seldom 15, new 2 to 5 ms and seldom 9.
fn work(arm: Arm) -> Duration {
    let (usual_ms, seldom_ms) = match arm {
        Arm::Old => (4..=8, 15),
        Arm::New => (2..=5, 9),
    };
    Duration::from_millis(if fastrand::u8(..) < 4 { seldom_ms } else { fastrand::u64(usual_ms) })
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

fn found(content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = status(StatusCode::METHOD_NOT_ALLOWED, "not this method");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn status(status: StatusCode, sentence: &str) -> Response<Full<Bytes>> {
    let mut response = found("text/plain; charset=utf-8", format!("{sentence}\n"));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Instant;

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

    #[test]
    fn opens_dies_comes_back_and_closes() {
        let shop = Shop::open(Arm::Old).unwrap();
        let address = shop.address;
        let connect = || std::net::TcpStream::connect(address);
        let mut connection = connect().unwrap();
        shop.kill();
        // The listener goes before the connections do.
        let end = connection.read(&mut [0]);
        assert!(end.as_ref().map_or(true, |&read| read == 0), "{end:?}");
        assert!(connect().is_err());
        shop.revive();
        let began = Instant::now();
        while connect().is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "it does not come back");
            std::thread::yield_now();
        }
        shop.close();
        assert!(connect().is_err());
    }
}
