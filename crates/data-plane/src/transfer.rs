//! One message body on its way from one connection to the other.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http1_codec::{
    BodyDecoder, CHUNK_END, Framing, Limits, Reject, Trailers, write_chunk_head, write_last_chunk,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::buffer::{Buffer, BufferPool};
use crate::copies::Capture;
use crate::keep::Keep;

/// Why a transfer ended before the message did.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The sender's connection failed or ended too soon.
    Source,
    /// The sender's framing is wrong.
    Malformed(Reject),
    /// There is more content than may be passed on.
    TooLarge,
    /// The receiver's connection failed.
    Sink,
}

/// How the content is framed for the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// By a length announced in the head, or by the end of the connection.
    Plain,
    /// In chunks of our own.
    Chunked,
}

/// What one poll moved, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moved {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Moved {
    pub(crate) fn any(self) -> bool {
        self.received > 0 || self.sent > 0
    }
}

/// A body in transfer. Holds at most one buffer, and reads on only when that has been sent: a receiver that does not
/// read stops the sender.
pub(crate) struct Transfer {
    decoder: BodyDecoder,
    outgoing: Outgoing,
    /// Ready to be sent.
    wire: Option<Buffer>,
    /// What the sender sent behind the message.
    rest: Option<Buffer>,
    /// The end of the message is in `wire`, or sent.
    ended: bool,
    /// Content received so far, in bytes, framing not counted.
    content_bytes: u64,
    /// Most content that is passed on, in bytes.
    most_bytes: u64,
    /// A copy of the content received so far, if it may have to be sent again.
    keep: Option<Keep>,
    /// What the content is captured by as it passes, where a copy of the request is compared.
    tee: Option<Box<Capture>>,
}

impl Transfer {
    pub(crate) fn new(framing: Framing, outgoing: Outgoing, limits: &Limits) -> Transfer {
        let decoder = BodyDecoder::new(framing, limits);
        let ended = decoder.is_done();
        let most_bytes = u64::MAX;
        Transfer {
            decoder,
            outgoing,
            wire: None,
            rest: None,
            ended,
            content_bytes: 0,
            most_bytes,
            keep: None,
            tee: None,
        }
    }

    /// Passes on no more content than this. To be called before [`Transfer::begin`].
    pub(crate) fn limit(&mut self, most_bytes: u64) {
        self.most_bytes = most_bytes;
    }

    /// Keeps a copy of the content from now on. To be called before [`Transfer::begin`].
    pub(crate) fn keep(&mut self, keep: Option<Keep>) {
        self.keep = keep;
    }

    /// Captures the content from now on. To be called before [`Transfer::begin`].
    pub(crate) fn tee(&mut self, tee: Option<Box<Capture>>) {
        self.tee = tee;
    }

    pub(crate) fn take_tee(&mut self) -> Option<Box<Capture>> {
        self.tee.take()
    }

    /// The trailers, once everything was received.
    pub(crate) fn trailers(&self) -> &Trailers {
        self.decoder.trailers()
    }

    pub(crate) fn take_keep(&mut self) -> Option<Keep> {
        self.keep.take()
    }

