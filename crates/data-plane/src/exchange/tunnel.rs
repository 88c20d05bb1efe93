//! Upgraded connections: after `101 Switching Protocols`, bytes both ways (RFC 9110 7.8).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use http1_codec::{Framing, Version};
use migration_glue::{Delivery, Ledger};
use route_plan::Plan;
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
        let observed = ledger.close(Delivery::Complete);
        self.end_copy(plan, &observed, false);
        if begun.is_ok() {
            self.site.worker.cells.tunnels_opened.inc();
            let idle_ms = u64::from(plan.timeouts.tunnel_idle_ms);
            self.client.alarm.set(idle_ms, None);
            poll_fn(|cx| self.poll_tunnel(cx, &mut tunnel, idle_ms)).await;
            self.site.worker.cells.tunnels_closed.inc();
        }
        self.drop_upstream();
        self.log(plan, &observed, tunnel.down.content_bytes());
        Next::Close
    }

    fn poll_tunnel(&mut self, cx: &mut Context<'_>, tunnel: &mut Tunnel, idle_ms: u64) -> Poll<()> {
        let Some(upstream) = &mut self.scratch.legs.upstream else { return Poll::Ready(()) };
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
            return Poll::Ready(());
        }
        if moved.any() || upwards.any() {
            self.client.alarm.set(idle_ms, None);
        }
        if self.client.alarm.expired(cx) || self.site.worker.is_stopping() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
