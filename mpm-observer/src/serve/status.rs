//! mod_status, asked over a connection of its own.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use loadgen::Trust;
use nix::sched::{CloneFlags, setns};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    runtime,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{
    ServeError, StatusUrl,
    shared::Shared,
    status_url::{addresses_of, default_path, default_port},
};
use crate::{
    httpd::http::beside,
    kernel::Ports,
    live::Server,
    metrics::{StatusOutcome, StatusPage},
};

const INTERVAL: Duration = Duration::from_secs(5);
/// After this time a question counts as not answered: as a rule, because no slot is free.
const PATIENCE: Duration = Duration::from_secs(2);
/// A page with thousands of slots and balancers is some hundred kilobytes long.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// Asks until the end: elsewhere, or the server that is watched.
/// `ports` are those that are watched; none: all of the server's.
pub(super) fn run(elsewhere: Option<&Elsewhere>, ports: Ports, shared: &Shared) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut warned = None;
    shared.repeat(INTERVAL, |server| {
        let question = match (elsewhere, server) {
            (Some(elsewhere), _) => Question::at(elsewhere),
            (None, Some(server)) => {
                if let Err(error) = enter_network_of(server.process.pid) {
                    if warned != Some(server.process) {
                        log::warn!(
                            "the server has a network of its own, which cannot be entered to ask \
                             mod_status ({error}); name a way to it with --status-url"
                        );
                        warned = Some(server.process);
                    }
                    // At the same address in this network another server may listen.
                    tell(shared, Some(server), StatusOutcome::Unreachable, None, 0);
                    return;
                }
                Question::of(server, ports)
            }
            (None, None) => return,
        };
        let watched = match (ports.is_empty(), server) {
            (true, Some(server)) => server.ports(),
            _ => ports,
        };
        let begin = Instant::now();
        let asked =
            runtime.block_on(async { timeout(PATIENCE, question.ask(shared, watched)).await });
        let took_ns = begin.elapsed().as_nanos() as u64;
        let (outcome, page) = match asked {
            Err(_) => (StatusOutcome::Timeout, None),
            Ok(Err(_)) => (StatusOutcome::Refused, None),
            Ok(Ok(text)) => match text.as_deref().and_then(StatusPage::parse) {
                Some(page) => (StatusOutcome::Answered, Some(page)),
                None => (StatusOutcome::Unreadable, None),
            },
        };
        let of = server.filter(|_| elsewhere.is_none());
        tell(shared, of, outcome, page, took_ns);
    });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    Ok(())
}

/// Passes an answer on, unless it is that of a server which is gone by now.
fn tell(
    shared: &Shared,
    of: Option<&Server>,
    outcome: StatusOutcome,
    page: Option<StatusPage>,
    took_ns: u64,
) {
    let mut metrics = shared.metrics();
    if of.is_none() || shared.server().as_ref() == of {
        metrics.status(outcome, page, took_ns);
    }
}

/// Makes the sockets that this thread opens from now on those of a process's network namespace,
/// as a server in a container has one of its own.
fn enter_network_of(pid: u32) -> io::Result<()> {
    let theirs = format!("/proc/{pid}/ns/net");
    let own = fs::metadata("/proc/thread-self/ns/net")?;
    if fs::metadata(&theirs)?.ino() != own.ino() {
        setns(File::open(theirs)?, CloneFlags::CLONE_NEWNET)?;
    }
    Ok(())
}

/// A URL, and how to speak TLS with whoever is there.
pub(super) struct Elsewhere {
    url: StatusUrl,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Elsewhere {
    /// # Errors
    /// When the URL is https, and its host's name is none that a certificate has, or the
    /// certificates of those who are trusted cannot be had.
    pub(super) fn new(url: StatusUrl, trust: &Trust) -> Result<Self, ServeError> {
        if !url.has_tls {
            return Ok(Self { url, tls: None });
        }
        let client = trust.client().map_err(ServeError::StatusTls)?;
        let name = ServerName::try_from(url.host.clone())
            .map_err(|_| ServeError::StatusName(url.host.clone()))?;
        let tls = Tls {
            connector: TlsConnector::from(Arc::new(client.with_no_client_auth())),
            name,
        };
        Ok(Self {
            url,
            tls: Some(tls),
        })
    }
}

enum Place {
    Addresses(Vec<SocketAddr>),
    Name(String, u16),
}

struct Question {
    place: Place,
    host: String,
    path: String,
    authorization: Option<String>,
    tls: Option<Tls>,
}

impl Question {
    fn of(server: &Server, ports: Ports) -> Self {
        let addresses = addresses_of(&server.listens, ports);
        Self {
            host: addresses
                .first()
                .map_or_else(String::new, ToString::to_string),
            place: Place::Addresses(addresses),
            path: default_path(),
            authorization: None,
            tls: None,
        }
    }

