//! The signature by which a receiver knows that a call is ours and fresh: Standard Webhooks 1.0.0, the symmetric scheme
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! What is signed is `ID.TIMESTAMP.BODY`. The id names what is told and stays the same on every retry, so that a receiver
//! acts on it once; the timestamp is that of the attempt, and receivers refuse one that is more than minutes off.

use std::fmt::{self, Debug, Display, Formatter};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const KEY_PREFIX: &str = "whsec_";

/// The specification's bounds for a key, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The longest id that is sent, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// A key that is shared with one receiver. Never shown.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// The value of `webhook-signature` for one call: `v1,` and HMAC-SHA256 of `ID.TIMESTAMP.BODY` in base64.
    #[must_use]
    pub fn signature(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl Debug for SigningKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

impl FromStr for SigningKey {
    type Err = SigningError;

    /// Reads `whsec_` and 24 to 64 bytes in base64, without anything around them.
    ///
    /// # Errors
    /// When it is anything else.
    fn from_str(text: &str) -> Result<Self, SigningError> {
        let encoded = text.strip_prefix(KEY_PREFIX).ok_or(SigningError::Key)?;
        let key = STANDARD.decode(encoded).map_err(|_| SigningError::Key)?;
        if KEY_BYTES.contains(&key.len()) { Ok(Self(key)) } else { Err(SigningError::KeyLength(key.len())) }
    }
}

/// With what one call is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    key: &'a SigningKey,
    id: &'a str,
    timestamp_s: u64,
}

impl<'a> Signing<'a> {
    /// Signs as the event `id`, sent now, which is `timestamp_s` seconds after 1970 (UTC).
    ///
    /// # Errors
    /// When `id` is not 1 to [`MAX_ID_BYTES`] visible ASCII characters, or has a `.`, with which one signature would fit
    /// several contents.
    pub fn new(key: &'a SigningKey, id: &'a str, timestamp_s: u64) -> Result<Self, SigningError> {
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
        if (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(fits) {
            Ok(Self { key, id, timestamp_s })
        } else {
            Err(SigningError::Id)
        }
    }

    /// The three fields of a signed call.
    pub(crate) fn fields(&self, body: &[u8]) -> [(&'static str, String); 3] {
        [
            ("webhook-id", self.id.to_owned()),
            ("webhook-timestamp", self.timestamp_s.to_string()),
            ("webhook-signature", self.key.signature(self.id, self.timestamp_s, body)),
        ]
    }
}

/// Why a call cannot be signed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningError {
    /// The key is not `whsec_` and base64.
    Key,
    /// The key has so many bytes.
    KeyLength(usize),
    /// The id cannot be sent.
    Id,
}

impl Display for SigningError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
        match self {
            Self::Key => write!(
                f,
                "a signing key is `{KEY_PREFIX}` and {least} to {most} random bytes in base64; make one with \
                 `echo {KEY_PREFIX}$(openssl rand -base64 32)`"
            ),
            Self::KeyLength(bytes) => {
                write!(f, "the signing key has {bytes} bytes; it needs {least} to {most}")
            }
            Self::Id => write!(f, "an id is 1 to {MAX_ID_BYTES} visible ASCII characters without a `.`"),
        }
    }
}

impl std::error::Error for SigningError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the reference libraries of Standard Webhooks test themselves with.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_reference_vector() {
        let key: SigningKey = KEY.parse().unwrap();
        assert_eq!(
            key.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn keys_and_ids_outside_the_specification_are_refused() {
        for text in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64", "whsec_MfKQ9r8G\n"] {
            assert_eq!(text.parse::<SigningKey>().unwrap_err(), SigningError::Key, "{text:?}");
        }
        assert_eq!("whsec_MfKQ9r8G".parse::<SigningKey>().unwrap_err(), SigningError::KeyLength(6));

        let key: SigningKey = KEY.parse().unwrap();
        for id in ["", "a.b", "a b", "a\r\nx: y", &"a".repeat(MAX_ID_BYTES + 1)] {
            assert_eq!(Signing::new(&key, id, 0).unwrap_err(), SigningError::Id, "{id:?}");
        }
        assert_eq!(format!("{key:?}"), "SigningKey(***)");
    }
}
