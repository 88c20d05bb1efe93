//! One connection, one request, one answer.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ramp::hook_url::HookUrl;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::error::{Fault, Stage, in_full};
use crate::tls::Tls;
use crate::{Answer, MAX_ANSWER_BYTES};

/// So many addresses of a name are tried at most.
const MAX_ADDRESSES: usize = 8;

/// The longest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Sends `request` to `url` and waits for the whole answer; `stage` says how far that has come. Whoever drops this
/// before its end closes the connection: nothing runs beside it, but for a look-up in the system's resolver.
pub(crate) async fn exchange(
    url: &HookUrl,
    request: Request<Full<Bytes>>,
    tls: &Tls,
    deadline: Instant,
    stage: &mut Stage,
) -> Result<Answer, Fault> {
    let addresses = resolve(url).await?;
    *stage = Stage::Connecting;
    let stream = connect(&addresses, deadline).await?;
    if !url.is_https() {
        return converse(stream, request, stage).await;
    }
    *stage = Stage::Handshake;
    let stream = tls.handshake(url, stream).await?;
    converse(stream, request, stage).await
}

async fn resolve(url: &HookUrl) -> Result<Vec<SocketAddr>, Fault> {
    let endpoint = url.endpoint();
    if let Some(literal) = endpoint.addr {
        return Ok(vec![literal]);
    }
    let unresolved = |cause: String| Fault::Unresolved { cause };
    let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let found: Vec<_> = found.map_err(|error| unresolved(error.to_string()))?.take(MAX_ADDRESSES).collect();
    if found.is_empty() { Err(unresolved("the name has no address".to_owned())) } else { Ok(found) }
}

/// Tries each address in turn. One that says nothing takes no more than its part of the time that is left.
async fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Fault> {
    let mut causes = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        let part = deadline.saturating_duration_since(Instant::now()) / left;
        let outcome = match left {
            // The time of the last one ends with the whole call's.
            1 => TcpStream::connect(address).await,
            _ => timeout(part, TcpStream::connect(address))
                .await
                .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"))),
        };
        match outcome {
            Ok(stream) => return Ok(stream),
            Err(error) if addresses.len() == 1 => causes.push(error.to_string()),
            Err(error) => causes.push(format!("{address}: {error}")),
        }
    }
    Err(Fault::Unreachable { cause: causes.join("; ") })
}

async fn converse<S>(stream: S, request: Request<Full<Bytes>>, stage: &mut Stage) -> Result<Answer, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    *stage = Stage::Waiting;
    let broken = |error: hyper::Error| Fault::Broken { cause: in_full(&error) };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut answer = pin!(async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Fault::Status(status.as_u16()));
        }
        *stage = Stage::Receiving;
        Ok(Answer { status: status.as_u16(), body: whole(response.into_body()).await? })
    });
    tokio::select! {
        biased;
        outcome = &mut answer => outcome,
        // The connection has ended. What it brought is still to be read, and so is what became of it.
        _ = connection => answer.await,
    }
}

async fn whole(body: Incoming) -> Result<Bytes, Fault> {
    match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLong),
        Err(error) => Err(Fault::Broken { cause: in_full(error.as_ref()) }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use test_kit::{DEADLINE, Deaf, Scripted, refusing_address};

    use super::*;

    #[tokio::test]
    async fn the_addresses_of_a_name_are_tried_in_turn() {
        let (refusing, _kept) = refusing_address();
        let deaf = Deaf::bind();
        let good = Scripted::bind();
        let addresses = [refusing, deaf.addr(), good.addr()];
        let stream = connect(&addresses, Instant::now() + Duration::from_secs(6)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.addr());
    }

    #[tokio::test]
    async fn each_address_has_its_cause() {
        let ((one, _kept_one), (other, _kept_other)) = (refusing_address(), refusing_address());
        let fault = connect(&[one, other], Instant::now() + DEADLINE).await.unwrap_err();
        let refused = "Connection refused (os error 111)";
        assert_eq!(fault, Fault::Unreachable { cause: format!("{one}: {refused}; {other}: {refused}") });
    }
}
