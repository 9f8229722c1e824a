//! The web configuration file of Prometheus' exporters
//! (<https://prometheus.io/docs/prometheus/latest/configuration/https/>).

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;
use thiserror::Error;

/// What is wrong with the file, or with one that it names.
#[derive(Debug, Error)]
pub enum WebConfigError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration is wrong.
    #[error("{path}:{line}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 if it is not known.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing in a file that there was something in.
    #[error("{path} is empty; a comment line in it says that this is meant")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate or key cannot be used.
    #[error("{path}: {reason}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The file as it stands.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebConfig {
    pub(super) tls_server_config: Option<TlsSection>,
    #[serde(default)]
    pub(super) http_server_config: HttpSection,
    /// Names and bcrypt hashes of passwords.
    #[serde(default)]
    pub(super) basic_auth_users: BTreeMap<String, String>,
}

/// TLS.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsSection {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    #[serde(default)]
    pub(super) client_auth_type: ClientAuth,
    pub(super) client_ca_file: Option<PathBuf>,
    #[serde(default = "oldest")]
    pub(super) min_version: TlsVersion,
    #[serde(default = "newest")]
    pub(super) max_version: TlsVersion,
    #[serde(default = "yes")]
    pub(super) prefer_server_cipher_suites: bool,
}

const fn oldest() -> TlsVersion {
    TlsVersion::Tls12
}

const fn newest() -> TlsVersion {
    TlsVersion::Tls13
}

const fn yes() -> bool {
    true
}

/// Whether clients show a certificate. Certificates that are asked for and not verified are not
/// supported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) enum ClientAuth {
    #[default]
    #[serde(alias = "")]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum TlsVersion {
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

/// HTTP.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpSection {
    /// Allowed and not used: the answers are HTTP/1.1.
    #[serde(default, rename = "http2")]
    pub(super) _http2: Option<bool>,
    #[serde(default)]
    pub(super) headers: Headers,
}

/// Headers of every answer; no others can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Headers {
    #[serde(rename = "Content-Security-Policy")]
    content_security_policy: Option<String>,
    #[serde(rename = "Strict-Transport-Security")]
    strict_transport_security: Option<String>,
    #[serde(rename = "X-Content-Type-Options")]
    x_content_type_options: Option<String>,
    #[serde(rename = "X-Frame-Options")]
    x_frame_options: Option<String>,
    #[serde(rename = "X-XSS-Protection")]
    x_xss_protection: Option<String>,
}

impl Headers {
    /// Names and values of those that are set.
    pub(super) fn set(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("content-security-policy", &self.content_security_policy),
            ("strict-transport-security", &self.strict_transport_security),
            ("x-content-type-options", &self.x_content_type_options),
            ("x-frame-options", &self.x_frame_options),
            ("x-xss-protection", &self.x_xss_protection),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// Keys that exporters know and that are not supported here.
const UNSUPPORTED: [&str; 9] = [
    "cert",
    "key",
    "client_ca",
    "client_allowed_sans",
    "cipher_suites",
    "curve_preferences",
    "rate_limit",
    "RequestClientCert",
    "RequireAnyClientCert",
];

impl WebConfig {
    /// Reads a file; the files that it names lie beside it unless their paths are absolute.
    pub(super) fn load(path: &Path) -> Result<Self, WebConfigError> {
        Self::of(path, &text_of(path)?)
    }

    /// The same of one that was read before. An empty one, which asks for no password, is taken for
    /// one that is about to be written: between being cut and written, a file is empty.
    pub(super) fn load_again(path: &Path) -> Result<Self, WebConfigError> {
        match &*text_of(path)? {
            "" => Err(WebConfigError::Empty {
                path: path.to_owned(),
            }),
            text => Self::of(path, text),
        }
    }

    fn of(path: &Path, text: &str) -> Result<Self, WebConfigError> {
        let mut config = Self::parse(path, text)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        if let Some(tls) = &mut config.tls_server_config {
            let files = [&mut tls.cert_file, &mut tls.key_file];
            for file in files.into_iter().chain(&mut tls.client_ca_file) {
                *file = directory.join(&*file);
            }
        }
        Ok(config)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, WebConfigError> {
        let wrong = |line: u64, reason: String| WebConfigError::Content {
            path: path.to_owned(),
            line,
            reason,
        };
        let is_empty = |line: &str| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        };
        if text.lines().all(is_empty) {
            return Ok(Self::default());
        }
        let config: Self = serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map_or(0, |location| location.line());
            let plain = error.without_snippet().to_string();
            let mut reason = plain.lines().next().unwrap_or("").to_owned();
            let named = |key: &&&str| reason.contains(&format!("`{key}`"));
            // An unknown key is named first, before those that are expected.
            let unsupported = UNSUPPORTED.iter().find(named);
            if let Some(key) = unsupported {
                reason = format!("`{key}` is not supported by mpm-observer: {reason}");
            }
            wrong(line, reason)
        })?;
        config
            .check()
            .map_err(|(key, reason)| wrong(line_of(text, key), reason))?;
        Ok(config)
    }

