//! Upgraded connections: after `101 Switching Protocols`, bytes both ways (RFC 9110 7.8).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use http1_codec::{Framing, Version};
use migration_glue::{Delivery, Ledger};
use route_plan::{Drained, Plan};
use tokio::io::AsyncWrite;

use super::H1Exchange;
use crate::client::Next;
use crate::rewrite::AnswerForm;
use crate::transfer::{Broken, Moved, Outgoing, Transfer};
use crate::worker::Site;

/// The two directions of a tunnel, and which have ended.
struct Tunnel {
    up: Transfer,
    up_ended: bool,
    down: Transfer,
    down_ended: bool,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both sides are done, one of them broke, or nothing came for too long.
    Over,
    /// Its user is back on old, and its time was up.
    Drained,
}

impl H1Exchange<'_> {
    /// Passes the answer on, then bytes both ways until both sides are done. One side that ends its half does not
    /// end the other.
    pub(super) async fn tunnel(mut self, plan: &Plan, ledger: Ledger<Site>) -> Next {
        let form =
            AnswerForm { framing: Framing::None, chunked: false, close: false, client: Version::Http11 };
        let mut incoming = self.take_incoming();
        self.write_head(plan, form, incoming.filled());
        incoming.consume(self.scratch.response.head_len());
        let early = self.client.pending.take().unwrap_or_else(|| self.site.worker.buffers.take());
        let endless = || Transfer::new(Framing::UntilClose, Outgoing::Plain, &self.site.view.answer_limits);
        let mut tunnel = Tunnel { up: endless(), up_ended: false, down: endless(), down_ended: false };
        let begun = tunnel.down.begin(incoming, &self.scratch.answer).and(tunnel.up.begin(early, b""));
        // A tunnel is judged at its head: what comes later is between the two ends.
        let mut observed = ledger.close(Delivery::Complete);
        self.end_copy(plan, &observed, false);
        let mut end = End::Over;
        if begun.is_ok() {
            self.site.worker.cells.tunnels_opened.inc();
            // It may take longer than any request.
            self.scratch.legs.total_at_ms = None;
            self.set_alarm(plan.timeouts.tunnel_idle_ms);
            end = poll_fn(|cx| self.poll_tunnel(cx, plan, &mut tunnel)).await;
            self.client.alarm.follow_moves(false);
            self.site.worker.cells.tunnels_closed.inc();
        }
        self.drop_upstream();
        if end == End::Drained {
            self.site.count_drained(plan, Drained::Tunnel);
            observed.drained = true;
        }
        self.log(plan, &observed, tunnel.down.content_bytes());
        match end {
            End::Over => Next::Close,
            // Nothing in a tunnel would tell that something is missing: a reset does.
            End::Drained => Next::Abort,
        }
    }

    fn poll_tunnel(&mut self, cx: &mut Context<'_>, plan: &Plan, tunnel: &mut Tunnel) -> Poll<End> {
        let Some(upstream) = &mut self.scratch.legs.upstream else { return Poll::Ready(End::Over) };
        let (client, upstream) = (&mut self.client.stream, &mut upstream.stream);
        let buffers = &self.site.worker.buffers;
        let mut moved = Moved::default();
        let up = tunnel.up.poll(cx, client, upstream, buffers, &mut moved);
        if up.is_ready() && !tunnel.up_ended {
            tunnel.up_ended = true;
            // If the other end is gone already, the next read tells.
            let _ = Pin::new(&mut *upstream).poll_shutdown(cx);
        }
        let cells = &self.site.worker.cells;
        cells.bytes_in.add(moved.received);
        let upwards = std::mem::take(&mut moved);
        let down = tunnel.down.poll(cx, upstream, client, buffers, &mut moved);
        if down.is_ready() && !tunnel.down_ended {
            tunnel.down_ended = true;
            let _ = Pin::new(client).poll_shutdown(cx);
        }
        cells.bytes_out.add(moved.sent);
        let broken = |polled: &Poll<Result<(), Broken>>| matches!(polled, Poll::Ready(Err(_)));
        if broken(&up) || broken(&down) || (up.is_ready() && down.is_ready()) {
            return Poll::Ready(End::Over);
        }
        if moved.any() || upwards.any() {
            self.set_alarm(plan.timeouts.tunnel_idle_ms);
        }
        if self.is_drained(plan) {
            return Poll::Ready(End::Drained);
        }
        if self.client.alarm.expired(cx) || self.site.worker.is_stopping() {
            return Poll::Ready(End::Over);
        }
        Poll::Pending
    }
}
