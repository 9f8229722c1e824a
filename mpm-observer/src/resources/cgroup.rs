//! A cgroup of the run's own, so that memory is charged to httpd alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Begin of the names of our cgroups; the lab's process id follows.
const PREFIX: &str = "mpm-observer.";

/// Where the memory controller is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    version: u8,
}

impl Hierarchy {
    /// Finds the memory controller in the text of `/proc/self/mounts`.
    fn find(mounts: &str, has_memory: impl Fn(&Path) -> bool) -> Option<Self> {
        let of_type = |wanted: &str, version: u8, is_it: &dyn Fn(&str, &Path) -> bool| {
            mounts.lines().find_map(|line| {
                let mut fields = line.split_whitespace().skip(1);
                let mount = PathBuf::from(fields.next()?);
                let fs_type = fields.next()?;
                let options = fields.next()?;
                (fs_type == wanted && is_it(options, &mount)).then_some(Self { mount, version })
            })
        };
        of_type("cgroup", 1, &|options, _| {
            options.split(',').any(|option| option == "memory")
        })
        .or_else(|| of_type("cgroup2", 2, &|_, mount| has_memory(mount)))
    }

    fn of_this_machine() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        Self::find(&mounts, |mount| {
            fs::read_to_string(mount.join("cgroup.subtree_control"))
                .is_ok_and(|text| text.split_whitespace().any(|name| name == "memory"))
        })
    }

    const fn usage_file(&self) -> &'static str {
        match self.version {
            1 => "memory.usage_in_bytes",
            _ => "memory.current",
        }
    }
}

/// cgroup version of the memory controller; 0 if there is none that can be used.
#[must_use]
pub fn memory_cgroup_version() -> u8 {
    Hierarchy::of_this_machine().map_or(0, |hierarchy| hierarchy.version)
}

/// The cgroup of a run. It is removed when dropped, which works once its processes are gone.
#[derive(Debug)]
pub struct RunCgroup {
    path: PathBuf,
    usage: PathBuf,
}

impl RunCgroup {
    /// Makes the cgroup of this process's current run; `None` where there is no memory
    /// controller or it may not be used: then the column stays empty.
    #[must_use]
    pub fn create() -> Option<Self> {
        let hierarchy = Hierarchy::of_this_machine()?;
        let path = hierarchy
            .mount
            .join(format!("{PREFIX}{}", std::process::id()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
            _ => {}
        }
        let usage = path.join(hierarchy.usage_file());
        Some(Self { path, usage })
    }

    /// Moves a process into it; its future children are born there.
    ///
    /// # Errors
    /// When the process has ended or may not be moved.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
    }

    /// The file that tells its memory.
    #[must_use]
    pub fn usage_file(&self) -> &Path {
        &self.usage
    }

    /// Removes cgroups that earlier processes left, those whose process is gone and that are
    /// empty.
    pub fn remove_stale() {
        let Some(hierarchy) = Hierarchy::of_this_machine() else {
            return;
        };
        let Ok(entries) = fs::read_dir(&hierarchy.mount) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let owner = name
                .to_str()
                .and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
            if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                // A cgroup with processes cannot be removed, which is what we want.
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

impl Drop for RunCgroup {
    fn drop(&mut self) {
        // Fails only while a process is left in it; the next start tries again.
        let _ = fs::remove_dir(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
        cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

    #[test]
    fn version_1_is_taken_where_the_memory_controller_is() {
        let found = Hierarchy::find(V1, |_| false).unwrap();
        assert_eq!(found.mount, Path::new("/sys/fs/cgroup/memory"));
        assert_eq!(found.usage_file(), "memory.usage_in_bytes");
    }

    #[test]
    fn version_2_is_taken_if_its_memory_controller_is_on() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(Hierarchy::find(mounts, |_| true).unwrap().version, 2);
        assert_eq!(Hierarchy::find(mounts, |_| false), None);
    }
}
