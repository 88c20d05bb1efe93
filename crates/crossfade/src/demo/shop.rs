//! The two backends of the demo: one shop, written twice.
//!
//! Both sell the same goods at the same prices. They differ as a rewrite differs from what it replaces: the new one
//! is quicker, names itself otherwise, orders its fields otherwise, writes `12.50` for `12.5` and has a field more. And at
//! first it has faults, which comparing is to find: see [`planted`]. Both are served by one thread: where the machine is
//! busy both wait for it alike, and neither looks worse than the other.

mod goods;
pub(super) mod planted;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use traffic_split::Arm;

use goods::Edition;
pub(super) use goods::{PRODUCTS, price_cents};

/// Connections that a shop serves at once; more wait.
const MAX_CONNECTIONS: usize = 512;
/// Connections that may wait until they are accepted.
const BACKLOG: u32 = 1024;
/// How long to leave a listener alone that cannot listen or accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Where a shop says that it is there, whatever is wrong with what it sells.
pub(super) const HEALTH_PATH: &str = "/healthz";

/// What the shop of each arm calls itself in its `server` header.
pub(super) const fn server_name(arm: Arm) -> &'static str {
    match arm {
        Arm::Old => "shop/4.2",
        Arm::New => "shop-next/1.0",
    }
}

/// What is wrong with a shop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// One in so many requests, by chance, is answered with a 500.
    Fails {
        /// So many.
        one_in: u32,
    },
    /// Each answer takes so many times as long.
    Slow {
        /// So many.
        times: u32,
    },
}

/// Which answers a fault has spoilt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spoilt {
    /// When the first of them was given.
    pub(super) first: Option<SystemTime>,
    /// How many there were.
    pub(super) answers: u64,
}

/// A fault and what it did.
type Condition = Arc<Mutex<(Fault, Spoilt)>>;

/// Whether a shop can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doors {
    Open,
    /// Nothing listens, and there is no connection.
    Shut,
    /// It will not open again.
    Gone,
}

/// Both shops, open.
#[derive(Debug)]
pub(super) struct Shops {
    /// The one that is replaced.
    pub(super) old: Shop,
    /// The one that replaces it.
    pub(super) new: Shop,
    thread: JoinHandle<()>,
}

/// A shop that is open.
#[derive(Debug)]
pub(super) struct Shop {
    /// Where it answers.
    pub(super) address: SocketAddr,
    doors: watch::Sender<Doors>,
    condition: Condition,
    /// Nothing that was planted is wrong with it any more.
    mended: Arc<AtomicBool>,
}

impl Shops {
    /// Opens both shops on free ports, on one thread of their own.
    ///
    /// # Errors
    /// When there is no port or no thread to be had.
    pub(super) fn open() -> io::Result<Shops> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ((old, keep_old), (new, keep_new)) = {
            let _context = runtime.enter();
            (Shop::open(Arm::Old)?, Shop::open(Arm::New)?)
        };
        let thread = std::thread::Builder::new().name("shops".to_owned()).spawn(move || {
            runtime.block_on(async { tokio::join!(keep_old, keep_new) });
        })?;
        Ok(Shops { old, new, thread })
    }

    /// Closes both for good, with all their connections, and waits until their thread has ended.
    pub(super) fn close(self) {
        for shop in [&self.old, &self.new] {
            shop.doors.send_replace(Doors::Gone);
        }
        // A panic of that thread has been shown by now; there is nothing more to be done about it.
        let _ = self.thread.join();
    }
}

impl Shop {
    /// A shop on a free port, and what keeps it.
    fn open(arm: Arm) -> io::Result<(Shop, impl Future<Output = ()> + use<>)> {
        let (doors, door) = watch::channel(Doors::Open);
        // Never listens: it keeps the port for this shop while the doors are shut.
        let reserved = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = reserved.local_addr()?;
        let listener = bound(address)?.listen(BACKLOG)?;
        let (condition, mended) = (Condition::default(), Arc::new(AtomicBool::new(false)));
        let inside = Inside { arm, condition: Arc::clone(&condition), mended: Arc::clone(&mended) };
        let kept = async move {
            keep(address, listener, inside, door).await;
            drop(reserved);
        };
        Ok((Shop { address, doors, condition, mended }, kept))
    }

    /// Kills it: closes its listener and cuts its connections, whatever is under way on them.
    pub(super) fn kill(&self) {
        self.doors.send_replace(Doors::Shut);
    }

    /// Opens it again at the same address, if it was killed.
    pub(super) fn revive(&self) {
        self.doors.send_replace(Doors::Open);
    }

    /// A version without the faults that it had at first answers from now on.
    pub(super) fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    /// From now on this is wrong with it. What it spoils counts from 0.
    pub(super) fn suffer(&self, fault: Fault) {
        *lock(&self.condition) = (fault, Spoilt::default());
    }

    /// What its fault has spoilt so far.
    pub(super) fn spoilt(&self) -> Spoilt {
        lock(&self.condition).1
    }
}

fn lock(condition: &Condition) -> MutexGuard<'_, (Fault, Spoilt)> {
    // Each change leaves it whole.
    condition.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A shop from within.
#[derive(Clone, Debug)]
struct Inside {
    arm: Arm,
    condition: Condition,
    mended: Arc<AtomicBool>,
}

