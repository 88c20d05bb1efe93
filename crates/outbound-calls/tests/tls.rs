//! Hooks over TLS, with a CA made for the test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outbound_calls::{Caller, Fault, HookUrl, Options, Stage, Verdict};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tempfile::NamedTempFile;
use test_kit::{DEADLINE, Scripted};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const PATIENT: Options<'_> = Options { timeout: DEADLINE, signing: None };

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn file(&self) -> NamedTempFile {
        file_with(&self.pem)
    }

    fn server(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate: CertificateDer<'static> =
            params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap()
    }
}

fn file_with(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A hook on loopback that says yes to whoever gets through, until the runtime ends.
async fn hook(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut asked = Vec::new();
            while !asked.ends_with(b"}") && stream.read_buf(&mut asked).await.is_ok_and(|bytes| bytes > 0) {}
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let _gone = stream.shutdown().await;
        }
    });
    addr
}

async fn ask(caller: &Caller, url: &str) -> Verdict {
    let hook: HookUrl = url.parse().unwrap();
    caller.ask(&hook, &json!({ "type": "ramp.confirm" }), &PATIENT).await
}

#[tokio::test]
async fn a_hook_of_a_ca_in_the_file_is_asked() {
    let ca = Ca::new("ours");
    let caller = Caller::new(Some(ca.file().path())).unwrap();
    let by_name = hook(ca.server("localhost")).await;
    assert_eq!(ask(&caller, &format!("https://localhost:{}/ramp", by_name.port())).await, Verdict::Yes);
    let by_address = hook(ca.server("127.0.0.1")).await;
    assert_eq!(ask(&caller, &format!("https://{by_address}/ramp")).await, Verdict::Yes);
}

#[tokio::test]
async fn a_hook_of_another_ca_is_not_told_anything() {
    let ours = Ca::new("ours");
    let caller = Caller::new(Some(ours.file().path())).unwrap();
    for name in ["other", "ours"] {
        let addr = hook(Ca::new(name).server("127.0.0.1")).await;
        let why = format!(
            "no secure connection to https://{addr}: its certificate is from a CA that is not trusted; name a CA file \
             that has it"
        );
        assert_eq!(ask(&caller, &format!("https://{addr}/")).await, Verdict::No { why }, "{name}");
    }

    let addr = hook(ours.server("127.0.0.1")).await;
    let caller = Caller::new(None).unwrap();
    assert!(matches!(ask(&caller, &format!("https://{addr}/")).await, Verdict::No { .. }));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_taken() {
    let ca = Ca::new("ours");
    let addr = hook(ca.server("hooks.example")).await;
    let caller = Caller::new(Some(ca.file().path())).unwrap();
    let Verdict::No { why } = ask(&caller, &format!("https://localhost:{}/", addr.port())).await else {
        panic!("it was asked");
    };
    assert!(why.contains("not valid for name \"localhost\""), "{why}");
}

#[tokio::test]
async fn a_hook_without_tls_is_not_asked() {
    let plain = Scripted::bind().serve(|mut wire| drop(wire.try_send("HTTP/1.1 400 Bad Request\r\n\r\n")));
    let why = ask(&Caller::new(None).unwrap(), &format!("https://{}/", plain.addr())).await;
    let Verdict::No { why } = why else { panic!("it was asked") };
    assert!(why.starts_with(&format!("no secure connection to https://{}: ", plain.addr())), "{why}");
}

#[tokio::test]
async fn a_handshake_has_no_time_of_its_own() {
    let silent = Scripted::bind();
    let timeout = Duration::from_secs(3);
    let hook: HookUrl = format!("https://{}/", silent.addr()).parse().unwrap();
    let options = Options { timeout, signing: None };
    let error = Caller::new(None).unwrap().announce(&hook, &json!({}), &options).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Late { stage: Stage::Handshake, timeout });
    let sentence = format!("no answer from {} within 3 s: TLS was not agreed upon", hook.origin());
    assert_eq!(error.to_string(), sentence);
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    let missing = Caller::new(Some("/nowhere/ca.pem".as_ref())).unwrap_err().to_string();
    assert_eq!(
        missing,
        "cannot use the CA certificates in /nowhere/ca.pem: No such file or directory (os error 2)"
    );
    for (text, cause) in [
        ("", "it has no `-----BEGIN CERTIFICATE-----`"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 in it is none"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", "a certificate in it has no end"),
        (&"#".repeat(1024 * 1024 + 1), "it is longer than 1 MiB"),
    ] {
        let file = file_with(text);
        let sentence = Caller::new(Some(file.path())).unwrap_err().to_string();
        assert_eq!(sentence, format!("cannot use the CA certificates in {}: {cause}", file.path().display()));
    }
}
