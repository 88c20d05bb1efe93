//! Connections of the admin interface: few, and none for long.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many connections are served at once; more are closed as they come.
pub const MAX_CONNECTIONS: usize = 128;
/// How long a request's head may take, and how long a connection may idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last in all: a client that reads an answer byte by byte holds its place no longer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// How long to wait when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const BUFFER_BYTES: usize = 64 << 10;

/// Serves connections until it is dropped, and all of them end with it.
pub async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "the admin interface cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("the admin interface has {MAX_CONNECTIONS} connections and closes a new one");
            continue;
        };
        let router = router.clone();
        connections.spawn(async move {
            let _place = place;
            // A connection that ends early or badly is its client's affair.
            let _ = timeout(CONNECTION_TIMEOUT, connection(stream, router)).await;
        });
    }
}

async fn connection(stream: TcpStream, router: Router) -> hyper::Result<()> {
    // Answers are small and written at once.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
}