impl Inside {
    fn edition(&self) -> Edition {
        match self.arm {
            Arm::Old => Edition::Old,
            Arm::New if self.mended.load(Ordering::SeqCst) => Edition::New,
            Arm::New => Edition::NewAtFirst,
        }
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
async fn keep(address: SocketAddr, first: TcpListener, inside: Inside, mut doors: watch::Receiver<Doors>) {
    serve(first, &inside, &mut doors).await;
    loop {
        match doors.wait_for(|&doors| doors != Doors::Shut).await.as_deref() {
            Ok(Doors::Open) => {}
            _ => return,
        }
        match bound(address).and_then(|socket| socket.listen(BACKLOG)) {
            Ok(listener) => serve(listener, &inside, &mut doors).await,
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Until the doors close. Then the listener goes, and all connections with it.
async fn serve(listener: TcpListener, inside: &Inside, doors: &mut watch::Receiver<Doors>) {
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
        let inside = inside.clone();
        connections.spawn(async move {
            answer_all(stream, &inside).await;
            drop(place);
        });
    }
    drop(listener);
    connections.shutdown().await;
}

async fn answer_all(stream: TcpStream, inside: &Inside) {
    // Without it small answers may wait for an acknowledgement; with it failing they are only slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, inside));
    // A client that breaks off is no event in a demo.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, inside: &Inside) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == HEALTH_PATH {
        return Ok(goods::found("text/plain; charset=utf-8", "here\n".to_owned()));
    }
    let arm = inside.arm;
    let mut response = goods::answer(request, inside.edition()).await;
    let times = match lock(&inside.condition).0 {
        Fault::Slow { times } => times,
        _ => 1,
    };
    tokio::time::sleep(work(arm) * times).await;
    if spoils(&mut lock(&inside.condition), times) {
        response = goods::status(StatusCode::INTERNAL_SERVER_ERROR, "the database does not answer");
    }
    response.headers_mut().insert(SERVER, HeaderValue::from_static(server_name(arm)));
    Ok(response)
}

/// Whether the answer that is given now is to be a failure, by the fault of this moment; counts what a fault spoils.
/// The answer took `times` as long as it should.
fn spoils((fault, spoilt): &mut (Fault, Spoilt), times: u32) -> bool {
    let fails = matches!(*fault, Fault::Fails { one_in } if fastrand::u32(0..one_in.max(1)) == 0);
    let is_slow = matches!(*fault, Fault::Slow { .. }) && times > 1;
    if fails || is_slow {
        spoilt.answers += 1;
        spoilt.first.get_or_insert_with(SystemTime::now);
    }
    fails
}

/// What the database takes: old 8 to 16 ms, and one time in eight up to 24 more; new three quarters of that. Much more
/// than a busy machine adds of its own, and without steps: where many answers take the very same time, next to none takes
/// longer than old's slowest hundredth, and the guard has little to compare.
fn work(arm: Arm) -> Duration {
    let more_us = if fastrand::u8(0..8) == 0 { fastrand::u64(0..=24_000) } else { 0 };
    let old = Duration::from_micros(fastrand::u64(8_000..=16_000) + more_us);
    match arm {
        Arm::Old => old,
        Arm::New => old * 3 / 4,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Instant;

    use super::*;

    #[test]
    fn opens_dies_comes_back_and_closes() {
        let shops = Shops::open().unwrap();
        let address = shops.old.address;
        let connect = || std::net::TcpStream::connect(address);
        let mut connection = connect().unwrap();
        shops.old.kill();
        // The listener goes before the connections do.
        let end = connection.read(&mut [0]);
        assert!(end.as_ref().map_or(true, |&read| read == 0), "{end:?}");
        assert!(connect().is_err());
        assert!(std::net::TcpStream::connect(shops.new.address).is_ok(), "the other one stays");
        shops.old.revive();
        let began = Instant::now();
        while connect().is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "it does not come back");
            std::thread::yield_now();
        }
        shops.close();
        assert!(connect().is_err());
    }

    #[test]
    fn a_fault_spoils_answers_until_it_is_over_but_never_the_health_check() {
        let shops = Shops::open().unwrap();
        let ask = |path: &str| {
            let mut connection = std::net::TcpStream::connect(shops.new.address).unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
            connection.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            answer.split(' ').nth(1).map(str::to_owned).unwrap()
        };
        assert_eq!((ask("/products"), shops.new.spoilt()), ("200".to_owned(), Spoilt::default()));
        shops.new.suffer(Fault::Fails { one_in: 1 });
        let before = SystemTime::now();
        assert_eq!((ask("/products"), ask(HEALTH_PATH)), ("500".to_owned(), "200".to_owned()));
        let spoilt = shops.new.spoilt();
        assert!(spoilt.answers == 1 && spoilt.first >= Some(before), "{spoilt:?}");
        shops.new.suffer(Fault::Slow { times: 4 });
        let began = Instant::now();
        assert_eq!(ask("/products/1"), "200");
        assert!(began.elapsed() >= Duration::from_millis(24));
        assert_eq!(shops.new.spoilt().answers, 1);
        shops.new.suffer(Fault::None);
        assert_eq!((ask("/"), shops.new.spoilt()), ("200".to_owned(), Spoilt::default()));
        shops.close();
    }
}
