//! An account that no process has, for a limit that counts every task of its user.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use procfs::process::all_processes;

use super::user::{ServerUser, UserError, look_up};

/// Accounts that are meant for a web server come first.
const PREFERRED: [&str; 3] = ["www-data", "apache", "http"];

/// An account of the system that has no process, kept from other labs until it is dropped. httpd
/// looks its user up by name, so a number without an account does not do.
#[derive(Debug)]
pub struct IdleAccount {
    user: ServerUser,
    /// A name that one process at a time can have; the kernel takes it back at the process's end.
    _claim: UnixListener,
}

impl IdleAccount {
    /// Finds one and keeps it; not that of `client`, as which the load generator runs.
    ///
    /// # Errors
    /// When there is none, or the processes cannot be read.
    pub fn take(client: Option<&ServerUser>) -> Result<Self, UserError> {
        let failed = |source: io::Error| UserError::Lookup {
            name: "an idle account".to_owned(),
            source: source
                .raw_os_error()
                .map_or(nix::Error::EIO, nix::Error::from_raw),
        };
        let passwd = fs::read_to_string("/etc/passwd").map_err(failed)?;
        let busy = busy_uids().map_err(failed)?;
        for (name, uid) in candidates(&passwd) {
            if busy.contains(&uid) || client.is_some_and(|client| client.uid == uid) {
                continue;
            }
            let address =
                SocketAddr::from_abstract_name(format!("mpm-observer/{uid}")).map_err(failed)?;
            if let Ok(claim) = UnixListener::bind_addr(&address) {
                return Ok(Self {
                    user: look_up(name)?,
                    _claim: claim,
                });
            }
        }
        Err(UserError::NoneIdle)
    }

    /// The account.
    pub fn user(&self) -> &ServerUser {
        &self.user
    }
}

/// Accounts of the system, by name and number: not root, and nobody logs in with them.
fn candidates(passwd: &str) -> Vec<(&str, u32)> {
    let mut found: Vec<(&str, u32)> = passwd
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let (name, uid, shell) = (*fields.first()?, *fields.get(2)?, *fields.get(6)?);
            let uid: u32 = uid.parse().ok()?;
            let without_shell = shell.ends_with("/nologin") || shell.ends_with("/false");
            (uid != 0 && without_shell).then_some((name, uid))
        })
        .collect();
    found.sort_by_key(|(name, _)| !PREFERRED.contains(name));
    found
}

/// The users that have a process.
fn busy_uids() -> io::Result<Vec<u32>> {
    let processes = all_processes().map_err(io::Error::other)?;
    Ok(processes
        .flatten()
        // One that ends meanwhile is no process any more.
        .filter_map(|process| process.status().ok())
        .flat_map(|status| [status.ruid, status.euid, status.suid])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_without_a_shell_are_taken_a_web_servers_first() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n\
            toor:x:0:0::/root:/usr/sbin/nologin\n\
            daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
            ada:x:1000:1000::/home/ada:/bin/bash\n\
            www-data:x:33:33::/var/www:/usr/sbin/nologin\n\
            mail:x:8:8::/var/mail:/bin/false\n\
            broken line\n";
        assert_eq!(
            candidates(passwd),
            [("www-data", 33), ("daemon", 1), ("mail", 8)]
        );
    }

    #[test]
    fn an_account_that_is_taken_is_not_given_again() {
        let Ok(first) = IdleAccount::take(None) else {
            return;
        };
        match IdleAccount::take(None) {
            Ok(second) => assert_ne!(first.user().uid, second.user().uid),
            Err(error) => assert!(matches!(error, UserError::NoneIdle), "{error}"),
        }
        assert_ne!(first.user().uid, 0);
        assert!(!busy_uids().unwrap().contains(&first.user().uid));
    }
}
