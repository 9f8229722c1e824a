//! TLS by the web configuration.

use std::{fs, path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
        version::{TLS12, TLS13},
    },
};

use super::{
    WebConfigError,
    web_config::{ClientAuth, TlsSection, TlsVersion},
};

/// Makes what accepts connections, from the files that the section names.
pub(super) fn acceptor(section: &TlsSection) -> Result<TlsAcceptor, WebConfigError> {
    let provider = Arc::new(ring::default_provider());
    let versions: Vec<&SupportedProtocolVersion> =
        [(TlsVersion::Tls12, &TLS12), (TlsVersion::Tls13, &TLS13)]
            .into_iter()
            .filter(|(version, _)| (section.min_version..=section.max_version).contains(version))
            .map(|(_, version)| version)
            .collect();
    let of_certificate = |reason: String| wrong(&section.cert_file, &reason);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| of_certificate(error.to_string()))?;
    let builder = match (&section.client_ca_file, section.client_auth_type) {
        (
            Some(path),
            ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert,
        ) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|error| wrong(path, &error.to_string()))?;
            }
            let mut verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            if section.client_auth_type == ClientAuth::VerifyClientCertIfGiven {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier
                .build()
                .map_err(|error| wrong(path, &error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_slice(&read(&section.key_file)?)
        .map_err(|error| wrong(&section.key_file, &format!("no private key: {error}")))?;
    let mut config = builder
        .with_single_cert(certificates(&section.cert_file)?, key)
        .map_err(|error| of_certificate(error.to_string()))?;
    config.ignore_client_order = section.prefer_server_cipher_suites;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, WebConfigError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(path, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong(path, "no certificate in it"));
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>, WebConfigError> {
    fs::read(path).map_err(|source| WebConfigError::File {
        path: path.to_owned(),
        source,
    })
}

fn wrong(path: &Path, reason: &str) -> WebConfigError {
    WebConfigError::Certificate {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}
