//! Bodies stream: each piece at once, and no faster than the receiving end takes them.

use test_kit::{Config, Framing, Proxy, Scripted, Wire, pattern, request};

use crate::rig;

/// More than all kernel buffers on the way together, which Linux grows to about 6 MiB for each receiver and 4 MiB
/// for each sender.
const STUCK_BY_BYTES: u64 = 48 << 20;

/// What the proxy itself may have in use, a debug build's code and tables included.
const MEMORY_BYTES: u64 = 64 << 20;

#[test]
fn each_piece_of_an_upload_passes_at_once() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::with("POST", "/", &[("content-length", "9")], b""));
    let mut wire = upstream.accept();
    assert_eq!(wire.request_head().framing, Framing::Length(9));
    for piece in ["one", "two", "six"] {
        client.send(piece);
        assert_eq!(wire.exactly(3).unwrap(), piece.as_bytes());
    }
    wire.send(request::ok("ok"));
    assert_eq!(client.response().text(), "ok");

    client.send(request::with("POST", "/", &[("transfer-encoding", "chunked")], b""));
    assert_eq!(wire.request_head().framing, Framing::Chunked);
    for piece in ["one", "two", "six"] {
        client.send(format!("3\r\n{piece}\r\n"));
        assert_eq!(wire.chunk().unwrap(), piece.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(wire.chunk().unwrap(), b"");
}

#[test]
fn each_piece_of_an_answer_passes_at_once() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/events"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(client.response_head().framing, Framing::Chunked);
    for n in 0..5 {
        let event = format!("data: {n}\n\n");
        wire.send(request::chunked(event.as_bytes(), 100).strip_suffix(b"0\r\n\r\n").unwrap());
        assert_eq!(client.chunk().unwrap(), event.as_bytes());
    }
    wire.send("0\r\n\r\n");
    assert_eq!(client.chunk().unwrap(), b"");
}

#[test]
fn an_answer_without_length_passes_at_once_too() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\n\r\n");
    let head = client.response_head();
    assert_eq!(head.framing, Framing::Chunked);
    for piece in ["a", "bc", "def"] {
        wire.send(piece);
        assert_eq!(client.chunk().unwrap(), piece.as_bytes());
    }
    drop(wire);
    assert_eq!(client.chunk().unwrap(), b"");
}

#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    let upstream = Scripted::bind();
    let proxy = Proxy::start(&Config::single(upstream.addr()));
    let mut client = Wire::connect_narrow(proxy.addr(), 64 << 10);
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.narrow_sending(64 << 10);
    wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40));
    let sent = wire.send_until_stuck(4 * STUCK_BY_BYTES);
    assert!(sent < STUCK_BY_BYTES, "{sent} bytes went to a client that reads none");
    assert!(proxy.peak_memory_bytes() < MEMORY_BYTES, "{} bytes in use", proxy.peak_memory_bytes());

    // Once it reads, everything comes, in order.
    client.response_head();
    let mut check = pattern::Check::default();
    client.body_into(Framing::Length(sent), &mut |piece| check.take(piece)).unwrap();
    assert!(check.is_whole(sent), "{check:?} of {sent}");
}

#[test]
fn an_upstream_that_does_not_read_stops_the_client() {
    let (proxy, upstream, mut client) = rig();
    client.narrow_sending(64 << 10);
    client.send(request::with("PUT", "/", &[("content-length", &(1_u64 << 40).to_string())], b""));
    let mut wire = upstream.accept();
    wire.request_head();
    let sent = client.send_until_stuck(4 * STUCK_BY_BYTES);
    assert!(sent < STUCK_BY_BYTES, "{sent} bytes went to an upstream that reads none");
    assert!(proxy.peak_memory_bytes() < MEMORY_BYTES, "{} bytes in use", proxy.peak_memory_bytes());

    let mut check = pattern::Check::default();
    wire.body_into(Framing::Length(sent), &mut |piece| check.take(piece)).unwrap();
    assert!(check.is_whole(sent), "{check:?} of {sent}");
}

#[test]
fn a_slow_client_holds_up_nobody_else() {
    let serving = Scripted::bind().serve(|mut wire| {
        while let Ok(got) = wire.try_request() {
            if got.target == "/huge" {
                wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40));
                wire.send_until_stuck(STUCK_BY_BYTES);
                wire.rest();
                return;
            }
            if wire.try_send(request::ok("quick")).is_err() {
                return;
            }
        }
    });
    let proxy = Proxy::start(&Config::single(serving.addr()));
    let mut slow: Vec<Wire> = (0..8).map(|_| Wire::connect_narrow(proxy.addr(), 16 << 10)).collect();
    for client in &mut slow {
        client.send(request::get("/huge"));
        client.response_head();
    }
    let mut client = proxy.connect();
    for _ in 0..100 {
        assert_eq!(client.exchange(request::get("/")).text(), "quick");
    }
}

#[test]
fn both_directions_at_once() {
    let serving = Scripted::bind().serve(|mut wire| {
        let head = wire.request_head();
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut back = wire.second_handle();
        let mut echo = |piece: &[u8]| {
            back.send(format!("{:x}\r\n", piece.len()));
            back.send(piece);
            back.send("\r\n");
        };
        wire.body_into(head.framing, &mut echo).unwrap();
        wire.send("0\r\n\r\n");
        wire.rest();
    });
    let proxy = Proxy::start(&Config::single(serving.addr()));
    let mut client = proxy.connect();
    const LEN: u64 = 24 << 20;
    client.send(request::with("POST", "/", &[("content-length", &LEN.to_string())], b""));
    let mut sender = client.second_handle();
    let sending = std::thread::spawn(move || sender.try_send_pattern(LEN));
    let head = client.response_head();
    let mut check = pattern::Check::default();
    client.body_into(head.framing, &mut |piece| check.take(piece)).unwrap();
    sending.join().unwrap().unwrap();
    assert!(check.is_whole(LEN), "{check:?}");
}
