//! Following a server that runs already.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt,
};

use aya::maps::MapError;
use mpm_observer_common::{MAX_TASKS, RecordKind, TaskFlags, TaskRecord};

use super::{KernelError, Watch};

/// A task that exists, as /proc shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveTask {
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Process id of the parent.
    pub parent_pid: u32,
}

/// A task that was given a slot.
struct Adopted {
    slot: u32,
    pid: u32,
    /// Whether its process ran another program than the server's first one before that.
    is_other: bool,
}

/// Device and inode of a program's file.
type Program = (u64, u64);

/// Which processes run another program than the server's first one, as it was when each was asked
/// for first.
struct Programs {
    of_first: Option<Program>,
    is_other: HashMap<u32, bool>,
}

impl Programs {
    fn beside(first: u32) -> Self {
        Self {
            of_first: program_of(first),
            is_other: HashMap::new(),
        }
    }

    /// One whose program cannot be read has ended, or is taken for the server's.
    fn is_other(&mut self, pid: u32) -> bool {
        let of_first = self.of_first;
        *self.is_other.entry(pid).or_insert_with(|| {
            let program = of_first.and_then(|_| program_of(pid));
            program.is_some() && program != of_first
        })
    }
}

/// The file, also where it was removed or replaced meanwhile.
fn program_of(pid: u32) -> Option<Program> {
    let file = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((file.dev(), file.ino()))
}

impl Watch {
    /// Follows all tasks that `list` lists, and from then on every task that they make. `first`
    /// is the server's first process. Counts and times begin now. Connections that stand are
    /// followed with [`Watch::follow_standing`] only.
    ///
    /// Tasks may be made while this goes on: it lists again until nothing new appears. A task
    /// that ends in that moment may be listed as alive until the watch ends. Tasks for which there
    /// is no room are counted as not followed.
    ///
    /// # Errors
    /// When the tasks cannot be listed, or a map cannot be read or written.
    pub fn adopt(
        &mut self,
        first: u32,
        mut list: impl FnMut() -> io::Result<Vec<LiveTask>>,
    ) -> Result<(), KernelError> {
        let mut adopted: HashMap<u32, Adopted> = HashMap::new();
        let mut unadopted = HashSet::new();
        loop {
            let mut listed = list().map_err(|source| KernelError::File {
                path: "/proc".into(),
                source,
            })?;
            // Without the first one none of the children to come would be followed.
            listed.sort_by_key(|task| task.tid != first);
            let mut programs = Programs::beside(first);
            let mut is_complete = true;
            for task in &listed {
                match self.slot_of_pid.get(&task.tid, 0) {
                    Ok(0) => {}
                    // The programs have entered it themselves if its maker is followed.
                    Ok(_) => continue,
                    // The highest number has been raised since the table was made.
                    Err(MapError::OutOfBounds { .. }) => {
                        unadopted.insert(task.tid);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
                let is_other = programs.is_other(task.pid);
                let mut flags = 0;
                for (holds, flag) in [
                    (task.tid != task.pid, TaskFlags::THREAD),
                    (task.tid == first, TaskFlags::FIRST),
                    (is_other, TaskFlags::OTHER_PROGRAM),
                ] {
                    flags |= if holds { flag } else { 0 };
                }
                let entered = self.enter(TaskRecord {
                    flags,
                    pid: task.tid,
                    tgid: task.pid,
                    parent_tgid: task.parent_pid,
                    ..TaskRecord::default()
                })?;
                let Some(slot) = entered else {
                    unadopted.insert(task.tid);
                    continue;
                };
                unadopted.remove(&task.tid);
                let pid = task.pid;
                adopted.insert(
                    task.tid,
                    Adopted {
                        slot,
                        pid,
                        is_other,
                    },
                );
                is_complete = false;
            }
            if is_complete {
                self.mark_other_programs(&adopted, programs)?;
                self.count_unadopted(unadopted.len());
                let alive: HashSet<u32> = listed.iter().map(|task| task.tid).collect();
                let ended = adopted.into_keys().filter(|tid| !alive.contains(tid));
                return self.drop_ghosts(&ended.collect());
            }
        }
    }

    /// Marks what has executed another program after its program was looked at and before it had a
    /// slot, so that nobody saw it.
    fn mark_other_programs(
        &mut self,
        adopted: &HashMap<u32, Adopted>,
        mut programs: Programs,
    ) -> Result<(), KernelError> {
        for (&tid, task) in adopted.iter().filter(|(_, task)| !task.is_other) {
            if !programs.is_other(task.pid) {
                continue;
            }
            let mut state = self.tasks.get(&task.slot, 0)?;
            if state.record.pid == tid && state.record.kind == RecordKind::Task as u32 {
                state.record.flags |= TaskFlags::OTHER_PROGRAM;
                self.tasks.set(task.slot, state, 0)?;
            }
        }
        Ok(())
    }

    fn count_unadopted(&mut self, tasks: usize) {
        if tasks > 0 {
            log::warn!("{tasks} of the server's tasks are not followed: there is no room for them");
        }
        self.unadopted += tasks as u64;
    }

    /// Frees slots that nobody will: those of tasks whose end came between the listing and their
    /// entry (`ended`), and those of tasks that the programs entered in the same moment once more.
    fn drop_ghosts(&mut self, ended: &HashSet<u32>) -> Result<(), KernelError> {
        for slot in 1..=MAX_TASKS {
            let record = self.tasks.get(&slot, 0)?.record;
            if record.kind != RecordKind::Task as u32 {
                continue;
            }
            let holds = self.slot_of_pid.get(&record.pid, 0)? == slot;
            if holds && !ended.contains(&record.pid) {
                continue;
            }
            self.free_ghost(slot, &record)?;
        }
        Ok(())
    }

    /// Frees the slot of a task that was found to have ended, if it still has it. A task that ends
    /// by itself clears its record before it gives its slot back, so a record that still stands is
    /// of no task.
    pub(super) fn free_ghost(
        &mut self,
        slot: u32,
        record: &TaskRecord,
    ) -> Result<bool, KernelError> {
        let mut state = self.tasks.get(&slot, 0)?;
        let still = (state.record.kind, state.record.pid, state.record.created_ns);
        if still != (RecordKind::Task as u32, record.pid, record.created_ns) {
            return Ok(false);
        }
        state.record.kind = 0;
        self.tasks.set(slot, state, 0)?;
        if self.slot_of_pid.get(&record.pid, 0)? == slot {
            self.slot_of_pid.set(record.pid, 0, 0)?;
        }
        self.free_slots.push(slot, 0)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_of_another_program_is_told_from_one_of_the_same() {
        let own = std::process::id();
        let mut cat = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut programs = Programs::beside(own);
        let (same, other) = (programs.is_other(own), programs.is_other(cat.id()));
        // None has that number.
        let nobody = programs.is_other(u32::MAX);
        let beside_nobody = Programs::beside(u32::MAX).is_other(own);
        drop(cat.stdin.take());
        cat.wait().unwrap();
        assert!(!same && other && !nobody && !beside_nobody);
    }
}
