//! What the engine needs for a run, made once before its threads start.

use std::path::Path;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Uri};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::{Config, Error, Target};

/// The requests of a run as hyper wants them, and how to speak TLS.
pub(crate) struct Ground {
    /// One for each of the config's targets.
    pub(super) requests: Vec<Request<Full<Bytes>>>,
    pub(super) tls: Option<Tls>,
}

/// How to speak TLS with the server.
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    /// What the certificate must be for.
    pub(super) name: ServerName<'static>,
}

impl Ground {
    /// # Errors
    /// [`Error::BadConfig`] names the file or the setting that cannot be used.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let requests = config
            .targets
            .iter()
            .map(|weighted| request(config, &weighted.target))
            .collect::<Result<_, _>>()?;
        let target = config.target();
        let tls = match target.tls {
            true => Some(Tls {
                connector: TlsConnector::from(Arc::new(client(config)?)),
                name: ServerName::try_from(target.host.clone()).map_err(|_| {
                    bad(format!("{:?} cannot be the name of a server", target.host))
                })?,
            }),
            false => None,
        };
        Ok(Self { requests, tls })
    }
}

fn bad(text: String) -> Error {
    Error::BadConfig(text)
}

/// The same request that the other engines send; in HTTP/2 without what it has no
/// place for.
fn request(config: &Config, target: &Target) -> Result<Request<Full<Bytes>>, Error> {
    let given = |name: &str| {
        config
            .headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    let host = given("Host").unwrap_or_else(|| target.host_header());
    let mut request = Request::builder().method(config.method.as_str());
    if config.http2 {
        let scheme = if target.tls { "https" } else { "http" };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(host)
            .path_and_query(target.path.as_str())
            .build();
        request = request.uri(uri.map_err(|error| bad_request(target, &error))?);
    } else {
        let asked_for = match config.proxy {
            Some(_) => target.url(),
            None => target.path.clone(),
        };
        request = request.uri(asked_for).header("Host", host);
    }
    if given("User-Agent").is_none() {
        let name = concat!("loadgen/", env!("CARGO_PKG_VERSION"));
        request = request.header("User-Agent", name);
    }
    if given("Accept").is_none() {
        request = request.header("Accept", "*/*");
    }
    if !config.keep_alive && !config.http2 && given("Connection").is_none() {
        request = request.header("Connection", "close");
    }
    if !config.body.is_empty() {
        // hyper would add it at the end.
        request = request.header("Content-Length", config.body.len());
    }
    let mut request = request
        .body(Full::new(Bytes::copy_from_slice(&config.body)))
        .map_err(|error| bad_request(target, &error))?;
    for (name, value) in &config.headers {
        if name.eq_ignore_ascii_case("Host") {
            continue;
        }
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| bad(format!("{name:?} is not a header name: {error}")))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| {
            bad(format!(
                "the value of header {name} cannot be sent: {error}"
            ))
        })?;
        request.headers_mut().append(header, value);
    }
    Ok(request)
}

fn bad_request(target: &Target, error: &hyper::http::Error) -> Error {
    bad(format!("{} cannot be asked for: {error}", target.url()))
}

/// Every connection makes a full handshake, as those of different users do.
fn client(config: &Config) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(format!("TLS cannot be used: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(config, provider)?);
    let mut client = match &config.client_certificate {
        Some(path) => {
            let key = PrivateKeyDer::from_pem_file(path).map_err(|e| unusable(path, &e))?;
            let rejected = |error: rustls::Error| unusable(path, &error);
            builder
                .with_client_auth_cert(certificates(path)?, key)
                .map_err(rejected)?
        }
        None => builder.with_no_client_auth(),
    };
    let protocol: &[u8] = if config.http2 { b"h2" } else { b"http/1.1" };
    client.alpn_protocols = vec![protocol.to_vec()];
    client.resumption = Resumption::disabled();
    Ok(client)
}

fn verifier(
    config: &Config,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    if config.insecure {
        return Ok(Arc::new(AnyCertificate(provider)));
    }
    let roots = Arc::new(roots(config)?);
    match WebPkiServerVerifier::builder_with_provider(roots, provider).build() {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(bad(format!("the certificates cannot be used: {error}"))),
    }
}

/// The issuers that are trusted: those of the given file, or else the system's.
fn roots(config: &Config) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &config.ca_file {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|e| unusable(path, &e))?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(bad(
            "this system has no certificates of trusted issuers: install ca-certificates, name \
             them with --cacert FILE, or accept any server with --insecure"
                .to_owned(),
        ));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, &error))?;
    if certificates.is_empty() {
        return Err(unusable(path, &"it has no certificate in PEM format"));
    }
    Ok(certificates)
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    bad(format!("{} cannot be used: {reason}", path.display()))
}

/// Accepts whoever has the key of the certificate that it shows, whatever that is.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
