//! A control group of the run's own: memory and tasks are counted, and limited, for httpd alone.

mod below;
mod hierarchy;
mod nearest;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{recording::CgroupCounts, scenario::Limits};
use hierarchy::{Controller, Hierarchy};
pub(super) use nearest::{CgroupUse, nearest_limit};

/// Begin of the names of our groups; the lab's process id, `-` and a number follow.
const PREFIX: &str = "mpm-observer.";

/// Groups that this process has made so far.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Why a limit of a control group cannot be set here.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No hierarchy has the controller.
    #[error(
        "limits.{key} cannot be set: there is no control group hierarchy with the controller \
         `{controller}` here, of version 1 or 2"
    )]
    NoController {
        /// The key of the limit.
        key: &'static str,
        /// The kernel's name of the controller.
        controller: &'static str,
    },
    /// The group cannot be made, or its limit cannot be written.
    #[error("limits.{key} cannot be set: {what}: {source}")]
    Refused {
        /// The key of the limit.
        key: &'static str,
        /// What was to be made or written, and where. Not the name of the group, which no other
        /// try has: the same trouble reads the same.
        what: String,
        /// The reason.
        source: io::Error,
    },
}

fn mountinfo() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// The path of a process's group below the place where its hierarchy is mounted, from a line of
/// `/proc/PID/cgroup`. `None` if no mount has it.
pub(crate) fn group_below_mount(controllers: &str, group: &str, pid: u32) -> Option<PathBuf> {
    let mut all = Hierarchy::all(&mountinfo()).into_iter();
    all.find_map(|hierarchy| {
        let is_its = hierarchy.is_of(controllers);
        is_its.then(|| hierarchy.below(group, pid)).flatten()
    })
}

fn version_of(controller: Controller) -> u8 {
    Hierarchy::find(&mountinfo(), controller).map_or(0, |hierarchy| hierarchy.version)
}

/// cgroup version of the memory controller; 0 if there is none.
#[must_use]
pub fn memory_cgroup_version() -> u8 {
    version_of(Controller::Memory)
}

/// cgroup version of the controller of tasks (`pids`); 0 if there is none.
#[must_use]
pub fn tasks_cgroup_version() -> u8 {
    version_of(Controller::Tasks)
}

/// A controller's directory of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    path: PathBuf,
    version: u8,
}

impl Group {
    fn make(hierarchy: &Hierarchy, controller: Controller, name: &str) -> Result<Self, Refusal> {
        let control = hierarchy.mount.join("cgroup.subtree_control");
        hierarchy
            .switch_on(controller)
            .map_err(|source| (control.display().to_string(), source))?;
        let path = hierarchy.mount.join(name);
        match fs::create_dir(&path) {
            // In version 2 both controllers share one directory.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                let what = format!("no group can be made in {}", hierarchy.mount.display());
                Err((what, error))
            }
            _ => Ok(Self {
                path,
                version: hierarchy.version,
            }),
        }
    }

    fn write(&self, file: &str, value: u64) -> Result<(), Refusal> {
        fs::write(self.path.join(file), value.to_string()).map_err(|source| {
            let parent = self.path.parent().unwrap_or(&self.path);
            (format!("{file} of a group in {}", parent.display()), source)
        })
    }

    fn limit_memory(&self, bytes: u64, has_swap: bool) -> Result<(), Refusal> {
        if self.version == 1 {
            self.write("memory.limit_in_bytes", bytes)?;
            // What goes to swap would not count. Kernels may lack the limit of both together.
            if has_swap && self.write("memory.memsw.limit_in_bytes", bytes).is_err() {
                self.write("memory.swappiness", 0)?;
            }
            return Ok(());
        }
        self.write("memory.max", bytes)?;
        if has_swap {
            self.write("memory.swap.max", 0)?;
        }
        Ok(())
    }

    /// The number in a file of its own.
    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.path.join(file))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// The number behind a name in a file of several lines.
    fn event(&self, file: &str, name: &str) -> Option<u64> {
        let text = fs::read_to_string(self.path.join(file)).ok()?;
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(' ')?;
            (key == name).then(|| value.trim().parse().ok())?
        })
    }
}

/// What refused, and why.
type Refusal = (String, io::Error);

/// The control group of a run. It is removed when dropped, which works once its processes are
/// gone.
#[derive(Debug)]
pub struct RunCgroup {
    memory: Option<Group>,
    tasks: Option<Group>,
}

