//! What the engine needs for a run, made once before its threads start.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Uri};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig};

use crate::trust::{Trust, certificates, unusable};
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
    let builder = Trust::by_options(config.insecure, config.ca_file.clone()).client()?;
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
