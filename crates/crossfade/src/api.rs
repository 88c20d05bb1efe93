//! The admin API as the command line sees it: where it is, and one question at a time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::{AdminArgs, DEFAULT_CONFIG};
use crate::output::{self, Exit};

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the API takes at most, so that its own word is heard.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Where the API is and what it wants to be shown.
#[derive(Debug)]
pub(crate) struct Api {
    authority: String,
    token: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// It is not known where to ask.
    Usage(String),
    /// Nobody answers there.
    Unreachable(String),
    /// The answer is no.
    Refused(String),
}

impl CallError {
    /// Says why, and gives the exit code for it.
    pub(crate) fn tell(&self) -> Exit {
        let (sentence, exit) = match self {
            CallError::Usage(sentence) => (sentence, Exit::Usage),
            CallError::Unreachable(sentence) => (sentence, Exit::Unreachable),
            CallError::Refused(sentence) => (sentence, Exit::Failed),
        };
        output::complain(&format!("crossfade: {sentence}"));
        exit
    }
}

impl Api {
    /// By `--admin` or its variable, else by the admin table of the configuration.
    pub(crate) fn find(args: &AdminArgs) -> Result<Self, CallError> {
        let (authority, token_file) = match &args.admin {
            Some(url) => (authority_of(url)?, None),
            None => {
                let admin = AdminTable::read(args.config.as_deref())?;
                (admin.authority()?, admin.token_file)
            }
        };
        let token = match args.token_file.clone().or(token_file) {
            Some(path) => Some(read_token(&path)?),
            None => None,
        };
        Ok(Api { authority, token })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::POST, path, Some(body))
    }

    /// An answer that is no JSON as a whole.
    pub(crate) fn get_text(&self, path: &str) -> Result<String, CallError> {
        let (status, answer) = self.raw(Method::GET, path, None)?;
        if status.is_success() {
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
        self.read(status, &answer).map(|answer| answer.to_string())
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CallError> {
        let (status, answer) = self.raw(method, path, body)?;
        self.read(status, &answer)
    }

    fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CallError::Refused(format!("no runtime: {error}")))?;
        runtime.block_on(self.exchange(method, path, body))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let unreachable =
            |why: String| CallError::Unreachable(format!("the admin API at {} {why}", self.authority));
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.authority))
            .await
            .map_err(|_| unreachable("cannot be reached: no connection in time".to_owned()))?
            .map_err(|error| unreachable(format!("cannot be reached: {error}")))?;
        let exchange = async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // Ends with the runtime, after the one answer.
            tokio::spawn(connection);
            let response = sender.send_request(self.request(method, path, body)).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((
                status,
                Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await,
            ))
        };
        let (status, answer) = timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(|_| unreachable("does not answer in time".to_owned()))?
            .map_err(|error| unreachable(format!("does not answer: {error}")))?;
        let answer =
            answer.map_err(|error| unreachable(format!("breaks off its answer: {error}")))?.to_bytes();
        Ok((status, answer))
    }

    fn read(&self, status: StatusCode, answer: &[u8]) -> Result<Value, CallError> {
        let answer: Value = serde_json::from_slice(answer).map_err(|_| {
            CallError::Refused(format!(
                "what is at {} does not answer like the admin API ({status})",
                self.authority
            ))
        })?;
        if status.is_success() {
            Ok(answer)
        } else {
            Err(CallError::Refused(refusal(&answer, status.as_u16())))
        }
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
        let mut request =
            Request::new(Full::new(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default()));
        *request.method_mut() = method;
        // Paths are written in this program, names within them percent-encoded.
        *request.uri_mut() = path.parse::<Uri>().unwrap_or_default();
        let headers = request.headers_mut();
        let mut insert = |name, value: &str| {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        };
        insert(HOST, &self.authority);
        if body.is_some() {
            insert(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            insert(AUTHORIZATION, &format!("Bearer {token}"));
        }
        request
    }
}

/// Bytes as one segment of a path or one value of a query (RFC 3986 section 2.1).
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, &byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// What of `[admin]` is needed to reach it.
#[derive(Debug)]
struct AdminTable {
    listen: SocketAddr,
    token_file: Option<std::path::PathBuf>,
}

impl AdminTable {
    /// From the configuration; without any, the default address. One with errors is good enough, since asking for a
    /// reload of it is how to be told them, but only when it is certain what it says of the address: a guess could
    /// change another proxy.
    fn read(config: Option<&Path>) -> Result<Self, CallError> {
        let path = config.unwrap_or(Path::new(DEFAULT_CONFIG));
        let nothing = AdminTable { listen: DEFAULT_LISTEN, token_file: None };
        let outcome = match control_plane::read(path) {
            Ok(outcome) => outcome,
            Err(_) if config.is_none() => return Ok(nothing),
            Err(error) => return Err(CallError::Usage(error.to_string())),
        };
        let resolve = |file: &str| control_plane::resolve(path, file);
        if let Some(checked) = outcome.checked {
            let token_file = checked.admin.token_file.as_deref().map(resolve);
            return Ok(AdminTable { listen: checked.admin.listen, token_file });
        }
        let unclear = || {
            CallError::Usage(format!(
                "{} cannot be read for [admin].listen; say where the proxy is with --admin",
                path.display()
            ))
        };
        let text = std::fs::read_to_string(path).map_err(|_| unclear())?;
        let table = text.parse::<toml::Table>().map_err(|_| unclear())?;
        let Some(admin) = table.get("admin") else { return Ok(nothing) };
        let admin = admin.as_table().ok_or_else(unclear)?;
        let listen = match admin.get("listen") {
            Some(listen) => listen.as_str().and_then(|listen| listen.parse().ok()).ok_or_else(unclear)?,
            None => DEFAULT_LISTEN,
        };
        Ok(AdminTable {
            listen,
            token_file: admin.get("token_file").and_then(|file| file.as_str()).map(resolve),
        })
    }

    fn authority(&self) -> Result<String, CallError> {
        if self.listen.port() == 0 {
            return Err(CallError::Usage(
                "the configuration lets the kernel choose the admin port; say where it is with --admin"
                    .to_owned(),
            ));
        }
        let ip = match self.listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        Ok(SocketAddr::new(ip, self.listen.port()).to_string())
    }
}

fn authority_of(url: &str) -> Result<String, CallError> {
    let usage =
        |why: &str| CallError::Usage(format!("--admin `{url}`: {why}, such as http://127.0.0.1:9900"));
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some(_) => return Err(usage("expected http://")),
        None => url,
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
        return Err(usage("expected host and port alone"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:{}", DEFAULT_LISTEN.port()) })
}

fn read_token(path: &Path) -> Result<String, CallError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CallError::Usage(format!("cannot read the token file {}: {error}", path.display()))
    })?;
    Ok(text.trim().to_owned())
}

/// What a problem says (RFC 9457): the picture of a bad configuration, else the sentence.
fn refusal(problem: &Value, status: u16) -> String {
    let text = |member: &str| problem.get(member).and_then(Value::as_str);
    let sentence = text("detail").or_else(|| text("title")).unwrap_or("no reason given");
    match text("rendered") {
        Some(rendered) => format!("refused, what runs stays:\n{rendered}"),
        None => format!("refused ({status}): {sentence}"),
    }
}

#[cfg(test)]
mod tests;
