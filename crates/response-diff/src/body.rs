//! Bodies, by what they hold.

mod bytes;
mod frames;
mod parts;
pub(crate) mod records;

use std::borrow::Cow;

use crate::answer::{Answer, Body};
use crate::charset;
use crate::decode;
use crate::findings::Findings;
use crate::json;
use crate::limits::Limits;
use crate::media::{BodyKind, MediaType};
use crate::message::{self, OwnedField};
use crate::outcome::{Kind, NotCompared};
use crate::rules::Rules;
use crate::text;

use bytes::Print;
use records::Unread;
pub(crate) use records::percent_decoded;

/// The place of a body as a whole.
const BODY: &str = "body";

/// Compares the bodies of two answers.
///
/// # Errors
/// Why they cannot be compared. What was found until then is worth nothing.
pub(crate) fn compare(
    old: &Answer<'_>,
    new: &Answer<'_>,
    rules: &Rules,
    limits: &Limits,
    findings: &mut Findings,
) -> Result<(), NotCompared> {
    let (old, new) = (Side::of(old), Side::of(new));
    let pair = Pair { old: &old, new: &new, rules, limits };
    match (old.body, new.body) {
        (Body::Incomplete(_), _) | (_, Body::Incomplete(_)) => Err(NotCompared::Incomplete),
        (Body::Whole(old), Body::Whole(new)) => pair.whole(old, new, findings),
        _ => pair.hashed(findings),
    }
}

/// The trailers that a body of gRPC-Web ends with, as a message of their own; none where it has none.
pub(crate) fn web_trailers(answer: &Answer<'_>, limits: &Limits) -> Vec<OwnedField> {
    let side = Side::of(answer);
    let is_web = side.media.as_ref().is_some_and(|media| media.essence.starts_with("application/grpc-web"));
    let (Body::Whole(body), true, Ok(codings)) = (side.body, is_web, decode::codings(answer)) else {
        return Vec::new();
    };
    let Ok(body) = decode::decode(body, &codings, limits.decoded_bytes) else { return Vec::new() };
    let frames = frames::frames(&body).unwrap_or_default();
    frames.iter().filter_map(frames::Frame::trailers).flat_map(message::field_lines).collect()
}

/// Whether nothing speaks against that bodies of parts have the boundaries which their Content-Types name. Where that
/// cannot be told, what it is about is not compared at all, or there is no body.
pub(crate) fn boundaries_fit(old: &Answer<'_>, new: &Answer<'_>, limits: &Limits) -> bool {
    let (old, new) = (Side::of(old), Side::of(new));
    if old.boundary() == new.boundary() {
        return true;
    }
    // The same bytes have the same boundaries in them.
    let is_same_hash = matches!(old.body, Body::Hashed { .. }) && old.body == new.body;
    !is_same_hash && old.has_its_boundary(limits) && new.has_its_boundary(limits)
}

/// One of the two.
struct Side<'a, 's> {
    answer: &'s Answer<'a>,
    media: Option<MediaType>,
    body: Body<'a>,
}

impl<'a, 's> Side<'a, 's> {
    fn of(answer: &'s Answer<'a>) -> Self {
        // Whatever came with them is no body (RFC 9110 sections 15.2, 15.3.5 and 15.4.5).
        let has_none = matches!(answer.status, 100..=199 | 204 | 304);
        let body = if has_none { Body::Whole(b"") } else { answer.body };
        Side { answer, media: MediaType::of(answer), body }
    }

    fn kind(&self) -> Option<BodyKind> {
        self.media.as_ref().map(MediaType::kind)
    }

    /// What parts are said to be delimited by.
    fn boundary(&self) -> Option<&str> {
        let media = self.media.as_ref().filter(|media| media.kind() == BodyKind::Multipart)?;
        media.parameter("boundary").filter(|boundary| !boundary.is_empty())
    }

    fn has_its_boundary(&self, limits: &Limits) -> bool {
        let Body::Whole(body) = self.body else { return true };
        let Ok(body) = self.decoded(body, limits) else { return true };
        body.is_empty() || self.boundary().is_some_and(|boundary| parts::has_boundary(&body, boundary))
    }

    fn is_coded(&self) -> bool {
        decode::names(self.answer).next().is_some()
    }

