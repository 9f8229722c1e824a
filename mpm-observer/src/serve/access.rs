//! Who may read the metrics, and how.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio_rustls::TlsAcceptor;

use super::{
    WebConfigError, tls,
    web_config::{ClientAuth, WebConfig},
};

/// How often it is looked whether the files have changed, at most.
const RELOAD_CHECK: Duration = Duration::from_secs(1);
/// So many passwords are checked at once; each takes a CPU for some 50 ms.
const MAX_CHECKS: usize = 4;
/// So many right answers are remembered.
const REMEMBERED: usize = 16;

/// What a name that does not exist is checked with, so that this takes as long.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuPYD7EMn3PfpLxOxCR6NuSnHZqaf4T7S";

/// What a web configuration asks for.
#[derive(Default)]
pub(super) struct Access {
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) headers: Vec<(&'static str, String)>,
    users: BTreeMap<String, String>,
    verifies_clients: bool,
    /// Values of `Authorization` that were right.
    right: Mutex<VecDeque<Vec<u8>>>,
    checks: AtomicUsize,
}

/// What is made of an `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// Too many are being checked.
    Busy,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither hashes nor passwords.
        f.debug_struct("Access")
            .field("tls", &self.tls.is_some())
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

impl Access {
    fn of(config: WebConfig) -> Result<Self, WebConfigError> {
        let section = config.tls_server_config.as_ref();
        let headers = config.http_server_config.headers.set();
        Ok(Self {
            tls: section.map(tls::acceptor).transpose()?,
            headers: headers
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
            verifies_clients: section.is_some_and(|section| {
                section.client_auth_type == ClientAuth::RequireAndVerifyClientCert
            }),
            users: config.basic_auth_users,
            ..Self::default()
        })
    }

    /// Whether nobody unknown can read.
    pub(super) fn authenticates(&self) -> bool {
        self.verifies_clients || !self.users.is_empty()
    }

    /// Whether a password is asked for.
    pub(super) fn asks_for_password(&self) -> bool {
        !self.users.is_empty()
    }

    /// Checks a value of `Authorization`, if one came.
    pub(super) async fn check(self: &Arc<Self>, authorization: Option<&[u8]>) -> Verdict {
        if !self.asks_for_password() {
            return Verdict::Right;
        }
        let Some(authorization) = authorization else {
            return Verdict::Wrong;
        };
        if self.is_known_right(authorization) {
            return Verdict::Right;
        }
        let Some((name, password)) = credentials(authorization) else {
            return Verdict::Wrong;
        };
        // Scrapers that guess passwords must not keep all CPUs busy, nor fill the memory.
        let Some(permit) = Permit::take(self) else {
            return Verdict::Busy;
        };
        let access = Arc::clone(self);
        let checked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let hash = access.users.get(&name);
            let fits = bcrypt::verify(&password, hash.map_or(NOBODY, String::as_str));
            hash.is_some() && fits.unwrap_or(false)
        });
        if checked.await.unwrap_or(false) {
            self.remember(authorization);
            Verdict::Right
        } else {
            Verdict::Wrong
        }
    }

    fn is_known_right(&self, authorization: &[u8]) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.iter().any(|known| same(known, authorization))
    }

    fn remember(&self, authorization: &[u8]) {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() == REMEMBERED {
            right.pop_front();
        }
        right.push_back(authorization.to_owned());
    }
}

/// One of [`MAX_CHECKS`].
struct Permit(Arc<Access>);

impl Permit {
    fn take(access: &Arc<Access>) -> Option<Self> {
        let taken = access.checks.fetch_add(1, Ordering::Relaxed);
        let permit = Self(Arc::clone(access));
        (taken < MAX_CHECKS).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.checks.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Name and password of `Basic …`.
fn credentials(authorization: &[u8]) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, decoded[colon + 1..].to_vec()))
}

/// Compares in a time that does not tell where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |bits, (a, b)| bits | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

/// What a file looked like.
type Stamp = (PathBuf, Option<(SystemTime, u64)>);

#[derive(Debug)]
struct Loaded {
    access: Arc<Access>,
    stamps: Vec<Stamp>,
    checked: Instant,
    /// Why the files as they are now cannot be used; none if they are in use.
    wrong: Option<String>,
}

/// The access by the files as they are now: certificates are renewed while the service runs.
#[derive(Debug)]
pub(super) struct Guard {
    config: Option<PathBuf>,
    loaded: Mutex<Loaded>,
}

impl Guard {
    /// By this web configuration file; without one, everybody who comes through may read.
    pub(super) fn new(config: Option<PathBuf>) -> Result<Self, WebConfigError> {
        let (access, stamps) = match &config {
            Some(path) => load(path, WebConfig::load)?,
            None => Default::default(),
        };
        Ok(Self {
            config,
            loaded: Mutex::new(Loaded {
                access: Arc::new(access),
                stamps,
                checked: Instant::now(),
                wrong: None,
            }),
        })
    }

    /// The access of now. Files that have changed and cannot be used leave it as it was.
    pub(super) fn access(&self) -> Arc<Access> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.config
            && loaded.checked.elapsed() >= RELOAD_CHECK
        {
            loaded.checked = Instant::now();
            let paths = loaded.stamps.iter().map(|(path, _)| path.clone());
            // What was wrong may be mended in a file that is not among those in use.
            if loaded.wrong.is_some() || stamps(paths) != loaded.stamps {
                loaded.reload(path);
            }
        }
        Arc::clone(&loaded.access)
    }
}

