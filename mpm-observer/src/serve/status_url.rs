//! Where mod_status is.

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::Uri;
use percent_encoding::percent_decode_str;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};
use thiserror::Error;

use crate::{httpd::config::STATUS_PATH, kernel::Ports};

/// Why a URL cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StatusUrlError {
    /// It is none.
    #[error("{0:?} is no URL: it should look like http://127.0.0.1:80/server-status?auto")]
    NoUrl(String),
    /// It is neither http nor https.
    #[error("{0:?}: mod_status can be asked over http and https only")]
    NotHttp(String),
}

/// A URL of mod_status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUrl {
    /// Whether it is https.
    pub(super) has_tls: bool,
    /// Host and port to connect to, and what `Host` says.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) path: String,
    /// `Authorization`, of a user and password in the URL.
    pub(super) authorization: Option<String>,
}

impl FromStr for StatusUrl {
    type Err = StatusUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let none = || StatusUrlError::NoUrl(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| none())?;
        let has_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(StatusUrlError::NotHttp(text.to_owned())),
            None => return Err(none()),
        };
        let authority = uri.authority().ok_or_else(none)?;
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        let authorization = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let credentials = [&*decoded(name), b":", &*decoded(password)].concat();
            format!("Basic {}", STANDARD.encode(credentials))
        });
        Ok(Self {
            has_tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(default_port(has_tls)),
            path: uri
                .path_and_query()
                .map_or("/".to_owned(), |path| path.as_str().to_owned()),
            authorization,
        })
    }
}

/// The bytes of a part of a URL: `%40` is `@`. What is no such code stands for itself.
fn decoded(part: &str) -> Vec<u8> {
    percent_decode_str(part).collect()
}

/// The port that a URL need not name.
pub(super) const fn default_port(has_tls: bool) -> u16 {
    if has_tls { 443 } else { 80 }
}

/// The path and query that a server is asked for if nothing else is said.
pub(super) fn default_path() -> String {
    format!("{STATUS_PATH}?auto")
}

/// Where a server that listens on these addresses can be reached from its own machine, in the
/// order in which to try: on the lowest of `ports` on which it listens, or of all its ports if
/// those are none; without a listener there, nowhere.
pub(super) fn addresses_of(listens: &[SocketAddr], ports: Ports) -> Vec<SocketAddr> {
    let is_asked_for = |port: &u16| ports.is_empty() || ports.iter().any(|asked| asked == *port);
    let port = listens.iter().map(SocketAddr::port);
    let port = port.filter(is_asked_for).min();
    let of_port = listens.iter().filter(|listen| Some(listen.port()) == port);
    let mut addresses = Vec::new();
    for listen in of_port {
        let reached: &[IpAddr] = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
            // As a rule it takes IPv4 too, and IPv6 may be switched off on the loopback device.
            IpAddr::V6(ip) if ip.is_unspecified() => &[
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
            ip => &[ip],
        };
        for &ip in reached {
            let address = SocketAddr::new(ip, listen.port());
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url: StatusUrl = "http://prom:s%40e@web.local:8080/status?auto"
            .parse()
            .unwrap();
        assert_eq!((&*url.host, url.port), ("web.local", 8080));
        assert_eq!(url.path, "/status?auto");
        let url: StatusUrl = "http://[::1]/server-status?auto".parse().unwrap();
        assert_eq!((&*url.host, url.port, url.authorization), ("::1", 80, None));
        let url: StatusUrl = "https://web.local/server-status?auto".parse().unwrap();
        assert_eq!((url.has_tls, url.port), (true, 443));
    }

    #[test]
    fn user_and_password_are_decoded_each_for_itself() {
        for (user, expected) in [
            ("prom:s%40e", "prom:s@e"),
            ("a%3Ab:c%3ad:e", "a:b:c:d:e"),
            ("prom:100%", "prom:100%"),
            ("prom:%4", "prom:%4"),
            ("prom:%zz%25", "prom:%zz%"),
            ("prom:%C3%A9", "prom:\u{e9}"),
            ("prom", "prom:"),
        ] {
            let url = format!("http://{user}@web.local/");
            let url: StatusUrl = url.parse().unwrap();
            let authorization = format!("Basic {}", STANDARD.encode(expected));
            assert_eq!(url.authorization, Some(authorization), "{user}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let error = |text: &str| text.parse::<StatusUrl>().unwrap_err();
        assert!(matches!(error("ftp://a/"), StatusUrlError::NotHttp(_)));
        for text in ["", "server-status", "127.0.0.1:80", "http://"] {
            assert!(matches!(error(text), StatusUrlError::NoUrl(_)), "{text:?}");
        }
    }

    #[test]
    fn a_server_is_asked_where_it_listens() {
        let listens: Vec<SocketAddr> = ["[::]:80", "0.0.0.0:81", "10.0.0.1:82"]
            .map(|text| text.parse().unwrap())
            .into();
        let of = |ports: &[u16]| -> Vec<String> {
            let addresses = addresses_of(&listens, Ports::from(ports));
            addresses.iter().map(ToString::to_string).collect()
        };
        assert_eq!(of(&[]), ["127.0.0.1:80", "[::1]:80"]);
        assert_eq!(of(&[81]), ["127.0.0.1:81"]);
        assert_eq!(of(&[82]), ["10.0.0.1:82"]);
        // It does not listen on the lowest one.
        assert_eq!(of(&[79, 82]), ["10.0.0.1:82"]);
        assert_eq!(of(&[83]), [""; 0]);
    }
}