    /// Whether all content received so far has been kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.content_bytes == 0 || self.keep.as_ref().is_some_and(Keep::is_whole)
    }

    /// Begins anew for another receiver: `head`, what was received of the content, and then what is still to come. All of
    /// it has to have been kept.
    pub(crate) fn begin_again(&mut self, mut buffer: Buffer, head: &[u8]) {
        debug_assert!(self.is_kept(), "content is missing");
        let keep = self.keep.take();
        let content = keep.as_ref().map(Keep::content).unwrap_or_default();
        buffer.append(content);
        self.frame(&mut buffer, content.len());
        if self.ended {
            self.finish(&mut buffer);
        }
        buffer.prepend(head);
        self.wire = Some(buffer);
    }

    /// Everything was received; some of it may still have to be sent.
    pub(crate) fn is_received(&self) -> bool {
        self.ended
    }

    /// Everything was received and sent.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.wire.is_none()
    }

    /// Content received so far, in bytes.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Whether something waits for the receiver to take it.
    pub(crate) fn has_unsent(&self) -> bool {
        self.wire.is_some()
    }

    /// What came behind the message, if anything did.
    pub(crate) fn take_rest(&mut self) -> Option<Buffer> {
        self.rest.take()
    }

    /// Whether anything came behind the message.
    pub(crate) fn has_rest(&self) -> bool {
        self.rest.is_some()
    }

    /// Takes in bytes that came with the head and puts the receiver's `head` before them.
    pub(crate) fn begin(&mut self, mut buffer: Buffer, head: &[u8]) -> Result<(), Broken> {
        self.encode(&mut buffer)?;
        buffer.prepend(head);
        self.wire = Some(buffer);
        Ok(())
    }

    /// Moves on as far as both connections let it, and adds up what it `moved`.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        pool: &Rc<BufferPool>,
        moved: &mut Moved,
    ) -> Poll<Result<(), Broken>> {
        loop {
            ready!(self.poll_send(cx, to, moved))?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = pool.take();
            match ready!(poll_read(cx, from, &mut buffer)) {
                Err(_) => return Poll::Ready(Err(Broken::Source)),
                Ok(0) => {
                    self.decoder.eof().map_err(|_| Broken::Source)?;
                    self.finish(&mut buffer);
                    self.wire = Some(buffer);
                }
                Ok(count) => {
                    moved.received += count as u64;
                    self.encode(&mut buffer)?;
                    self.wire = Some(buffer);
                }
            }
        }
    }

    /// Sends what is ready to be sent.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut TcpStream,
        moved: &mut Moved,
    ) -> Poll<Result<(), Broken>> {
        while let Some(wire) = &mut self.wire {
            if wire.is_empty() {
                self.wire = None;
                break;
            }
            match ready!(Pin::new(&mut *to).poll_write(cx, wire.filled())) {
                Ok(sent) if sent > 0 => {
                    moved.sent += sent as u64;
                    wire.consume(sent);
                }
                _ => return Poll::Ready(Err(Broken::Sink)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Turns received bytes into what is to be sent, where they lie.
    fn encode(&mut self, buffer: &mut Buffer) -> Result<(), Broken> {
        let (mut at, mut from, mut length) = (0, None, 0);
        while !self.decoder.is_done() && at < buffer.len() {
            let piece = self
                .decoder
                .decode(buffer.filled().get(at..).unwrap_or_default())
                .map_err(Broken::Malformed)?;
            if piece.consumed == 0 {
                break;
            }
            if !piece.data.is_empty() {
                let begins = *from.get_or_insert(at + piece.data.start);
                buffer.shift(at + piece.data.start, piece.data.len(), begins + length);
                length += piece.data.len();
            }
            at += piece.consumed;
        }
        if at < buffer.len() {
            self.rest = Some(Buffer::kept(buffer.filled().get(at..).unwrap_or_default()));
        }
        buffer.keep(from.unwrap_or(0), length);
        self.content_bytes += length as u64;
        if self.content_bytes > self.most_bytes {
            return Err(Broken::TooLarge);
        }
        if let Some(keep) = &mut self.keep
            && length > 0
        {
            keep.take_note(buffer.filled());
        }
        if let Some(tee) = &mut self.tee {
            tee.take(buffer.filled());
        }
        self.frame(buffer, length);
        if self.decoder.is_done() {
            self.finish(buffer);
        }
        Ok(())
    }

    /// Makes the content in the buffer a chunk, where chunks are sent.
    fn frame(&self, buffer: &mut Buffer, length: usize) {
        if self.outgoing == Outgoing::Chunked && length > 0 {
            let mut size = Vec::with_capacity(20);
            write_chunk_head(&mut size, length);
            buffer.prepend(&size);
            buffer.append(CHUNK_END);
        }
    }

    fn finish(&mut self, buffer: &mut Buffer) {
        self.ended = true;
        if self.outgoing == Outgoing::Chunked {
            let mut last = Vec::with_capacity(64);
            write_last_chunk(&mut last, Some(self.decoder.trailers()));
            buffer.append(&last);
        }
    }
}

/// Reads once into the free space of `buffer`. `Ok(0)` is the end of the stream.
pub(crate) fn poll_read(
    cx: &mut Context<'_>,
    from: &mut TcpStream,
    buffer: &mut Buffer,
) -> Poll<io::Result<usize>> {
    let mut space = ReadBuf::new(buffer.space());
    ready!(Pin::new(from).poll_read(cx, &mut space))?;
    let count = space.filled().len();
    buffer.added(count);
    Poll::Ready(Ok(count))
}
