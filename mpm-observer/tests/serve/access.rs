//! TLS and passwords by a web configuration file.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use mpm_observer::serve::{ServeOptions, Service, StatusSource};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version::{TLS12, TLS13},
    },
};

use crate::client::{Answer, PATIENCE, Scrape, ask};

/// Certificates of a test's own authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes NAME.crt and NAME.key.
    fn issue(&self, dir: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(dir.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

fn serve(dir: &Path, web_config: &str, listen: IpAddr) -> Service {
    let path = dir.join("web.yml");
    fs::write(&path, web_config).unwrap();
    Service::start(ServeOptions {
        listen: SocketAddr::new(listen, 0),
        web_config: Some(path),
        status: StatusSource::Never,
        ports: mpm_observer::kernel::Ports::default(),
    })
    .unwrap()
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A scraper that speaks TLS.
struct Scraper<'a> {
    authority: &'a str,
    version: &'static SupportedProtocolVersion,
    /// Directory and name of a client's certificate.
    identity: Option<(&'a Path, &'a str)>,
}

impl Scraper<'_> {
    fn ask(&self, address: SocketAddr) -> io::Result<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let asked = runtime.block_on(async {
            let asking = self.ask_within(address);
            tokio::time::timeout(PATIENCE, asking).await
        });
        let text = asked.expect("an answer or an error")?;
        Answer::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    async fn ask_within(&self, address: SocketAddr) -> io::Result<String> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap();
        roots.add(authority).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match self.identity {
            None => builder.with_no_client_auth(),
            Some((dir, name)) => {
                let file = |end: &str| fs::read(dir.join(format!("{name}.{end}"))).unwrap();
                let certificate = CertificateDer::from_pem_slice(&file("crt")).unwrap();
                let key = PrivateKeyDer::from_pem_slice(&file("key")).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate], key)
                    .unwrap()
            }
        };
        let stream = tokio::net::TcpStream::connect(address).await?;
        let name = ServerName::from(address.ip());
        let mut stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?;
        let request = b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n";
        stream.write_all(request).await?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

#[test]
fn only_who_knows_the_password_reads() {
    let dir = tempfile::tempdir().unwrap();
    let hash = bcrypt::hash("secret", 4).unwrap();
    let config = format!(
        "basic_auth_users:\n  prom: {hash}\nhttp_server_config:\n  headers:\n    \
         X-Frame-Options: deny\n"
    );
    let service = serve(dir.path(), &config, LOOPBACK);
    let address = service.address();
    // prom:secret and prom:other
    for (authorization, expected) in [
        ("", 401),
        ("Authorization: Basic cHJvbTpvdGhlcg==\r\n", 401),
        ("Authorization: Basic cHJvbTpzZWNyZXQ=\r\n", 200),
        ("Authorization: Basic cHJvbTpzZWNyZXQ=\r\n", 200),
        ("Authorization: Bearer cHJvbTpzZWNyZXQ=\r\n", 401),
    ] {
        let answer = ask(address, "GET", "/metrics", authorization);
        assert_eq!(answer.status, expected, "{authorization}");
        let asks = answer.head.contains("www-authenticate: basic");
        assert_eq!(asks, expected == 401, "{}", answer.head);
        assert!(
            answer.head.contains("x-frame-options: deny"),
            "{}",
            answer.head
        );
        assert_eq!(
            answer.body.contains("mpm_observer_build_info"),
            expected == 200
        );
    }
    // The other paths are not open either.
    assert_eq!(ask(address, "GET", "/nowhere", "").status, 401);
}

