//! Which servers a TLS client trusts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::rustls::{
    self, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WantsClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::Error;

/// Which servers are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those with a certificate of an issuer that the system trusts.
    #[default]
    System,
    /// Those with a certificate of an issuer in this PEM file.
    Issuers(PathBuf),
    /// All.
    Anyone,
}

impl Trust {
    /// By what the options `--insecure` and `--cacert` say; the first one prevails.
    #[must_use]
    pub fn by_options(insecure: bool, ca_file: Option<PathBuf>) -> Self {
        match (insecure, ca_file) {
            (true, _) => Self::Anyone,
            (false, Some(path)) => Self::Issuers(path),
            (false, None) => Self::System,
        }
    }

    /// A client that trusts these.
    ///
    /// # Errors
    /// [`Error::BadConfig`] names the file that cannot be used, or what the system lacks.
    pub fn client(&self) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(format!("TLS cannot be used: {error}")))?;
        Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?))
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let roots = match self {
            Self::Anyone => return Ok(Arc::new(AnyCertificate(provider))),
            Self::Issuers(path) => issuers(path)?,
            Self::System => of_system()?,
        };
        match WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() {
            Ok(verifier) => Ok(verifier),
            Err(error) => Err(bad(format!("the certificates cannot be used: {error}"))),
        }
    }
}

fn issuers(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| unusable(path, &e))?;
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(bad(
            "this system has no certificates of trusted issuers: install ca-certificates, name \
             them with --cacert FILE, or accept any server with --insecure"
                .to_owned(),
        ));
    }
    Ok(roots)
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, &error))?;
    if certificates.is_empty() {
        return Err(unusable(path, &"it has no certificate in PEM format"));
    }
    Ok(certificates)
}

pub(crate) fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    bad(format!("{} cannot be used: {reason}", path.display()))
}

fn bad(text: String) -> Error {
    Error::BadConfig(text)
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
