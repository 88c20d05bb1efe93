//! Reads a stream through the public interface, as a connection would.

use http1_codec::{BodyDecoder, Field, FieldId, Framing, Limits, Reason, RequestHead, ResponseHead, Version};

/// Which way the stream flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Requests,
    Responses { to_head: bool },
}

/// All that was learnt from a stream.
#[derive(PartialEq, Debug)]
pub(crate) struct Transcript {
    /// The messages that arrived completely.
    pub(crate) messages: Vec<Message>,
    /// Content of a message that did not.
    pub(crate) unfinished: Vec<u8>,
    pub(crate) end: End,
}

/// Why reading ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The stream ended between two messages.
    Complete,
    /// The stream ended within a head.
    Partial,
    /// The last message ended the connection; what follows is not HTTP/1 to this reader.
    Closed,
    Refused(Reason),
}

/// One message; of requests and responses the parts that the other does not have are empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Message {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    /// With the `/` that an absolute-form target may lack.
    pub(crate) path_and_query: Vec<u8>,
    pub(crate) host: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) reason: Vec<u8>,
    pub(crate) version: Version,
    /// All fields but `Host`.
    pub(crate) fields: Vec<Line>,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) upgrade: Option<Vec<u8>>,
    pub(crate) body: Vec<u8>,
    /// Names in lower case.
    pub(crate) trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where in the stream the message ends.
    pub(crate) end: usize,
    /// The bytes of the head.
    pub(crate) head: Ignored<Vec<u8>>,
}

/// One field.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Line {
    pub(crate) id: FieldId,
    /// In lower case.
    pub(crate) name: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) hop: bool,
    pub(crate) parsed: Ignored<Field>,
}

/// Something that does not count when messages are compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ignored<T>(pub(crate) T);

impl<T> PartialEq for Ignored<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> std::ops::Deref for Ignored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Reads a stream that arrives in these pieces and then ends.
pub(crate) fn read<'s>(
    side: Side,
    pieces: impl IntoIterator<Item = &'s [u8]>,
    limits: &Limits,
) -> Transcript {
    let mut reader = Reader::new(side, *limits);
    let mut end = None;
    for piece in pieces {
        reader.buf.extend_from_slice(piece);
        end = reader.advance();
        if end.is_some() {
            break;
        }
    }
    let end = end.unwrap_or_else(|| reader.eof());
    let unfinished = reader.body.map(|(message, _)| message.body).unwrap_or_default();
    Transcript { messages: reader.messages, unfinished, end }
}

struct Reader {
    side: Side,
    limits: Limits,
    /// What arrived and was not consumed.
    buf: Vec<u8>,
    consumed: usize,
    request: RequestHead,
    response: ResponseHead,
    /// The message whose body is being read.
    body: Option<(Message, BodyDecoder)>,
    messages: Vec<Message>,
}

impl Reader {
    fn new(side: Side, limits: Limits) -> Self {
        Self {
            side,
            limits,
            buf: Vec::new(),
            consumed: 0,
            request: RequestHead::new(),
            response: ResponseHead::new(),
            body: None,
            messages: Vec::new(),
        }
    }

    /// Goes as far as the bytes allow. `Some` when the rest of the stream does not matter.
    fn advance(&mut self) -> Option<End> {
        loop {
            if let Some((message, decoder)) = &mut self.body {
                let piece = match decoder.decode(&self.buf) {
                    Ok(piece) => piece,
                    Err(reject) => return Some(End::Refused(reject.reason)),
                };
                assert!(piece.data.end <= piece.consumed && piece.consumed <= self.buf.len());
                message.body.extend_from_slice(&self.buf[piece.data]);
                self.buf.drain(..piece.consumed);
                self.consumed += piece.consumed;
                if decoder.is_done() {
                    let done = self.finish();
                    if done.is_some() {
                        return done;
                    }
                } else if piece.consumed == 0 {
                    return None;
                }
            } else {
                let parsed = match self.side {
                    Side::Requests => self.request.parse(&self.buf, &self.limits),
                    Side::Responses { .. } => self.response.parse(&self.buf, &self.limits),
                };
                match parsed {
                    Err(reject) => return Some(End::Refused(reject.reason)),
                    Ok(false) => return None,
                    Ok(true) => self.begin_body(),
                }
            }
        }
    }