    fn at(Elsewhere { url, tls }: &Elsewhere) -> Self {
        let host = match (url.host.contains(':'), url.port) {
            (true, port) => format!("[{}]:{port}", url.host),
            (false, port) if port == default_port(url.has_tls) => url.host.clone(),
            (false, port) => format!("{}:{port}", url.host),
        };
        Self {
            place: Place::Name(url.host.clone(), url.port),
            host,
            path: url.path.clone(),
            authorization: url.authorization.clone(),
            tls: tls.clone(),
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = match &self.place {
            Place::Addresses(addresses) => addresses.clone(),
            Place::Name(name, port) => lookup_host((&**name, *port)).await?.collect(),
        };
        TcpStream::connect(&*addresses).await
    }

    /// The page; `None` if the answer is an error.
    async fn ask(&self, shared: &Shared, watched: Ports) -> io::Result<Option<String>> {
        let stream = self.connect().await?;
        let at = stream.peer_addr()?.port();
        // At another port it has no record; at one that is watched that comes after the request
        // was sent.
        if watched.iter().any(|port| port == at) {
            shared.own_connections().add(stream.local_addr()?, at);
        }
        match &self.tls {
            None => self.ask_over(stream).await,
            Some(tls) => {
                let stream = tls.connector.connect(tls.name.clone(), stream).await?;
                self.ask_over(stream).await
            }
        }
    }

    async fn ask_over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<Option<String>> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // A connection that were kept would hold a slot.
        let mut request = Request::get(&self.path)
            .header(header::HOST, &self.host)
            .header(header::CONNECTION, "close")
            .header(
                header::USER_AGENT,
                concat!("mpm-observer/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let exchange = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(io::Error::other)?;
            if response.status() != StatusCode::OK {
                return Ok(None);
            }
            let body = Limited::new(response.into_body(), MAX_PAGE_BYTES)
                .collect()
                .await
                .map_err(io::Error::other)?;
            Ok(Some(String::from_utf8_lossy(&body.to_bytes()).into_owned()))
        };
        beside(connection, exchange).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        thread,
    };

    use tokio_rustls::rustls::{self, pki_types::PrivateKeyDer};

    use super::*;

    /// In the order of the outcomes.
    const ANSWERED: [f64; 5] = [1.0, 0.0, 0.0, 0.0, 0.0];

    /// Takes each question until one came to something else than a time-out, which on a busy
    /// machine an answer comes to that is too late; gives the outcome of that one.
    fn first_in_time<T>(
        listener: &TcpListener,
        shared: &Shared,
        mut take: impl FnMut(TcpStream, SocketAddr) -> T,
    ) -> (Vec<f64>, T) {
        let mut late = 0.0;
        loop {
            let (stream, peer) = listener.accept().unwrap();
            let taken = take(stream, peer);
            let mut outcomes = outcomes(shared, late);
            if outcomes[1] == late {
                outcomes[1] = 0.0;
                return (outcomes, taken);
            }
            late = outcomes[1];
        }
    }

    /// Asks a server that answers with `answer`, and gives the outcome and the request.
    fn outcome_of(answer: &'static str) -> (Vec<f64>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://u:p@{address}/server-status?auto");
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let elsewhere = Elsewhere::new(url.parse().unwrap(), &Trust::System).unwrap();
        let watched = Ports::from(address.port());
        let asking = thread::spawn(move || run(Some(&elsewhere), watched, &of_thread));
        let take = |mut stream: TcpStream, peer: SocketAddr| {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            // Who asked may have given up.
            let _ = stream.write_all(format!("{head}{answer}").as_bytes());
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            (peer, request)
        };
        let (outcomes, (peer, request)) = first_in_time(&listener, &shared, take);
        shared.stop();
        asking.join().unwrap().unwrap();
        let mut of_peer = mpm_observer_common::RequestRecord {
            local_port: address.port(),
            remote_port: peer.port(),
            ..Default::default()
        };
        of_peer.remote_addr[10..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        assert!(shared.own_connections().is_own(&of_peer));
        (outcomes, request)
    }

    #[test]
    fn a_page_is_asked_for_with_the_password_of_the_url() {
        let (outcomes, request) = outcome_of("BusyWorkers: 1\nIdleWorkers: 2\n");
        assert_eq!(outcomes, ANSWERED);
        assert!(
            request.starts_with("GET /server-status?auto HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("authorization: Basic dTpw\r\n"),
            "{request}"
        );
        assert!(request.contains("connection: close\r\n"), "{request}");
    }

    #[test]
    fn another_page_is_unreadable() {
        assert_eq!(outcome_of("<html>").0, [0.0, 0.0, 0.0, 1.0, 0.0]);
    }

    /// The outcomes so far, once there are more than `before`.
    fn outcomes(shared: &Shared, before: f64) -> Vec<f64> {
        loop {
            let exposition = shared.exposition();
            let outcomes = StatusOutcome::ALL.map(|outcome| {
                let name = "mpm_observer_status_requests_total";
                exposition.get(name, &[outcome.name()]).unwrap()
            });
            if outcomes.iter().sum::<f64>() > before {
                let up = exposition.get("apache_up", &[]);
                // One that cannot be asked may well be up.
                assert_eq!(up, Some(outcomes[0]).filter(|_| outcomes[4] == 0.0));
                return outcomes.into();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_server_whose_network_cannot_be_entered_is_not_looked_for_in_this_one() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let mut elsewhere = std::process::Command::new("unshare")
            .args(["--net", "sleep", "60"])
            .spawn()
            .unwrap();
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        let network = format!("/proc/{}/ns/net", elsewhere.id());
        while fs::metadata(&network).unwrap().ino() == own {
            thread::sleep(Duration::from_millis(1));
        }
        let another = TcpListener::bind("127.0.0.1:0").unwrap();
        another.set_nonblocking(true).unwrap();
        let shared = Arc::new(Shared::default());
        shared.set_server(Some(Server {
            process: crate::httpd::ProcessId::of(elsewhere.id()).unwrap(),
            binary: "httpd".into(),
            mpm: crate::scenario::Mpm::Event,
            listens: vec![another.local_addr().unwrap()],
        }));
        let of_thread = Arc::clone(&shared);
        let asking = thread::spawn(move || {
            // A thread's own.
            caps::drop(
                None,
                caps::CapSet::Effective,
                caps::Capability::CAP_SYS_ADMIN,
            )
            .unwrap();
            run(None, Ports::default(), &of_thread)
        });
        assert_eq!(outcomes(&shared, 0.0), [0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(
            another.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        shared.stop();
        asking.join().unwrap().unwrap();
        elsewhere.kill().unwrap();
        elsewhere.wait().unwrap();
    }

    /// What comes of asking a server over TLS that has a certificate for 127.0.0.1, if its
    /// certificate is trusted or, with `trust`, as that says.
    fn outcome_over_tls(trust: Option<Trust>) -> Vec<f64> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let issuer = dir.path().join("issuer.pem");
        fs::write(&issuer, made.cert.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let trust = trust.unwrap_or(Trust::Issuers(issuer));
        let elsewhere = Elsewhere::new(url.parse().unwrap(), &trust).unwrap();
        let asking = thread::spawn(move || run(Some(&elsewhere), Ports::default(), &of_thread));
        let config = Arc::new(config);
        let take = |mut stream: TcpStream, _| {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            // Of a client that does not trust it there comes no request.
            if tls.read(&mut [0; 4096]).is_ok() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nBusyWorkers: 1\n";
                let _ = tls.write_all(answer);
            }
            // It stays open until the outcome is there.
            stream
        };
        let (outcomes, _) = first_in_time(&listener, &shared, take);
        shared.stop();
        asking.join().unwrap().unwrap();
        outcomes
    }

    #[test]
    fn over_tls_only_who_is_trusted_is_asked() {
        assert_eq!(outcome_over_tls(None), ANSWERED);
        assert_eq!(outcome_over_tls(Some(Trust::Anyone)), ANSWERED);
        let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other.pem");
        fs::write(&path, other.cert.pem()).unwrap();
        let others = Some(Trust::Issuers(path));
        assert_eq!(outcome_over_tls(others), [0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn silence_is_a_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let elsewhere = Elsewhere::new(url.parse().unwrap(), &Trust::System).unwrap();
        let asking = thread::spawn(move || run(Some(&elsewhere), Ports::default(), &of_thread));
        let _silent = listener.accept().unwrap();
        assert_eq!(outcomes(&shared, 0.0), [0.0, 1.0, 0.0, 0.0, 0.0]);
        shared.stop();
        asking.join().unwrap().unwrap();
    }
}