    fn decoded(&self, body: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, NotCompared> {
        decode::decode(body, &decode::codings(self.answer)?, limits.decoded_bytes)
    }

    fn text<'b>(&self, body: &'b [u8], kind: BodyKind) -> Option<Cow<'b, str>> {
        charset::text(body, self.media.as_ref(), kind)
    }

    /// What was captured, without its coding as far as that can be told.
    fn print(&self, limits: &Limits) -> Result<Print, NotCompared> {
        match self.body {
            Body::Whole(body) => Ok(Print::of(&self.decoded(body, limits)?)),
            Body::Hashed { .. } if self.is_coded() => Err(NotCompared::CaptureLimit),
            Body::Hashed { bytes, hash } => Ok(Print { bytes, hash }),
            Body::Incomplete(_) => Err(NotCompared::Incomplete),
        }
    }
}

struct Pair<'p, 'a> {
    old: &'p Side<'a, 'p>,
    new: &'p Side<'a, 'p>,
    rules: &'p Rules,
    limits: &'p Limits,
}

/// A body's bytes, decoded, and its text where it has one.
struct Texts<'t> {
    old: &'t [u8],
    new: &'t [u8],
}

impl<'a> Pair<'_, 'a> {
    fn whole(&self, old: &'a [u8], new: &'a [u8], findings: &mut Findings) -> Result<(), NotCompared> {
        let is_same = self.same_bytes_match();
        if old == new && is_same && decode::names(self.old.answer).eq(decode::names(self.new.answer)) {
            return Ok(());
        }
        let (old, new) = (self.old.decoded(old, self.limits)?, self.new.decoded(new, self.limits)?);
        if old == new && (is_same || old.is_empty()) {
            return Ok(());
        }
        let texts = Texts { old: &old, new: &new };
        if old.is_empty() || new.is_empty() {
            self.only_one(&texts, findings);
            return Ok(());
        }
        match self.kind() {
            Agreed::On(kind) => self.by_kind(kind, &texts, findings),
            Agreed::MaybeJson => self.maybe_json(&texts, findings),
            Agreed::Not => {
                self.other_type(&texts, findings);
                Ok(())
            }
        }
    }

    /// At least one of the two is known by its hash alone.
    fn hashed(&self, findings: &mut Findings) -> Result<(), NotCompared> {
        let is_same = self.same_bytes_match();
        let is_same_coding = decode::names(self.old.answer).eq(decode::names(self.new.answer));
        if self.old.body == self.new.body && is_same_coding && is_same {
            return Ok(());
        }
        let (old, new) = (self.old.print(self.limits)?, self.new.print(self.limits)?);
        if old == new && is_same {
            return Ok(());
        }
        let is_one_empty = (old.bytes == 0) != (new.bytes == 0);
        let bytes_tell = match self.kind() {
            Agreed::On(kind) => !kind.has_structure() && !self.rules.has_text_rule(BODY),
            // Text, unless nothing is said at all.
            Agreed::MaybeJson => self.old.media.is_some() && !self.rules.has_text_rule(BODY),
            Agreed::Not => false,
        };
        if !(is_one_empty || bytes_tell && self.is_read_alike()) {
            return Err(NotCompared::CaptureLimit);
        }
        bytes::compare_prints(BODY, BODY, old, new, findings);
        Ok(())
    }

    /// Whether the same bytes are the same whatever they hold: not where old's form is to be another one than new's, nor
    /// where they are read as other letters.
    fn same_bytes_match(&self) -> bool {
        self.rules.json().same_bytes_match() && self.is_read_alike()
    }

    /// Whether both name one charset, as far as it matters: structured bodies are UTF-8 whatever is named.
    fn is_read_alike(&self) -> bool {
        let charset = |side: &Side<'_, '_>| side.media.as_ref().and_then(charset::named);
        let is_text = matches!(self.kind(), Agreed::On(BodyKind::Text) | Agreed::MaybeJson);
        !is_text || charset(self.old) == charset(self.new)
    }

    /// As what both are compared.
    fn kind(&self) -> Agreed {
        use BodyKind::{Json, Text};
        let may_hide_json = |side: &Side<'_, '_>| side.media.as_ref().is_some_and(MediaType::may_hide_json);
        match (self.old.kind(), self.new.kind()) {
            (None, None) => Agreed::MaybeJson,
            (Some(Text), Some(Text)) if may_hide_json(self.old) && may_hide_json(self.new) => {
                Agreed::MaybeJson
            }
            (Some(old), Some(new)) if old == new => Agreed::On(old),
            (Some(kind), None) | (None, Some(kind)) => Agreed::On(kind),
            // One says that it is JSON; whether the other is, it tells itself.
            (Some(Json), _) | (_, Some(Json)) => Agreed::On(Json),
            (Some(old), Some(new)) if old.has_structure() || new.has_structure() => Agreed::Not,
            _ => Agreed::On(Text),
        }
    }

    fn by_kind(&self, kind: BodyKind, texts: &Texts<'_>, findings: &mut Findings) -> Result<(), NotCompared> {
        match kind {
            BodyKind::Json => self.json(texts, findings),
            BodyKind::JsonLines => self.records(kind, texts, records::lines, findings),
            BodyKind::JsonSequence => self.records(kind, texts, records::sequence, findings),
            BodyKind::Events => self.records(kind, texts, records::events, findings),
            BodyKind::Form => self.records(kind, texts, |text, _| records::form(text), findings),
            BodyKind::Text => {
                self.text(texts, findings);
                Ok(())
            }
            BodyKind::Multipart => {
                self.parts(texts, findings);
                Ok(())
            }
            BodyKind::Grpc => match (frames::frames(texts.old), frames::frames(texts.new)) {
                (Some(old), Some(new)) => {
                    frames::compare((self.old.answer, &old), (self.new.answer, &new), self.limits, findings)
                }
                _ => {
                    bytes::compare(BODY, BODY, texts.old, texts.new, findings);
                    Ok(())
                }
            },
            BodyKind::Bytes => {
                bytes::compare(BODY, BODY, texts.old, texts.new, findings);
                Ok(())
            }
        }
    }

    fn json(&self, texts: &Texts<'_>, findings: &mut Findings) -> Result<(), NotCompared> {
        let old = self.old.text(texts.old, BodyKind::Json);
        let new = self.new.text(texts.new, BodyKind::Json);
        match (self.parse(old.as_deref())?, self.parse(new.as_deref())?) {
            (Some(old), Some(new)) => self.documents(&old, &new, findings),
            (None, None) => match self.read(BodyKind::JsonLines, texts, records::lines)? {
                // Documents behind each other under the name of one.
                (Some(old), Some(new)) => self.documents_of(&old, &new, findings),
                _ => {
                    self.text(texts, findings);
                    Ok(())
                }
            },
            _ => {
                self.other_type(texts, findings);
                Ok(())
            }
        }
    }

    /// No type is named, or one under which JSON is sent as well: two objects or arrays are JSON. Without any type at
    /// all, so is every other document.
    fn maybe_json(&self, texts: &Texts<'_>, findings: &mut Findings) -> Result<(), NotCompared> {
        let is_untyped = self.old.media.is_none() && self.new.media.is_none();
        let looks_like_it = |body: &[u8]| {
            let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
            body.starts_with(b"{") || body.starts_with(b"[")
        };
        let (is_old, is_new) = (looks_like_it(texts.old), looks_like_it(texts.new));
        let parsed = |side: &Side<'_, '_>, body, looks_like_it| match side.text(body, BodyKind::Text) {
            Some(text) if looks_like_it || is_untyped => self.parse(Some(&text)).map(|json| json.is_some()),
            _ => Ok(false),
        };
        match (parsed(self.old, texts.old, is_old)?, parsed(self.new, texts.new, is_new)?) {
            (true, true) => self.json(texts, findings),
            (true, false) if is_untyped && is_old => {
                self.other_type(texts, findings);
                Ok(())
            }
            (false, true) if is_untyped && is_new => {
                self.other_type(texts, findings);
                Ok(())
            }
            _ => {
                self.text(texts, findings);
                Ok(())
            }
        }
    }

    fn parse<'t>(&self, text: Option<&'t str>) -> Result<Option<json::Json<'t>>, NotCompared> {
        let Some(text) = text else { return Ok(None) };
        match json::parse(text, self.limits) {
            Ok(json) => Ok(Some(json)),
            Err(json::Unparsed::Malformed { .. }) => Ok(None),
            Err(json::Unparsed::TooMuch(why)) => Err(why),
        }
    }

    fn documents(
        &self,
        old: &json::Json<'_>,
        new: &json::Json<'_>,
        findings: &mut Findings,
    ) -> Result<(), NotCompared> {
        json::compare(old, new, self.rules.json(), self.limits, findings)
    }

    /// Compares two texts that were made to be JSON.
    fn documents_of(&self, old: &str, new: &str, findings: &mut Findings) -> Result<(), NotCompared> {
        match (self.parse(Some(old))?, self.parse(Some(new))?) {
            (Some(old), Some(new)) => self.documents(&old, &new, findings),
            // Not to be expected of what was put together from documents.
            _ => Err(NotCompared::Encoding),
        }
    }

    fn records(
        &self,
        kind: BodyKind,
        texts: &Texts<'_>,
        reader: impl Fn(&str, &Limits) -> Result<String, Unread>,
        findings: &mut Findings,
    ) -> Result<(), NotCompared> {
        match self.read(kind, texts, reader)? {
            (Some(old), Some(new)) => self.documents_of(&old, &new, findings),
            (None, None) => {
                self.text(texts, findings);
                Ok(())
            }
            _ => {
                self.other_type(texts, findings);
                Ok(())
            }
        }
    }

    /// Both as JSON texts, where they are of the kind.
    fn read(
        &self,
        kind: BodyKind,
        texts: &Texts<'_>,
        reader: impl Fn(&str, &Limits) -> Result<String, Unread>,
    ) -> Result<(Option<String>, Option<String>), NotCompared> {
        let read =
            |side: &Side<'_, '_>, body| match side.text(body, kind).map(|text| reader(&text, self.limits)) {
                Some(Ok(json)) => Ok(Some(json)),
                Some(Err(Unread::TooMuch(why))) => Err(why),
                Some(Err(Unread::Malformed)) | None => Ok(None),
            };
        Ok((read(self.old, texts.old)?, read(self.new, texts.new)?))
    }

    fn text(&self, texts: &Texts<'_>, findings: &mut Findings) {
        let (old, new) = self.both(texts);
        self.lines(&old, &new, findings);
    }

    fn lines(&self, old: &str, new: &str, findings: &mut Findings) {
        if old != new && !self.rules.is_same_text(BODY, old, new) {
            text::compare(BODY, old, new, &self.rules.normal_text(BODY), self.limits, findings);
        }
    }

    /// Parts between boundaries, as text in which all boundaries are the same.
    fn parts(&self, texts: &Texts<'_>, findings: &mut Findings) {
        let (old, new) = self.both(texts);
        let without = |text: &str, side: &Side<'_, '_>| match side.boundary() {
            Some(boundary) => parts::with_one_boundary(text, boundary),
            None => text.to_owned(),
        };
        self.lines(&without(&old, self.old), &without(&new, self.new), findings);
    }

    /// Both as text by their charsets, or, where one has none, byte by byte.
    fn both<'t>(&self, texts: &Texts<'t>) -> (Cow<'t, str>, Cow<'t, str>) {
        let old = self.old.text(texts.old, BodyKind::Text);
        let new = self.new.text(texts.new, BodyKind::Text);
        match (old, new) {
            (Some(old), Some(new)) => (old, new),
            _ => charset::both(texts.old, texts.new),
        }
    }

    fn only_one(&self, texts: &Texts<'_>, findings: &mut Findings) {
        let (old, new) = charset::both(texts.old, texts.new);
        let kind = if new.is_empty() { Kind::Missing } else { Kind::Added };
        let shown = |text: Cow<'_, str>| (!text.is_empty()).then(|| text.into_owned());
        findings.push(BODY, kind, shown(old).as_deref(), shown(new).as_deref());
    }

    /// They are of different kinds, such as a document and an error page.
    fn other_type(&self, texts: &Texts<'_>, findings: &mut Findings) {
        let (old, new) = charset::both(texts.old, texts.new);
        findings.push(BODY, Kind::Type, Some(&old), Some(&new));
    }
}

/// Of what kind both bodies are.
enum Agreed {
    On(BodyKind),
    /// Nothing is said that could not be JSON.
    MaybeJson,
    /// They are of kinds that have nothing in common.
    Not,
}
