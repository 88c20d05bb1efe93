//! The HTTP client for hooks and webhooks.
//!
//! A migration that moves traffic tells others about it, and asks some of them first. Those who are called are other
//! people's programs: they may be down, slow, or answer with anything. So a [`Caller`] makes one `POST` of JSON over one
//! connection, and everything about it has a bound: the time from the look-up of the name to the last byte of the answer,
//! the bytes of the question, and the bytes of the answer. It never follows a redirect, since a question is meant for the
//! address that the operator wrote. It does not retry either: whoever calls knows whether that is worth it.
//!
//! [`Caller::ask`] makes of all this a yes or a no with a sentence, and whatever is no clear yes is a no.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use outbound_calls::{Caller, Options, Verdict};
//! use serde_json::json;
//!
//! let caller = Caller::new(None)?;
//! let hook = "https://deploys.example/crossfade".parse()?;
//! let question = json!({ "type": "ramp.confirm", "migration": "checkout", "from": 5, "to": 10, "step": 2 });
//! let options = Options { timeout: Duration::from_secs(5), signing: None };
//! if let Verdict::No { why } = caller.ask(&hook, &question, &options).await {
//!     println!("the ramp holds: {why}");
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod exchange;
mod signing;
mod tls;
mod verdict;

use std::fmt::{self, Debug, Formatter};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

pub use error::{CallError, Fault, Stage};
pub use ramp::hook_url::{HookUrl, HookUrlError};
pub use signing::{MAX_ID_BYTES, Signing, SigningError, SigningKey};
pub use tls::CaFileError;
pub use verdict::Verdict;

/// The longest body that is sent, in bytes.
pub const MAX_QUESTION_BYTES: usize = 64 * 1024;

/// The longest body of an answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The longest time that a call can have.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// Makes calls. Cheap to clone; holds no connection.
#[derive(Clone)]
pub struct Caller {
    tls: tls::Tls,
}

/// How a call is made.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// How long all of it may take, from the look-up of the name to the last byte of the answer; at most
    /// [`MAX_TIMEOUT`], which anything above it means.
    pub timeout: Duration,
    /// Whether it is signed, and with what.
    pub signing: Option<Signing<'a>>,
}

/// An answer with a status from 200 to 299.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, of at most [`MAX_ANSWER_BYTES`] bytes.
    pub body: Bytes,
}

impl Caller {
    /// A caller that trusts the system's CAs and those in the PEM file `ca_file`. Reads files, so make it at the start.
    /// A system without CAs is no error; where one is missing, the call to whoever needs it says so.
    ///
    /// # Errors
    /// When `ca_file` cannot be read or has no good certificate.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, CaFileError> {
        Ok(Self { tls: tls::Tls::load(ca_file)? })
    }

    /// Sends `body` by `POST` (RFC 9110, section 9.3.3) and returns the answer, when that is a good one.
    ///
    /// Dropping the future closes the connection. It needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// When there is no whole answer with a status from 200 to 299: see [`Fault`].
    pub async fn post_json(
        &self,
        url: &HookUrl,
        body: &Value,
        options: &Options<'_>,
    ) -> Result<Answer, CallError> {
        let timeout = options.timeout.min(MAX_TIMEOUT);
        let deadline = Instant::now() + timeout;
        let request = request(url, body, options).map_err(|fault| CallError::new(url, fault))?;
        let mut stage = Stage::Resolving;
        let exchange = exchange::exchange(url, request, &self.tls, deadline, &mut stage);
        let outcome = match timeout_at(deadline, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::Late { stage, timeout }),
        };
        outcome.map_err(|fault| CallError::new(url, fault))
    }

    /// Asks the hook `question`. A status from 200 to 299 is yes, unless the body is a JSON object with `"confirm": false`,
    /// which is no for the `"reason"` in it, or an object that cannot be read. Anything else, no answer included, is no.
    pub async fn ask(&self, hook: &HookUrl, question: &Value, options: &Options<'_>) -> Verdict {
        Verdict::of(hook, self.post_json(hook, question, options).await)
    }

    /// Tells `news`. It has arrived when the answer's status is from 200 to 299, whatever the body.
    ///
    /// # Errors
    /// As [`Caller::post_json`].
    pub async fn announce(
        &self,
        hook: &HookUrl,
        news: &Value,
        options: &Options<'_>,
    ) -> Result<(), CallError> {
        self.post_json(hook, news, options).await.map(drop)
    }
}

impl Debug for Caller {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

fn request(url: &HookUrl, body: &Value, options: &Options<'_>) -> Result<Request<Full<Bytes>>, Fault> {
    let body = body.to_string();
    if body.len() > MAX_QUESTION_BYTES {
        let cause = format!("the body has {} bytes, and at most {MAX_QUESTION_BYTES} are sent", body.len());
        return Err(Fault::NotSent { cause });
    }
    let mut request = Request::post(url.target())
        .header(header::HOST, url.host_field())
        .header(header::USER_AGENT, concat!("crossfade/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close");
    for (name, value) in options.signing.iter().flat_map(|signing| signing.fields(body.as_bytes())) {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(body))).map_err(|error| Fault::NotSent { cause: error.to_string() })
}
