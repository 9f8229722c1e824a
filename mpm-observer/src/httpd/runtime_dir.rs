//! A directory for one lab process, readable for httpd's unprivileged user: what is served, and
//! what httpd writes while it runs. It goes when the lab does.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::config::ALIVE_PATH;
use super::process::ProcessId;

/// The file that says whose directory it is.
pub(super) const OWNER_FILE: &str = "owner.json";

/// What is in [`OWNER_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) lab: ProcessId,
    /// Process numbers and start times mean nothing after a restart of the machine.
    pub(super) boot_id: String,
}

/// Why the directory cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeDirError {
    /// A file or directory cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Somebody else has made the directory first, or may write to it.
    #[error("{} is not a directory of this user alone: remove it", .path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
}

/// The directory of this lab process; removed when dropped.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    next_server: AtomicU32,
}

impl RuntimeDir {
    /// Makes a new one in the first of [`bases`] that can be written.
    ///
    /// # Errors
    /// When none can be, with the error of the last.
    pub fn create() -> Result<Self, RuntimeDirError> {
        let mut result = Err(RuntimeDirError::NotOurs {
            path: PathBuf::new(),
        });
        for base in bases() {
            result = RuntimeDir::create_in(&base);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Makes a new one in `base`, which is made too if need be.
    ///
    /// # Errors
    /// When something cannot be written, or `base` belongs to somebody else.
    pub fn create_in(base: &Path) -> Result<Self, RuntimeDirError> {
        make_base(base)?;
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            move |source| RuntimeDirError::Write { path, source }
        };
        let lab = ProcessId::own().map_err(unwritable(base))?;
        let owner = Owner {
            lab,
            boot_id: boot_id().map_err(unwritable(base))?,
        };
        let path = make_numbered(base, lab.pid).map_err(unwritable(base))?;
        // From here on the directory is removed when something fails.
        let dir = RuntimeDir {
            path,
            next_server: AtomicU32::new(0),
        };
        write_json(&dir.path.join(OWNER_FILE), &owner).map_err(unwritable(&dir.path))?;
        make_dir(&dir.docroot()).map_err(unwritable(&dir.docroot()))?;
        let alive = dir.docroot().join(ALIVE_PATH.trim_start_matches('/'));
        write_public(&alive, |file| file.write_all(b"alive\n")).map_err(unwritable(&alive))?;
        Ok(dir)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that httpd serves.
    pub fn docroot(&self) -> PathBuf {
        self.path.join("docroot")
    }

    /// Makes sure that the file of so many bytes is there, and returns its path in URLs, such as
    /// `/body-1000.bin`. Its bytes are always the same and do not compress.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn body(&self, bytes: u64) -> Result<String, RuntimeDirError> {
        let name = format!("body-{bytes}.bin");
        let path = self.docroot().join(&name);
        let there = fs::metadata(&path).is_ok_and(|file| file.len() == bytes);
        if !there {
            write_public(&path, |file| write_body(file, bytes))
                .map_err(|source| RuntimeDirError::Write { path, source })?;
        }
        Ok(format!("/{name}"))
    }

    /// A new directory for one httpd, and the name of the file for its state.
    pub(super) fn new_server(&self) -> Result<(PathBuf, PathBuf), RuntimeDirError> {
        let number = self.next_server.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("server-{number}"));
        make_dir(&path).map_err(|source| RuntimeDirError::Write {
            path: path.clone(),
            source,
        })?;
        Ok((path, self.path.join(format!("{STATE_PREFIX}{number}.json"))))
    }
}

/// How the names of state files begin.
pub(super) const STATE_PREFIX: &str = "httpd-";

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Where runtime directories are made, the best first.
pub fn bases() -> Vec<PathBuf> {
    let uid = Uid::effective();
    let temporary = PathBuf::from(format!("/tmp/mpm-observer-{uid}"));
    if uid.is_root() {
        vec!["/run/mpm-observer".into(), temporary]
    } else {
        vec![temporary]
    }
}

/// A number that changes with each start of the machine.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// Writes a file that is either whole or not there.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let unfinished = path.with_extension("json.new");
    fs::write(&unfinished, serde_json::to_vec_pretty(value)?)?;
    fs::rename(&unfinished, path)
}

/// Makes the directory of all labs. In /tmp anybody could have made it first, or put a link there,
/// to have files of ours removed or replaced.
fn make_base(base: &Path) -> Result<(), RuntimeDirError> {
    let unwritable = |source| RuntimeDirError::Write {
        path: base.to_owned(),
        source,
    };
    match make_dir(base) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(unwritable(error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(base).map_err(unwritable)?;
    let ours = found.is_dir() && found.uid() == Uid::effective().as_raw();
    if ours && found.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(RuntimeDirError::NotOurs {
            path: base.to_owned(),
        })
    }
}

/// Makes `<pid>-<n>` with the first free n: a killed lab of the same number may have left one.
fn make_numbered(base: &Path, pid: u32) -> io::Result<PathBuf> {
    let mut number = 0;
    loop {
        let path = base.join(format!("{pid}-{number}"));
        match make_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Makes a directory that everybody may read, whatever the umask.
fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Writes a file that everybody may read, whatever the umask.
fn write_public(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    content(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// Pseudo-random bytes that are the same each time: the xorshift64 generator of Marsaglia,
/// <https://www.jstatsoft.org/article/view/v008i14>.
fn write_body(file: &mut impl Write, bytes: u64) -> io::Result<()> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut left = bytes;
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = state.to_le_bytes();
        let count = usize::try_from(left).unwrap_or(word.len()).min(word.len());
        file.write_all(&word[..count])?;
        left -= count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_can_read_what_is_served_and_nothing_is_left() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("labs");
        let dir = RuntimeDir::create_in(&base).unwrap();
        assert_eq!(dir.body(1000).unwrap(), "/body-1000.bin");
        for name in ["docroot", "docroot/body-1000.bin", "docroot/alive.txt"] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().mode();
            assert_eq!(mode & 0o044, 0o044, "{name}");
        }
        let path = dir.path().to_owned();
        drop(dir);
        assert!(!path.exists());
    }

    #[test]
    fn bodies_have_their_size_and_are_the_same_each_time() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("labs");
        let read = |bytes| {
            let dir = RuntimeDir::create_in(&base).unwrap();
            let url = dir.body(bytes).unwrap();
            fs::read(dir.docroot().join(url.trim_start_matches('/'))).unwrap()
        };
        for bytes in [1, 8, 1001] {
            let body = read(bytes);
            assert_eq!(body.len() as u64, bytes);
            assert_eq!(body, read(bytes));
        }
    }

    #[test]
    fn two_directories_of_one_process_do_not_collide() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("labs");
        let first = RuntimeDir::create_in(&base).unwrap();
        let second = RuntimeDir::create_in(&base).unwrap();
        assert_ne!(first.path(), second.path());
    }

    #[test]
    fn a_link_or_an_open_directory_in_the_base_s_place_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let link = outer.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        let error = RuntimeDir::create_in(&link).unwrap_err();
        assert!(matches!(error, RuntimeDirError::NotOurs { .. }), "{error}");
        let open = outer.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = RuntimeDir::create_in(&open).unwrap_err();
        assert!(matches!(error, RuntimeDirError::NotOurs { .. }), "{error}");
    }
}
