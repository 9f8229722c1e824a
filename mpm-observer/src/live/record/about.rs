//! What /proc tells of a server without asking it anything.

use std::{fs, io::Read};

use nix::unistd::{Uid, User};

use crate::{live::Server, resources::children_of};

/// More of a program is not searched for its version.
const MOST_READ: u64 = 64 << 20;

/// What is known of a server besides its process and where it listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Such as `Apache/2.4.66 (Debian)`; empty if the program does not hold it.
    pub version: String,
    /// The user of its children, or of itself if it has none.
    pub user: String,
    /// Its systemd unit.
    pub unit: Option<String>,
    /// Its container.
    pub container: Option<String>,
}

impl About {
    /// Reads what is there; what cannot be read stays empty.
    pub fn read(server: &Server) -> Self {
        let pid = server.process.pid;
        let place = server.place().unwrap_or_default();
        let children = children_of(pid).unwrap_or_default();
        let uid = uid_of(children.first().copied().unwrap_or(pid));
        Self {
            version: version(pid).unwrap_or_default(),
            user: uid.map(name_of).unwrap_or_default(),
            unit: place.unit,
            container: place.container,
        }
    }
}

/// The version that is compiled into the program, which is not run for it.
fn version(pid: u32) -> Option<String> {
    let mut bytes = Vec::new();
    let program = fs::File::open(format!("/proc/{pid}/exe")).ok()?;
    program.take(MOST_READ).read_to_end(&mut bytes).ok()?;
    version_in(&bytes)
}

/// The longest text `Apache/2…` of a program's bytes: the shorter ones leave the platform out.
fn version_in(bytes: &[u8]) -> Option<String> {
    const BEGIN: &[u8] = b"Apache/2.";
    const MOST: usize = 80;
    let texts = bytes
        .windows(BEGIN.len())
        .enumerate()
        .filter(|(_, window)| *window == BEGIN)
        .filter_map(|(at, _)| {
            let text = bytes[at..].split(|byte| *byte == 0).next()?;
            let is_plain = text.iter().all(|byte| (b' '..=b'~').contains(byte));
            (is_plain && text.len() <= MOST && !text.contains(&b'%'))
                .then(|| String::from_utf8_lossy(text).into_owned())
        });
    texts.max_by_key(String::len)
}

fn uid_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The name of a user as this host knows it, which need not be the container's.
fn name_of(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_longest_that_the_program_holds() {
        let program = b"\0Apache/2.4\0x\0Apache/2.4.66 (Debian)\0Apache/2.%s\0Apache/2.\xff\0";
        assert_eq!(
            version_in(program).as_deref(),
            Some("Apache/2.4.66 (Debian)")
        );
        assert_eq!(version_in(b"nginx/1.22"), None);
    }
}
