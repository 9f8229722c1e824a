//! Certificates of the tests' own, and TLS with them.

#![allow(dead_code)]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loadgen::Config;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::NamedTempFile;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

/// An issuer of certificates that nobody else knows.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

/// What a certificate can be like.
pub struct Kind {
    pub name: &'static str,
    pub expired: bool,
}

impl Kind {
    pub const GOOD: Self = Self {
        name: "127.0.0.1",
        expired: false,
    };
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be taken for the same.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("authority {number} of {}", std::process::id());
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let file = pem_file(&issuer.pem());
        Self { issuer, file }
    }

    /// PEM file with the authority's certificate.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// PEM file with a certificate and its key.
    pub fn issue(&self, kind: &Kind) -> NamedTempFile {
        let mut params = CertificateParams::new([kind.name.to_owned()]).expect("a name");
        if kind.expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        pem_file(&format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    /// A server's side of TLS that offers `protocols` by ALPN.
    pub fn server(&self, kind: &Kind, protocols: &[&str]) -> Arc<ServerConfig> {
        self.server_with(kind, protocols, &[&version::TLS12, &version::TLS13], false)
    }

    pub fn server_with(
        &self,
        kind: &Kind,
        protocols: &[&str],
        versions: &[&'static SupportedProtocolVersion],
        asks_for_certificate: bool,
    ) -> Arc<ServerConfig> {
        let file = self.issue(kind);
        let certificate = CertificateDer::from_pem_file(file.path()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(file.path()).expect("a key");
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("versions");
        let builder = if asks_for_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).expect("a certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let mut server = builder
            .with_single_cert(vec![certificate], key)
            .expect("a certificate with its key");
        server.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Arc::new(server)
    }

    /// Makes a run one over TLS that trusts this authority.
    pub fn trust(&self, config: &mut Config) {
        config.targets[0].target.tls = true;
        config.ca_file = Some(self.path().to_owned());
        config.engine = None;
    }
}

fn pem_file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}