#[test]
fn certificates_are_those_of_the_file_and_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    old.issue(dir.path(), "server");
    let config = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
    let service = serve(dir.path(), config, LOOPBACK);
    assert!(service.url().starts_with("https://"), "{}", service.url());
    let (of_old, of_new) = (old.pem(), new.pem());
    let ask = |authority| {
        let scraper = Scraper {
            authority,
            version: &TLS13,
            identity: None,
        };
        scraper.ask(service.address())
    };
    assert_eq!(ask(&of_old).unwrap().status, 200);
    assert!(ask(&of_new).is_err());
    new.issue(dir.path(), "server");
    let deadline = std::time::Instant::now() + PATIENCE;
    while ask(&of_new).is_err() {
        assert!(
            std::time::Instant::now() < deadline,
            "the old certificate stays"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(ask(&of_old).is_err());
    // What does not speak TLS is closed and counted.
    let scrape = || Scrape(ask(&of_new).unwrap().body);
    let plain = crate::client::send(service.address(), b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(!plain.unwrap_or_default().starts_with("HTTP"));
    let series = "mpm_observer_http_connections_refused_total{reason=\"tls\"}";
    while scrape().of_series(series) < 1.0 {
        assert!(std::time::Instant::now() < deadline, "it is not counted");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_client_needs_the_certificate_and_the_version_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (servers, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    servers.issue(dir.path(), "server");
    clients.issue(dir.path(), "prom");
    others.issue(dir.path(), "other");
    fs::write(dir.path().join("clients.crt"), clients.pem()).unwrap();
    let config = |kind: &str| {
        format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  \
             client_auth_type: {kind}\n  client_ca_file: clients.crt\n  min_version: TLS13\n"
        )
    };
    let authority = servers.pem();
    let ask = |service: &Service, identity: Option<&str>, version| {
        let scraper = Scraper {
            authority: &authority,
            version,
            identity: identity.map(|name| (dir.path(), name)),
        };
        scraper.ask(service.address()).map(|answer| answer.status)
    };
    let required = serve(dir.path(), &config("RequireAndVerifyClientCert"), LOOPBACK);
    assert_eq!(ask(&required, Some("prom"), &TLS13).unwrap(), 200);
    assert!(ask(&required, Some("prom"), &TLS12).is_err());
    assert!(ask(&required, Some("other"), &TLS13).is_err());
    assert!(ask(&required, None, &TLS13).is_err());
    drop(required);
    let given = serve(dir.path(), &config("VerifyClientCertIfGiven"), LOOPBACK);
    assert_eq!(ask(&given, Some("prom"), &TLS13).unwrap(), 200);
    assert_eq!(ask(&given, None, &TLS13).unwrap(), 200);
    assert!(ask(&given, Some("other"), &TLS13).is_err());
}

#[test]
fn an_address_that_others_reach_is_warned_of_unless_it_is_guarded() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(dir.path(), "server");
    let tls = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
    let users = format!(
        "basic_auth_users:\n  a: {}\n",
        bcrypt::hash("x", 4).unwrap()
    );
    let warning = |config: &str| {
        let service = serve(dir.path(), config, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        service.warning()
    };
    let of = |config: &str| warning(config).unwrap();
    assert!(of("").contains("without TLS and authentication"));
    assert!(of(tls).contains("without authentication"));
    assert!(of(&users).contains("without TLS;"));
    assert_eq!(warning(&format!("{tls}{users}")), None);
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.issue(dir.path(), "server");
    authority.issue(dir.path(), "other");
    let refused = |certificate: &str, key: &str| {
        let config = dir.path().join("web.yml");
        let text = format!("tls_server_config:\n  cert_file: {certificate}\n  key_file: {key}\n");
        fs::write(&config, text).unwrap();
        let options = ServeOptions {
            listen: SocketAddr::new(LOOPBACK, 0),
            web_config: Some(config),
            status: StatusSource::Never,
            ports: mpm_observer::kernel::Ports::default(),
        };
        Service::start(options).unwrap_err().to_string()
    };
    assert!(refused("none.crt", "server.key").contains("none.crt: "));
    assert!(refused("server.key", "server.key").contains("server.key: no certificate"));
    assert!(refused("server.crt", "server.crt").contains("server.crt: no private key"));
    assert!(refused("server.crt", "other.key").contains("server.crt: "));
}