impl Loaded {
    /// Uses the files as they are now, if they can be used; tells once why not.
    fn reload(&mut self, path: &Path) {
        match load(path, WebConfig::load_again) {
            Ok((access, stamps)) => {
                (self.access, self.stamps) = (Arc::new(access), stamps);
                self.wrong = None;
            }
            Err(error) => {
                let error = error.to_string();
                if self.wrong.as_ref() != Some(&error) {
                    log::warn!("the web configuration stays as it was: {error}");
                }
                self.wrong = Some(error);
            }
        }
    }
}

/// Reads a web configuration in this way, and the files that it names.
fn load(
    path: &Path,
    read: fn(&Path) -> Result<WebConfig, WebConfigError>,
) -> Result<(Access, Vec<Stamp>), WebConfigError> {
    // Before each file is read: a later change is then noticed.
    let mut seen = stamps([path.to_owned()]);
    let config = read(path)?;
    if let Some(tls) = &config.tls_server_config {
        let files = [tls.cert_file.clone(), tls.key_file.clone()];
        seen.extend(stamps(files.into_iter().chain(tls.client_ca_file.clone())));
    }
    Ok((Access::of(config)?, seen))
}

fn stamps(files: impl IntoIterator<Item = PathBuf>) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files
        .into_iter()
        .map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Arc<Access> {
        let users = [("prom".to_owned(), bcrypt::hash("s:cret", 4).unwrap())];
        Arc::new(Access {
            users: users.into(),
            ..Access::default()
        })
    }

    fn check(access: &Arc<Access>, authorization: Option<&str>) -> Verdict {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(access.check(authorization.map(str::as_bytes)))
    }

    fn basic(credentials: &str) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    #[test]
    fn only_the_right_password_of_a_known_name_is_right() {
        let access = access();
        for (authorization, expected) in [
            (Some(basic("prom:s:cret")), Verdict::Right),
            (
                Some(basic("prom:s:cret").replace("Basic", "basic")),
                Verdict::Right,
            ),
            (Some(basic("prom:secret")), Verdict::Wrong),
            (Some(basic("other:s:cret")), Verdict::Wrong),
            (Some(basic("prom")), Verdict::Wrong),
            (Some("Basic ???".to_owned()), Verdict::Wrong),
            (Some("Bearer x".to_owned()), Verdict::Wrong),
            (Some("B".to_owned()), Verdict::Wrong),
            (None, Verdict::Wrong),
        ] {
            assert_eq!(
                check(&access, authorization.as_deref()),
                expected,
                "{authorization:?}"
            );
        }
        assert_eq!(check(&Arc::default(), None), Verdict::Right);
    }

    #[test]
    fn a_right_password_is_checked_once_and_let_in_while_others_are_checked() {
        let access = access();
        let right = basic("prom:s:cret");
        assert_eq!(check(&access, Some(&right)), Verdict::Right);
        let _permits: Vec<_> = (0..MAX_CHECKS)
            .map(|_| Permit::take(&access).unwrap())
            .collect();
        assert_eq!(check(&access, Some(&basic("prom:x"))), Verdict::Busy);
        assert_eq!(check(&access, Some(&right)), Verdict::Right);
        drop(_permits);
        assert_eq!(check(&access, Some(&basic("prom:x"))), Verdict::Wrong);
    }

    #[test]
    fn what_nobody_is_checked_with_is_a_hash() {
        assert_eq!(bcrypt::verify("x", NOBODY).ok(), Some(false));
    }

    /// The access when it is time to look at the files.
    fn look_again(guard: &Guard) -> Arc<Access> {
        let mut loaded = guard.loaded.lock().unwrap();
        loaded.checked = loaded.checked.checked_sub(2 * RELOAD_CHECK).unwrap();
        drop(loaded);
        guard.access()
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_wrong_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.yml");
        fs::write(&path, "").unwrap();
        let guard = Guard::new(Some(path.clone())).unwrap();
        let look_again = || look_again(&guard);
        assert!(!look_again().authenticates());
        let hash = bcrypt::hash("x", 4).unwrap();
        fs::write(&path, format!("basic_auth_users:\n  a: {hash}\n")).unwrap();
        assert!(look_again().authenticates());
        fs::write(&path, "nonsense").unwrap();
        assert!(look_again().authenticates());
        fs::remove_file(&path).unwrap();
        assert!(look_again().authenticates());
        // As it is between being cut and written.
        fs::write(&path, "").unwrap();
        assert!(look_again().authenticates());
        fs::write(&path, "# open\n").unwrap();
        assert!(!look_again().authenticates());
    }

    #[test]
    fn files_that_a_changed_configuration_names_may_come_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.yml");
        let config = "tls_server_config:\n  cert_file: new.crt\n  key_file: new.key\n";
        fs::write(&path, "# open\n").unwrap();
        let guard = Guard::new(Some(path.clone())).unwrap();
        let look_again = || look_again(&guard);
        let wrong = || guard.loaded.lock().unwrap().wrong.clone();
        fs::write(&path, config).unwrap();
        assert!(look_again().tls.is_none());
        assert!(wrong().unwrap().contains("new.key: "), "{:?}", wrong());
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        fs::write(dir.path().join("new.key"), made.signing_key.serialize_pem()).unwrap();
        assert!(look_again().tls.is_none());
        assert!(wrong().unwrap().contains("new.crt: "), "{:?}", wrong());
        fs::write(dir.path().join("new.crt"), made.cert.pem()).unwrap();
        assert!(look_again().tls.is_some());
        assert_eq!(wrong(), None);
    }
}