    /// What the types do not say; an error with the key that it is about.
    fn check(&self) -> Result<(), (&str, String)> {
        for (user, hash) in &self.basic_auth_users {
            if bcrypt::HashParts::from_str(hash).is_err() {
                let reason = format!(
                    "the password of {user:?} is no bcrypt hash; make one with `htpasswd -nB {user}`"
                );
                return Err((user, reason));
            }
        }
        for (name, value) in self.http_server_config.headers.set() {
            if hyper::header::HeaderValue::from_str(value).is_err() {
                return Err((name, format!("{value:?} cannot be a header's value")));
            }
        }
        let Some(tls) = &self.tls_server_config else {
            return Ok(());
        };
        if tls.min_version > tls.max_version {
            let reason = "min_version is above max_version".to_owned();
            return Err(("min_version", reason));
        }
        match (tls.client_auth_type, &tls.client_ca_file) {
            (ClientAuth::NoClientCert, Some(_)) => Err((
                "client_ca_file",
                "client_ca_file needs a client_auth_type that verifies".to_owned(),
            )),
            (ClientAuth::NoClientCert, None) | (_, Some(_)) => Ok(()),
            (_, None) => Err((
                "client_auth_type",
                "client_auth_type needs client_ca_file, to verify with".to_owned(),
            )),
        }
    }
}

fn text_of(path: &Path) -> Result<String, WebConfigError> {
    fs::read_to_string(path).map_err(|source| WebConfigError::File {
        path: path.to_owned(),
        source,
    })
}

/// The first line that has a key, from 1; 0 if none has.
fn line_of(text: &str, key: &str) -> u64 {
    let has = |line: &str| {
        line.split_once(':').is_some_and(|(name, _)| {
            name.trim()
                .trim_matches(['"', '\''])
                .eq_ignore_ascii_case(key)
        })
    };
    let mut lines = (1..).zip(text.lines());
    let found = lines.find(|(_, line)| has(line));
    found.map_or(0, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2b$04$.E2jNbPwgn.ruJoZ4HLSMO8O5iJB0tP6BzU.EEFAQRLMfLHqpGQgS";

    fn parse(text: &str) -> Result<WebConfig, String> {
        WebConfig::parse(Path::new("web.yml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_file_is_read() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let text = format!(
            "# For Prometheus.\ntls_server_config:\n  cert_file: server.crt\n  \
             key_file: /etc/key.pem\n  client_auth_type: RequireAndVerifyClientCert\n  \
             client_ca_file: ca.crt\n  min_version: TLS13\nhttp_server_config:\n  http2: false\n  \
             headers:\n    X-Frame-Options: deny\nbasic_auth_users:\n  prom: {hash}\n"
        );
        let config = parse(&text).unwrap();
        let tls = config.tls_server_config.unwrap();
        assert_eq!(tls.client_auth_type, ClientAuth::RequireAndVerifyClientCert);
        assert_eq!(
            (tls.min_version, tls.max_version),
            (TlsVersion::Tls13, TlsVersion::Tls13)
        );
        let headers: Vec<_> = config.http_server_config.headers.set().collect();
        assert_eq!(headers, [("x-frame-options", "deny")]);
        assert_eq!(config.basic_auth_users["prom"], hash);
    }

    #[test]
    fn an_empty_file_asks_for_nothing() {
        for text in ["", "# nothing\n", "---\n\n"] {
            let config = parse(text).unwrap();
            assert!(config.tls_server_config.is_none() && config.basic_auth_users.is_empty());
        }
    }

    #[test]
    fn files_lie_beside_the_file_that_names_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.yml");
        fs::write(
            &path,
            "tls_server_config:\n  cert_file: a.crt\n  key_file: /b.key\n",
        )
        .unwrap();
        let tls = WebConfig::load(&path).unwrap().tls_server_config.unwrap();
        assert_eq!(tls.cert_file, dir.path().join("a.crt"));
        assert_eq!(tls.key_file, Path::new("/b.key"));
        let missing = dir.path().join("none.yml");
        let error = WebConfig::load(&missing).unwrap_err();
        assert!(matches!(error, WebConfigError::File { .. }), "{error}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let tls = "tls_server_config:\n  cert_file: a\n  key_file: b\n";
        for (text, line, about) in [
            (
                "basic_auth_user:\n  a: b\n".to_owned(),
                1,
                "basic_auth_user",
            ),
            (
                format!("{tls}  cipher_suites: [x]\n"),
                4,
                "`cipher_suites` is not supported",
            ),
            (format!("{tls}  min_version: TLS10\n"), 4, "TLS10"),
            (
                format!("{tls}  client_auth_type: RequireAnyClientCert\n"),
                4,
                "`RequireAnyClientCert` is not supported",
            ),
            (
                format!("{tls}  client_auth_type: VerifyClientCertIfGiven\n"),
                4,
                "needs client_ca_file",
            ),
            (format!("{tls}  client_ca_file: c\n"), 4, "client_auth_type"),
            (
                format!("{tls}  min_version: TLS13\n  max_version: TLS12\n"),
                4,
                "above max_version",
            ),
            (
                "basic_auth_users:\n  # his\n  a: secret\n".to_owned(),
                3,
                "bcrypt",
            ),
            (
                "http_server_config:\n  headers:\n    Server: me\n".to_owned(),
                3,
                "Server",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(
                error.starts_with(&format!("web.yml:{line}: ")),
                "{text}\n{error}"
            );
            assert!(error.contains(about), "{text}\n{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        // A password is not repeated.
        let error = parse("basic_auth_users:\n  a: topsecret\n").unwrap_err();
        assert!(!error.contains("topsecret"), "{error}");
        assert!(
            parse("basic_auth_users: [\n")
                .unwrap_err()
                .starts_with("web.yml:")
        );
        let missing = parse("tls_server_config:\n  cert_file: a\n").unwrap_err();
        assert!(missing.contains("key_file"), "{missing}");
    }

    #[test]
    fn a_hash_of_bcrypt_is_taken() {
        assert!(parse(&format!("basic_auth_users:\n  a: {HASH}\n")).is_ok());
    }
}
