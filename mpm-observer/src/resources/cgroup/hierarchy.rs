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

/// Where a controller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) mount: PathBuf,
    pub(super) version: u8,
}

impl Hierarchy {
    /// Finds a controller in the text of `/proc/self/mounts`: a mount of version 1 that names it
    /// in its options, or one of version 2 that lists it in `cgroup.controllers`.
    pub(super) fn find(mounts: &str, controller: Controller) -> Option<Self> {
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
            options.split(',').any(|option| option == controller.name())
        })
        .or_else(|| {
            of_type("cgroup2", 2, &|_, mount| {
                lists(&mount.join("cgroup.controllers"), controller)
            })
        })
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

fn lists(file: &Path, controller: Controller) -> bool {
    fs::read_to_string(file).is_ok_and(|text| {
        text.split_whitespace()
            .any(|name| name == controller.name())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
        cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
        cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

    #[test]
    fn version_1_is_taken_where_the_controller_is() {
        let memory = Hierarchy::find(V1, Controller::Memory).unwrap();
        assert_eq!(
            (&*memory.mount, memory.version),
            (Path::new("/sys/fs/cgroup/memory"), 1)
        );
        let tasks = Hierarchy::find(V1, Controller::Tasks).unwrap();
        assert_eq!(tasks.mount, Path::new("/sys/fs/cgroup/pids"));
    }

    #[test]
    fn version_2_is_taken_if_it_has_the_controller_and_switches_it_on() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = format!("cgroup2 {} cgroup2 rw 0 0\n", dir.path().display());
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
}
