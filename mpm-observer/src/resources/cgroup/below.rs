//! Which directory is the group of a process, where this process may be in a cgroup namespace of
//! its own, as in a container. Then paths begin with a `/..` for each level above the namespace's
//! root, and the names of these levels are not told.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::hierarchy::Hierarchy;

impl Hierarchy {
    /// The path below the mount of the group of process `pid`, from its path in `/proc/PID/cgroup`.
    /// `None` if the group is not below what is mounted.
    pub(super) fn below(&self, group: &str, pid: u32) -> Option<PathBuf> {
        let (up, names) = levels(group);
        let (root_up, root) = levels(&self.root);
        if up == root_up {
            return names.strip_prefix(root).ok().map(Path::to_owned);
        }
        // The way from the mount to the namespace's root and the way to the group are the same for
        // some levels. A mount beside that way has nothing of it.
        let same = root_up.checked_sub(up)?;
        if !root.as_os_str().is_empty() {
            return None;
        }
        search(&self.mount, same, names, pid)
    }
}

/// How many levels a path leads up first, and the names that follow.
fn levels(path: &str) -> (usize, &Path) {
    let (mut up, mut names) = (0, path);
    while let Some(rest) = names.strip_prefix("/..")
        && (rest.is_empty() || rest.starts_with('/'))
    {
        (up, names) = (up + 1, rest);
    }
    (up, Path::new(names.trim_start_matches('/')))
}

/// Looks for the group with the process: below so many levels of any name, at the path `names`.
fn search(directory: &Path, levels: usize, names: &Path, pid: u32) -> Option<PathBuf> {
    if levels == 0 {
        return has(&directory.join(names), pid).then(|| names.to_owned());
    }
    let mut groups = fs::read_dir(directory)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.find_map(|group| {
        let found = search(&group.path(), levels - 1, names, pid)?;
        Some(Path::new(&group.file_name()).join(found))
    })
}

fn has(group: &Path, pid: u32) -> bool {
    fs::read_to_string(group.join("cgroup.procs"))
        .is_ok_and(|text| text.lines().any(|line| line.parse() == Ok(pid)))
}

#[cfg(test)]
mod tests {
    use super::super::hierarchy::mount_line;
    use super::*;

    const PID: u32 = 4711;

    fn mounted(root: &str, at: &Path) -> Hierarchy {
        Hierarchy::all(&mount_line(1, "rw,pids", root, at)).remove(0)
    }

    #[test]
    fn a_group_is_told_from_the_group_that_is_mounted() {
        let nowhere = Path::new("/nonexistent");
        for (root, group, expected) in [
            // No namespace, or the same one as the mount's.
            (
                "/",
                "/system.slice/apache2.service",
                Some("system.slice/apache2.service"),
            ),
            ("/", "/", Some("")),
            ("/docker/a", "/docker/a/b", Some("b")),
            ("/docker/a", "/docker/b", None),
            ("/docker/a", "/docker/ab", None),
            ("/docker/a", "/", None),
            // The own namespace's mount, and a group outside.
            ("/", "/../../../system.slice/apache2.service", None),
            ("/", "/..", None),
            // The host's mount in a container.
            (
                "/../../..",
                "/../../../system.slice/apache2.service",
                Some("system.slice/apache2.service"),
            ),
            ("/../..", "/../../..", None),
            ("/../web", "/../web/a", Some("a")),
            ("/../web", "/../shop", None),
            // Another branch than the namespace's.
            ("/../../web", "/../shop", None),
            // No level, but a name.
            ("/", "/..a/b", Some("..a/b")),
        ] {
            let found = mounted(root, nowhere).below(group, PID);
            assert_eq!(found.as_deref(), expected.map(Path::new), "{root} {group}");
        }
    }

    #[test]
    fn a_group_beside_the_namespace_is_known_by_its_process() {
        let dir = tempfile::tempdir().unwrap();
        let group = |path: &str, procs: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("cgroup.procs"), procs).unwrap();
        };
        // The observer's namespace is pods/burstable/own; two pods have the same name.
        group("pods/burstable/own", "1\n");
        group("pods/burstable/other/httpd", "12\n4711\n");
        group("pods/effort/other/httpd", "47\n47111\n");
        group("pods/effort/web", "13\n");
        group("other/httpd", "4711\n");
        let host = mounted("/../../..", dir.path());
        let below = |group: &str, pid| host.below(group, pid);
        assert_eq!(
            below("/../other/httpd", PID),
            Some("pods/burstable/other/httpd".into())
        );
        assert_eq!(
            below("/../other/httpd", 47),
            Some("pods/effort/other/httpd".into())
        );
        assert_eq!(
            below("/../../effort/web", 13),
            Some("pods/effort/web".into())
        );
        assert_eq!(
            below("/../../../other/httpd", PID),
            Some("other/httpd".into())
        );
        assert_eq!(below("/", 1), Some("pods/burstable/own/".into()));
        assert_eq!(below("/../other/httpd", 14), None);
        assert_eq!(below("/../gone", PID), None);
    }
}