    fn eof(&mut self) -> End {
        match &mut self.body {
            None if self.buf.is_empty() => End::Complete,
            None => End::Partial,
            Some((_, decoder)) => match decoder.eof() {
                Ok(()) => self.finish().unwrap_or(End::Closed),
                Err(reject) => End::Refused(reject.reason),
            },
        }
    }

    fn begin_body(&mut self) {
        let message = match self.side {
            Side::Requests => self.request_message(),
            Side::Responses { to_head } => self.response_message(to_head),
        };
        self.buf.drain(..message.head.len());
        self.consumed += message.head.len();
        let decoder = BodyDecoder::new(message.framing, &self.limits);
        self.body = Some((message, decoder));
        self.request.reset();
        self.response.reset();
    }

    fn finish(&mut self) -> Option<End> {
        let (mut message, decoder) = self.body.take().expect("a body was being read");
        message.end = self.consumed;
        message.trailers = decoder
            .trailers()
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()))
            .collect();
        let closed = !message.keep_alive || message.framing == Framing::UntilClose || message.status == 101;
        self.messages.push(message);
        closed.then_some(End::Closed)
    }

    fn request_message(&self) -> Message {
        let (head, buf) = (&self.request, &self.buf[..]);
        let mut path_and_query = head.path_and_query().of(buf).to_vec();
        if path_and_query.is_empty() && head.method().of(buf) == b"OPTIONS" {
            path_and_query.push(b'*');
        } else if !path_and_query.starts_with(b"/") && path_and_query != b"*" {
            path_and_query.insert(0, b'/');
        }
        check_fields(head.fields(), buf, head.head_len());
        assert_eq!(head.is_head(), head.method().of(buf) == b"HEAD");
        Message {
            method: head.method().of(buf).to_vec(),
            target: head.target().of(buf).to_vec(),
            path_and_query,
            host: head.host().of(buf).to_vec(),
            version: head.version(),
            fields: lines(head.fields(), buf),
            framing: head.framing(),
            keep_alive: head.keep_alive(),
            expects_continue: head.expects_continue(),
            upgrade: head.upgrade().map(|value| value.of(buf).to_vec()),
            head: Ignored(buf[..head.head_len()].to_vec()),
            ..Message::default()
        }
    }

    fn response_message(&self, to_head: bool) -> Message {
        let (head, buf) = (&self.response, &self.buf[..]);
        check_fields(head.fields(), buf, head.head_len());
        Message {
            status: head.status(),
            reason: head.reason().of(buf).to_vec(),
            version: head.version(),
            fields: lines(head.fields(), buf),
            framing: head.framing(to_head),
            // More follows an interim response whatever it says.
            keep_alive: head.keep_alive() || head.is_interim(),
            upgrade: head.upgrade().map(|value| value.of(buf).to_vec()),
            head: Ignored(buf[..head.head_len()].to_vec()),
            ..Message::default()
        }
    }
}

fn lines(fields: &[Field], buf: &[u8]) -> Vec<Line> {
    fields
        .iter()
        .filter(|field| field.id != FieldId::Host)
        .map(|field| Line {
            id: field.id,
            name: field.name.of(buf).to_ascii_lowercase(),
            value: field.value.of(buf).to_vec(),
            hop: field.hop,
            parsed: Ignored(*field),
        })
        .collect()
}

/// The lines are the head, one after the other, and a verbatim line is what a writer would write.
fn check_fields(fields: &[Field], buf: &[u8], head_len: usize) {
    assert!(buf[..head_len].ends_with(b"\r\n\r\n"));
    let mut end = fields.first().map_or(head_len - 2, |field| field.line.start as usize);
    for field in fields {
        let (name, value, line) = (field.name.of(buf), field.value.of(buf), field.line.of(buf));
        assert_eq!(field.line.start as usize, end);
        end = field.line.end as usize;
        let written = [name, b": ", value, b"\r\n"].concat();
        assert_eq!(field.verbatim, written == line, "{}", line.escape_ascii());
        assert!(line.starts_with(name) && line.ends_with(b"\r\n"));
        assert!(line.get(name.len()) == Some(&b':'));
        assert!(!line[..line.len() - 2].iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        assert_eq!(value, value.trim_ascii());
    }
    assert_eq!(end, head_len - 2);
}
