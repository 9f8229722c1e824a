//! Where the requests go.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use serde::{Deserialize, Serialize};

use crate::Error;

/// The server and the document that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Whether TLS is spoken: `https`.
    pub tls: bool,
    /// The address connected to.
    pub addr: SocketAddr,
    /// The host as the URL names it, without the port; IPv6 without brackets.
    pub host: String,
    /// Path and query, beginning with `/`.
    pub path: String,
}

impl Target {
    /// The document `path` of the server at `addr`, in plain HTTP.
    #[must_use]
    pub fn http(addr: SocketAddr, path: &str) -> Self {
        Self {
            tls: false,
            addr,
            host: addr.ip().to_string(),
            path: path.to_owned(),
        }
    }

    /// Reads `http[s]://host[:port][/path]` and resolves the host to its first address.
    ///
    /// # Errors
    /// [`Error::BadUrl`] names the part that is wrong; [`Error::Resolve`] when the
    /// host has no address.
    pub fn parse(url: &str) -> Result<Self, Error> {
        Self::parse_with(url, &[])
    }

    /// Like [`Target::parse`], but hosts that `known` names with the same port are not
    /// looked up.
    ///
    /// # Errors
    /// Those of [`Target::parse`].
    pub fn parse_with(url: &str, known: &[Resolved]) -> Result<Self, Error> {
        Self::parse_by(url, |host, port| {
            let known = known
                .iter()
                .find(|known| known.host.eq_ignore_ascii_case(host) && known.port == port);
            match known {
                Some(known) => Ok(SocketAddr::new(known.ip, port)),
                None => resolve(host, port),
            }
        })
    }

    /// Like [`Target::parse`], but the host is not looked up: its address is 0.0.0.0. For
    /// runs that connect to a socket of the file system.
    ///
    /// # Errors
    /// [`Error::BadUrl`] names the part that is wrong.
    pub fn parse_unresolved(url: &str) -> Result<Self, Error> {
        Self::parse_by(url, |_, port| Ok((Ipv4Addr::UNSPECIFIED, port).into()))
    }

    fn parse_by(
        url: &str,
        address: impl FnOnce(&str, u16) -> Result<SocketAddr, Error>,
    ) -> Result<Self, Error> {
        let bad = |reason: &str| Error::BadUrl {
            url: url.to_owned(),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| bad("it must begin with http:// or https://"))?;
        let tls = scheme.eq_ignore_ascii_case("https");
        if !tls && !scheme.eq_ignore_ascii_case("http") {
            return Err(bad("only http:// and https:// are supported"));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(bad("a user name in the URL is not supported, use a header"));
        }
        let usual_port = if tls { 443 } else { 80 };
        let (host, port) = split_authority(authority, usual_port).map_err(bad)?;
        let path = request_path(path).map_err(bad)?;
        Ok(Self {
            tls,
            addr: address(&host, port)?,
            host,
            path,
        })
    }

    /// The URL, without what is usual.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host_header(), self.path)
    }

    /// The value of the Host header: the port is left out when it is the scheme's own.
    #[must_use]
    pub fn host_header(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.tls, self.addr.port()) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// The address of a host that need not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The host as URLs name it.
    pub host: String,
    /// The port as URLs have it, said or meant.
    pub port: u16,
    /// Its address.
    pub ip: IpAddr,
}

fn split_authority(authority: &str, usual_port: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or("the IPv6 address has no closing ]")?;
        let port = match after {
            "" => None,
            _ => Some(
                after
                    .strip_prefix(':')
                    .ok_or("only :port may follow the ]")?,
            ),
        };
        (host, port)
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err("the host contains a space or a control character");
    }
    let port = match port {
        None | Some("") => usual_port,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err("the port must be a number from 1 to 65535"),
        },
    };
    Ok((host.to_owned(), port))
}

fn request_path(path: &str) -> Result<String, &'static str> {
    // A fragment is the browser's business and never sent.
    let path = path.split('#').next().unwrap_or_default();
    if path.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(
            "the path contains a space or a control character, write it as %20 or the like",
        );
    }
    Ok(if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    })
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, Error> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let failed = |source| Error::Resolve {
        host: host.to_owned(),
        source,
    };
    (host, port)
        .to_socket_addrs()
        .map_err(failed)?
        .next()
        .ok_or_else(|| failed(std::io::Error::other("the name has no address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(url: &str) -> String {
        Target::parse(url).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_full_url_is_taken_apart() {
        let target = Target::parse("http://127.0.0.1:8080/a/b?c=d#e").expect("good");
        assert_eq!(target.addr, "127.0.0.1:8080".parse().expect("address"));
        assert_eq!(target.host, "127.0.0.1");
        assert_eq!(target.path, "/a/b?c=d");
        assert_eq!(target.host_header(), "127.0.0.1:8080");
    }

    #[test]
    fn port_and_path_have_defaults() {
        let target = Target::parse("HTTP://127.0.0.1").expect("good");
        assert_eq!((target.addr.port(), target.path.as_str()), (80, "/"));
        assert_eq!(target.host_header(), "127.0.0.1");
        assert_eq!(
            Target::parse("http://127.0.0.1?q").expect("good").path,
            "/?q"
        );
    }

    #[test]
    fn ipv6_keeps_its_brackets_in_the_host_header() {
        let target = Target::parse("http://[::1]:81/").expect("good");
        assert_eq!(target.host, "::1");
        assert_eq!(target.host_header(), "[::1]:81");
    }

    #[test]
    fn https_has_its_own_port_and_comes_back_as_it_was() {
        for url in [
            "https://127.0.0.1/x",
            "http://127.0.0.1:443/",
            "https://[::1]:80/",
        ] {
            assert_eq!(Target::parse(url).expect("good").url(), url);
        }
        let target = Target::parse("https://127.0.0.1").expect("good");
        assert_eq!((target.tls, target.addr.port()), (true, 443));
    }

    #[test]
    fn a_known_host_is_not_looked_up() {
        let known = [Resolved {
            host: "Shop.invalid".into(),
            port: 81,
            ip: "127.0.0.9".parse().expect("address"),
        }];
        let target = Target::parse_with("http://shop.invalid:81/a", &known).expect("known");
        assert_eq!(target.addr.to_string(), "127.0.0.9:81");
        assert_eq!(target.host_header(), "shop.invalid:81");
        assert!(Target::parse_with("http://shop.invalid:82/", &known).is_err());
    }

    #[test]
    fn errors_name_what_is_wrong() {
        assert!(reason("127.0.0.1/").contains("must begin with http://"));
        assert!(reason("ftp://127.0.0.1/").contains("only http://"));
        assert!(reason("http:///x").contains("host is missing"));
        assert!(reason("http://127.0.0.1:0/").contains("port"));
        assert!(reason("http://127.0.0.1:99999/").contains("port"));
        assert!(reason("http://[::1/").contains("closing ]"));
        assert!(reason("http://[::1]x/").contains(":port"));
        assert!(reason("http://u@127.0.0.1/").contains("user name"));
        assert!(reason("http://127.0.0.1/a b").contains("%20"));
    }
}