impl RunCgroup {
    /// Makes a new group with the limits in force. A controller that may not be used and is not
    /// needed for a limit is left out: its columns stay empty.
    ///
    /// # Errors
    /// When a limit cannot be set.
    pub fn create(limits: &Limits) -> Result<Self, CgroupError> {
        let mountinfo = mountinfo();
        let name = new_name(&mountinfo);
        let has_swap = fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1);
        Self::create_in(&mountinfo, &name, limits, has_swap)
    }

    fn create_in(
        mountinfo: &str,
        name: &str,
        limits: &Limits,
        has_swap: bool,
    ) -> Result<Self, CgroupError> {
        let mut run = Self {
            memory: None,
            tasks: None,
        };
        for controller in Controller::ALL {
            let (key, limit) = match controller {
                Controller::Memory => ("cgroup_memory_kb", limits.cgroup_memory_kb),
                Controller::Tasks => ("cgroup_tasks", limits.cgroup_tasks),
            };
            let Some(hierarchy) = Hierarchy::find(mountinfo, controller) else {
                if limit.is_some() {
                    return Err(CgroupError::NoController {
                        key,
                        controller: controller.name(),
                    });
                }
                continue;
            };
            let refused = |(what, source)| CgroupError::Refused { key, what, source };
            let group = match Group::make(&hierarchy, controller, name) {
                Ok(group) => group,
                Err(refusal) if limit.is_some() => return Err(refused(refusal)),
                Err(_) => continue,
            };
            let limited = match (controller, limit) {
                (_, None) => Ok(()),
                (Controller::Memory, Some(kb)) => {
                    group.limit_memory(kb.saturating_mul(1024), has_swap)
                }
                (Controller::Tasks, Some(tasks)) => group.write("pids.max", tasks),
            };
            // Before the check, so that the directory goes whatever comes of it.
            match controller {
                Controller::Memory => run.memory = Some(group),
                Controller::Tasks => run.tasks = Some(group),
            }
            limited.map_err(refused)?;
        }
        Ok(run)
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        let tasks = self.tasks.iter();
        // In version 2 they are the same directory.
        self.memory
            .iter()
            .chain(tasks.filter(|tasks| self.memory.as_ref() != Some(*tasks)))
    }

    /// Moves a process into it; its future children are born there.
    ///
    /// # Errors
    /// When the process has ended or may not be moved.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        self.groups()
            .try_for_each(|group| fs::write(group.path.join("cgroup.procs"), pid.to_string()))
    }

    /// The file that tells its memory.
    #[must_use]
    pub fn memory_file(&self) -> Option<PathBuf> {
        let group = self.memory.as_ref()?;
        Some(group.path.join(match group.version {
            1 => "memory.usage_in_bytes",
            _ => "memory.current",
        }))
    }

    /// The file that tells its tasks.
    #[must_use]
    pub fn tasks_file(&self) -> Option<PathBuf> {
        Some(self.tasks.as_ref()?.path.join("pids.current"))
    }

    /// What the kernel has counted of it so far; `None` without any controller.
    #[must_use]
    pub fn counts(&self) -> Option<CgroupCounts> {
        let memory = self.memory.as_ref();
        let (memory_hits, oom_kills, memory_peak_bytes) = match memory.map(|group| group.version) {
            None => (None, None, None),
            Some(1) => (
                memory.and_then(|group| group.number("memory.failcnt")),
                memory.and_then(|group| group.event("memory.oom_control", "oom_kill")),
                memory.and_then(|group| group.number("memory.max_usage_in_bytes")),
            ),
            Some(_) => (
                memory.and_then(|group| group.event("memory.events", "max")),
                memory.and_then(|group| group.event("memory.events", "oom_kill")),
                memory.and_then(|group| group.number("memory.peak")),
            ),
        };
        self.groups().next()?;
        Some(CgroupCounts {
            pids_refused: self
                .tasks
                .as_ref()
                .and_then(|group| group.event("pids.events", "max")),
            memory_hits,
            oom_kills,
            memory_peak_bytes,
        })
    }

    /// Removes groups that earlier processes left, those whose process is gone and that are
    /// empty.
    pub fn remove_stale() {
        let mountinfo = mountinfo();
        for controller in Controller::ALL {
            if let Some(hierarchy) = Hierarchy::find(&mountinfo, controller) {
                remove_stale_in(&hierarchy.mount);
            }
        }
    }
}

/// A name that no group has: a killed process of the same number may have left some.
fn new_name(mountinfo: &str) -> String {
    let hierarchies: Vec<Hierarchy> = Controller::ALL
        .into_iter()
        .filter_map(|controller| Hierarchy::find(mountinfo, controller))
        .collect();
    loop {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let taken = |hierarchy: &Hierarchy| hierarchy.mount.join(&name).exists();
        if !hierarchies.iter().any(taken) {
            return name;
        }
    }
}

fn remove_stale_in(mount: &Path) {
    let Ok(entries) = fs::read_dir(mount) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if owner(&name.to_string_lossy()).is_some_and(|pid| !is_running(pid)) {
            // A group with processes cannot be removed, which is what we want.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The process that made a group of this name, if it is one of ours.
fn owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(PREFIX)?;
    rest.split('-').next()?.parse().ok()
}

fn is_running(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

impl Drop for RunCgroup {
    fn drop(&mut self) {
        for group in self.groups() {
            // Fails only while a process is left in it; the next start tries again.
            let _ = fs::remove_dir(&group.path);
        }
    }
}

#[cfg(test)]
mod tests;
