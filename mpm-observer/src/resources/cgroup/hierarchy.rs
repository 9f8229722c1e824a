//! Where the controllers are: each in a hierarchy of its own (version 1), or all in one (version 2).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A controller that a run's group needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Memory,
    Tasks,
}

impl Controller {
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Tasks];

    /// The kernel's name of it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Tasks => "pids",
        }
    }
}

/// A hierarchy, or a part of one, at one place where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) mount: PathBuf,
    pub(super) version: u8,
    /// The group that is mounted there, as this process's cgroup namespace sees it: a `/..` for
    /// each level above the namespace's own root, then names.
    pub(super) root: String,
    /// Of version 1: its controllers or its name (`name=systemd`), among other options.
    options: String,
}

impl Hierarchy {
    /// All that the text of `/proc/self/mountinfo` has, without those that another one covers.
    pub(super) fn all(mountinfo: &str) -> Vec<Self> {
        let mounts: Vec<Mounted> = mountinfo.lines().filter_map(Mounted::parse).collect();
        let is_covered = |mounted: &Mounted| {
            mounts.iter().any(|other| {
                other.parent == mounted.id && other.hierarchy.mount == mounted.hierarchy.mount
            })
        };
        let seen = mounts.iter().filter(|mounted| !is_covered(mounted));
        seen.map(|mounted| mounted.hierarchy.clone()).collect()
    }

    /// Those with a controller: of version 1 if it names the controller, otherwise of version 2 if
    /// it lists it in `cgroup.controllers`.
    pub(super) fn with(mountinfo: &str, controller: Controller) -> Vec<Self> {
        let mut found = Self::all(mountinfo);
        found.retain(|hierarchy| match hierarchy.version {
            1 => hierarchy.is_of(controller.name()),
            _ => lists(&hierarchy.mount.join("cgroup.controllers"), controller),
        });
        found.sort_by_key(|hierarchy| hierarchy.version);
        found
    }

    /// The first of these.
    pub(super) fn find(mountinfo: &str, controller: Controller) -> Option<Self> {
        Self::with(mountinfo, controller).into_iter().next()
    }

    /// Whether it is the one of a line of `/proc/PID/cgroup`, by the line's second field: of
    /// version 1 the controllers, of version 2 nothing.
    pub(super) fn is_of(&self, controllers: &str) -> bool {
        match self.version {
            1 => {
                let has = |wanted| self.options.split(',').any(|option| option == wanted);
                controllers.split(',').all(has)
            }
            _ => controllers.is_empty(),
        }
    }

    /// Makes sure that groups below the mount have the controller. In version 2 it has to be
    /// switched on there, which a group with processes of its own refuses.
    ///
    /// # Errors
    /// When it cannot be switched on.
    pub(super) fn switch_on(&self, controller: Controller) -> io::Result<()> {
        let file = self.mount.join("cgroup.subtree_control");
        if self.version == 1 || lists(&file, controller) {
            return Ok(());
        }
        fs::write(&file, format!("+{}", controller.name()))
    }
}

/// A line of `/proc/self/mountinfo` of a hierarchy.
struct Mounted {
    id: u32,
    /// The mount on which it is: one that it covers, if that has the same place.
    parent: u32,
    hierarchy: Hierarchy,
}

impl Mounted {
    fn parse(line: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ');
        let mut system = system.split(' ');
        let (id, parent) = (mount.next()?.parse().ok()?, mount.next()?.parse().ok()?);
        let (root, place) = (mount.nth(1)?, mount.next()?);
        let version = match system.next()? {
            "cgroup" => 1,
            "cgroup2" => 2,
            _ => return None,
        };
        Some(Self {
            id,
            parent,
            hierarchy: Hierarchy {
                mount: PathBuf::from(plain(place)),
                version,
                root: plain(root),
                options: system.nth(1)?.to_owned(),
            },
        })
    }
}

/// A path without the escapes of mountinfo. systemd's names have backslashes.
fn plain(path: &str) -> String {
    path.replace(r"\040", " ")
        .replace(r"\011", "\t")
        .replace(r"\012", "\n")
        .replace(r"\134", r"\")
}

fn lists(file: &Path, controller: Controller) -> bool {
    fs::read_to_string(file).is_ok_and(|text| {
        text.split_whitespace()
            .any(|name| name == controller.name())
    })
}

/// A line of mountinfo for tests.
#[cfg(test)]
pub(super) fn mount_line(version: u8, options: &str, root: &str, mount: &Path) -> String {
    let fs_type = if version == 1 { "cgroup" } else { "cgroup2" };
    let mount = mount.display();
    format!("40 31 0:30 {root} {mount} rw,relatime shared:9 - {fs_type} {fs_type} {options}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
        31 22 0:28 / /sys/fs/cgroup rw,relatime shared:9 - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        39 31 0:36 /web\\134x2d1 /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn version_1_is_taken_where_the_controller_is() {
        let memory = Hierarchy::find(V1, Controller::Memory).unwrap();
        assert_eq!(
            (&*memory.mount, memory.version),
            (Path::new("/sys/fs/cgroup/memory"), 1)
        );
        let tasks = Hierarchy::find(V1, Controller::Tasks).unwrap();
        assert_eq!(tasks.mount, Path::new("/sys/fs/cgroup/pids"));
        assert_eq!(tasks.root, r"/web\x2d1");
    }

    #[test]
    fn version_2_is_taken_if_it_has_the_controller_and_switches_it_on() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = mount_line(2, "rw", "/", dir.path());
        assert_eq!(Hierarchy::find(&mounts, Controller::Memory), None);
        fs::write(dir.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        let control = dir.path().join("cgroup.subtree_control");
        fs::write(&control, "cpu\n").unwrap();
        let memory = Hierarchy::find(&mounts, Controller::Memory).unwrap();
        assert_eq!(memory.version, 2);
        memory.switch_on(Controller::Memory).unwrap();
        assert_eq!(fs::read_to_string(&control).unwrap(), "+memory");
        assert_eq!(Hierarchy::find(&mounts, Controller::Tasks), None);
    }

    #[test]
    fn a_line_of_a_process_belongs_to_the_hierarchy_with_its_controllers() {
        let of = |controllers: &str| {
            let mut all = Hierarchy::all(V1).into_iter();
            let found = all.find(|hierarchy| hierarchy.is_of(controllers));
            found.map(|hierarchy| hierarchy.mount)
        };
        assert_eq!(of("cpu,cpuacct"), Some("/sys/fs/cgroup/cpu".into()));
        assert_eq!(of("name=systemd"), Some("/sys/fs/cgroup/systemd".into()));
        assert_eq!(of(""), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(of("cpu,memory"), None);
    }

    #[test]
    fn what_another_mount_covers_is_not_seen() {
        // Whatever the order of the lines.
        let covering = "50 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let covered = "31 22 0:38 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let elsewhere = "51 22 0:38 /../.. /host/cgroup rw - cgroup2 cgroup2 rw\n";
        for text in [
            [covering, covered, elsewhere].concat(),
            [covered, elsewhere, covering].concat(),
        ] {
            let all = Hierarchy::all(&text);
            assert_eq!(all.len(), 2, "{all:?}");
            for hierarchy in all {
                let own = hierarchy.mount == Path::new("/sys/fs/cgroup");
                assert_eq!(hierarchy.root, if own { "/" } else { "/../.." });
            }
        }
    }
}
