//! TLS for `https://` addresses: rustls, the roots of the system, and those of one file beside them.

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ramp::hook_url::HookUrl;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::{Fault, in_full};

/// The longest CA file that is read, in bytes. The certificates of all public CAs together have a quarter of that.
const MAX_CA_FILE_BYTES: u64 = 1024 * 1024;

/// Agrees on TLS with whoever a trusted CA vouches for.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    /// CAs that are trusted at all. A small container often has none.
    roots: usize,
}

impl Tls {
    /// Reads the system's roots, and those of `ca_file`. Blocks on files.
    pub(crate) fn load(ca_file: Option<&Path>) -> Result<Self, CaFileError> {
        let mut store = RootCertStore::empty();
        // One that cannot be read is a CA that is not trusted: whoever needs it is told when it is called.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            for (at, certificate) in certificates(path)?.into_iter().enumerate() {
                let unread = |_| CaFileError::new(path, &format!("certificate {} in it is none", at + 1));
                store.add(certificate).map_err(unread)?;
            }
        }
        let roots = store.len();
        // The provider is named, since rustls panics where it has to choose between two that are compiled in.
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc has cipher suites for TLS 1.2 and 1.3")
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), roots })
    }

    /// The stream over which the host of `url` is spoken to, who has shown a certificate for that name.
    pub(crate) async fn handshake(
        &self,
        url: &HookUrl,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let host = url.endpoint().host.trim_end_matches('.').to_owned();
        let name = ServerName::try_from(host).map_err(|error| Fault::Tls { cause: error.to_string() })?;
        let fault = |error: io::Error| Fault::Tls { cause: self.sentence(&error) };
        self.connector.connect(name, stream).await.map_err(fault)
    }

    fn sentence(&self, error: &io::Error) -> String {
        let tls = error.get_ref().and_then(|error| error.downcast_ref());
        // A bad signature is that of another CA with the same name, which is how a CA looks that was made anew.
        let Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) = tls
        else {
            return in_full(error);
        };
        let whose = "its certificate is from a CA that is not trusted";
        match self.roots {
            0 => format!("{whose}; this system has no CA certificates, and no CA file is named"),
            _ => format!("{whose}; name a CA file that has it"),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CaFileError> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| CaFileError::new(path, &error))?;
    file.take(MAX_CA_FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|error| CaFileError::new(path, &error))?;
    if text.len() as u64 > MAX_CA_FILE_BYTES {
        return Err(CaFileError::new(path, &"it is longer than 1 MiB"));
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = read.map_err(|error| match error {
        pem::Error::MissingSectionEnd { .. } => CaFileError::new(path, &"a certificate in it has no end"),
        other => CaFileError::new(path, &other),
    })?;
    if found.is_empty() {
        return Err(CaFileError::new(path, &"it has no `-----BEGIN CERTIFICATE-----`"));
    }
    Ok(found)
}

/// Why a CA file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFileError {
    path: PathBuf,
    cause: String,
}

impl CaFileError {
    fn new(path: &Path, cause: &dyn Display) -> Self {
        Self { path: path.to_owned(), cause: cause.to_string() }
    }
}

impl Display for CaFileError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the CA certificates in {}: {}", self.path.display(), self.cause)
    }
}

impl std::error::Error for CaFileError {}
