//! The directory that a command makes for what it writes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A directory, and which of its parents were not there before.
#[derive(Debug)]
pub(super) struct NewDirectory {
    path: PathBuf,
    /// Those that were missing, itself first.
    missing: Vec<PathBuf>,
}

impl NewDirectory {
    /// Of one that may be there or not.
    pub(super) fn at(path: &Path) -> Self {
        let parents = path.ancestors();
        let missing = parents.take_while(|part| !part.as_os_str().is_empty() && !part.exists());
        Self {
            path: path.to_owned(),
            missing: missing.map(Path::to_owned).collect(),
        }
    }

    /// Makes it and its parents.
    ///
    /// # Errors
    /// When that fails; nothing is left behind then.
    pub(super) fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.path).inspect_err(|_| self.remove())
    }

    /// Removes what was not there before, as long as nothing is in it.
    pub(super) fn remove(&self) {
        for part in &self.missing {
            // Fails where something was written, and then for all its parents.
            let _ = fs::remove_dir(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_stays() {
        let dir = tempfile::tempdir().unwrap();
        let empty = NewDirectory::at(dir.path());
        empty.make().unwrap();
        empty.remove();
        assert!(dir.path().is_dir());

        let new = NewDirectory::at(&dir.path().join("a/b/c"));
        new.make().unwrap();
        assert!(dir.path().join("a/b/c").is_dir());
        new.remove();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_in_which_something_was_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let new = NewDirectory::at(&dir.path().join("a/b/c"));
        new.make().unwrap();
        fs::write(dir.path().join("a/b/file"), "").unwrap();
        new.remove();
        assert!(dir.path().join("a/b/file").is_file());
        assert!(!dir.path().join("a/b/c").exists());
    }

    #[test]
    fn one_that_cannot_be_made_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let long = "n".repeat(300);
        let new = NewDirectory::at(&dir.path().join("a").join(long));
        new.make().unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
