//! What one connection to a [`super::FaultyOrigin`] is put through.

use std::fmt::Write;
use std::io;

use super::{Fault, LOOK_AGAIN, Received, Stage};
use crate::{Framing, Request, Wire, pattern, request};

/// Bytes in the body of an answer.
const BODY_BYTES: usize = 2000;

/// Bytes in an endless head.
const HEAD_BYTES: usize = 100 << 20;

/// How a request was left.
enum Left {
    /// The connection can take the next one.
    Open,
    /// The connection ends now.
    Close,
    /// The connection ends when the next request comes.
    CloseOverNext,
}

/// Serves a connection to its end.
pub(super) fn connection(stage: &Stage, wire: &mut Wire, number: u64) {
    let mut close_over_next = false;
    while wire.has_more() && !close_over_next {
        if !stage.mark(number, true) {
            return;
        }
        await_a_reader(stage, wire);
        let Ok(request) = wire.try_request_head() else { return };
        match answer(stage, wire, &request) {
            Ok(Left::Open) => {}
            Ok(Left::CloseOverNext) => close_over_next = true,
            Ok(Left::Close) | Err(_) => return,
        }
        if !stage.mark(number, false) {
            return;
        }
    }
}

/// While the origin is silent nothing is read, until the client gives up.
fn await_a_reader(stage: &Stage, wire: &Wire) {
    let silent = |fault| matches!(fault, Fault::Silent | Fault::Unreachable);
    while silent(stage.fault()) && !wire.has_ended() {
        stage.pause(LOOK_AGAIN, |state| !silent(state.fault));
    }
}

fn answer(stage: &Stage, wire: &mut Wire, request: &Request) -> io::Result<Left> {
    let fault = stage.fault_of(request);
    let early = matches!(fault, Fault::Early | Fault::EarlyAndClosed);
    let mut received = Received {
        id: request.fields.get("x-request-id").unwrap_or_default().to_owned(),
        method: request.method.clone(),
        target: request.target.clone(),
        body_bytes: 0,
        intact: true,
    };
    let good = if early {
        stage.record(received.clone());
        whole(stage, &received, 200, None)
    } else {
        let mut check = pattern::Check::default();
        if wire.body_into(request.framing, &mut |piece| check.take(piece)).is_err() {
            return Ok(Left::Close);
        }
        (received.body_bytes, received.intact) = (check.seen, check.wrong_at.is_none());
        stage.record(received.clone());
        let status = if received.intact { 200 } else { 422 };
        whole(stage, &received, status, Some(check.seen))
    };
    act(stage, wire, request.framing, fault, &received, &good)
}

/// What the fault makes of a good answer.
fn act(
    stage: &Stage,
    wire: &mut Wire,
    framing: Framing,
    fault: Fault,
    received: &Received,
    good: &[u8],
) -> io::Result<Left> {
    let in_body = good.len() - BODY_BYTES / 2;
    match fault {
        Fault::Unanswered => return Ok(Left::Close),
        Fault::ResetInHead => return cut_and_reset(wire, &good[..20]),
        Fault::ResetInBody => return cut_and_reset(wire, &good[..in_body]),
        Fault::ClosedInBody => wire.try_send(&good[..in_body])?,
        Fault::StalledInBody => {
            wire.try_send(&good[..in_body])?;
            while !wire.has_ended() {
                stage.pause(LOOK_AGAIN, |_| false);
            }
        }
        Fault::Garbage => wire.try_send("\x16\x03\x01 what is this?\r\n\r\n")?,
        Fault::EndlessHead => endless_head(wire)?,
        Fault::Early => {
            wire.try_send(good)?;
            return Ok(if wire.body_into(framing, &mut |_| {}).is_ok() { Left::Open } else { Left::Close });
        }
        Fault::EarlyAndClosed => wire.try_send(good)?,
        Fault::ClosedAfter(time) => {
            wire.try_send(good)?;
            stage.pause(time, |_| false);
        }
        Fault::ClosedWhenReused => {
            wire.try_send(good)?;
            return Ok(Left::CloseOverNext);
        }
        Fault::Status(status) => {
            wire.try_send(whole(stage, received, status, Some(received.body_bytes)))?;
            return Ok(Left::Open);
        }
        Fault::Slow(time) => {
            stage.pause(time, |_| false);
            wire.try_send(good)?;
            return Ok(Left::Open);
        }
        Fault::Healthy | Fault::Refusing | Fault::Unreachable | Fault::Silent => {
            wire.try_send(good)?;
            return Ok(Left::Open);
        }
    }
    Ok(Left::Close)
}

/// Sends the beginning of an answer and has the connection end in a reset, which may overtake it.
fn cut_and_reset(wire: &mut Wire, start: &[u8]) -> io::Result<Left> {
    wire.try_send(start)?;
    wire.reset_on_close();
    Ok(Left::Close)
}

fn endless_head(wire: &mut Wire) -> io::Result<()> {
    let lines = format!("x-more: {}\r\n", "m".repeat(990)).repeat(64);
    wire.try_send("HTTP/1.1 200 OK\r\n")?;
    let mut sent = 0;
    while sent < HEAD_BYTES {
        wire.try_send(&lines)?;
        sent += lines.len();
    }
    Ok(())
}

/// A whole answer: in chunks when the target begins with `/stream`, else sized.
fn whole(stage: &Stage, received: &Received, status: u16, body_bytes: Option<u64>) -> Vec<u8> {
    let mut head =
        format!("HTTP/1.1 {status} Said\r\nx-origin: {}\r\nx-answers: {}\r\n", stage.name, received.id);
    if let Some(bytes) = body_bytes {
        write!(head, "x-body-bytes: {bytes}\r\n").expect("writing to a string cannot fail");
    }
    let body = pattern::bytes(BODY_BYTES);
    if received.target.starts_with("/stream") {
        head.push_str("transfer-encoding: chunked\r\n\r\n");
        [head.into_bytes(), request::chunked(&body, BODY_BYTES / 3)].concat()
    } else {
        write!(head, "content-length: {BODY_BYTES}\r\n\r\n").expect("writing to a string cannot fail");
        [head.into_bytes(), body].concat()
    }
}
