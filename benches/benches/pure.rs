//! What one decision and one head cost, apart from all sockets.

use std::net::IpAddr;

use http1_codec::{HeadWriter, Limits, RequestHead, ResponseHead};
use route_plan::{Snapshot, normalise_path, plan};
use traffic_split::{Bucket, RequestView};

const REQUEST: &[u8] = b"GET /checkout/items?id=7 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: bench/1\r\n\
    Accept: */*\r\nAccept-Encoding: gzip\r\nx-user-id: user-0007919\r\nCookie: session=0123456789abcdef\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
    X-Backend: A\r\nContent-Length: 199\r\n\r\n";
const CONFIG: &str = include_str!("../../config/minimal.toml");

fn main() {
    divan::main();
}

#[divan::bench]
fn bucket() -> Bucket {
    Bucket::of(divan::black_box(b"shop"), divan::black_box(b"user-0007919"))
}

#[divan::bench]
fn request_head(bencher: divan::Bencher<'_, '_>) {
    let (mut head, limits) = (RequestHead::new(), Limits::default());
    bencher.bench_local(|| {
        head.reset();
        head.parse(divan::black_box(REQUEST), &limits)
    });
}

#[divan::bench]
fn response_head(bencher: divan::Bencher<'_, '_>) {
    let (mut head, limits) = (ResponseHead::new(), Limits::default());
    bencher.bench_local(|| {
        head.reset();
        head.parse(divan::black_box(ANSWER), &limits)
    });
}

#[divan::bench]
fn copied_head(bencher: divan::Bencher<'_, '_>) {
    let (mut head, mut out) = (RequestHead::new(), Vec::new());
    head.parse(REQUEST, &Limits::default()).expect("a valid head");
    bencher.bench_local(|| {
        out.clear();
        let mut writer = HeadWriter::new(&mut out);
        writer.request_line(b"GET", b"/checkout/items?id=7");
        head.fields().iter().for_each(|field| writer.copy_field(REQUEST, field));
        writer.field("X-Forwarded-For", b"192.0.2.1");
        writer.end();
    });
}

#[divan::bench(args = ["/checkout/items", "/checkout/./%7Euser/../items"])]
fn normalised_path(path: &str) -> usize {
    normalise_path(divan::black_box(path.as_bytes())).map_or(0, |path| path.len())
}

#[divan::bench]
fn whole_plan(bencher: divan::Bencher<'_, '_>) {
    let snapshot = snapshot();
    bencher.bench_local(|| plan(divan::black_box(&snapshot), &View, &mut || 0));
}

fn snapshot() -> Snapshot {
    let outcome = config_file::parse(CONFIG, "minimal.toml", &|_| None, &config_file::NoFiles);
    let checked = outcome.checked.expect("the example is valid");
    checked.snapshot(1, &|name| {
        checked.migration(name).map(config_file::MigrationConfig::standing).expect("the migration exists")
    })
}

struct View;

impl RequestView for View {
    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn host(&self) -> &[u8] {
        b"shop.example.com"
    }

    fn path(&self) -> &[u8] {
        b"/checkout/items"
    }

    fn query(&self) -> Option<&[u8]> {
        Some(b"id=7")
    }

    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        (name == "x-user-id" && nth == 0).then_some(b"user-0007919".as_slice())
    }

    fn client_ip(&self) -> IpAddr {
        IpAddr::from([192, 0, 2, 1])
    }

    fn peer_ip(&self) -> IpAddr {
        IpAddr::from([192, 0, 2, 1])
    }

    fn request_id(&self) -> &[u8] {
        b"0123456789abcdef"
    }
}
