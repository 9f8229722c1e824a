//! Following a server that runs already.

use std::{collections::HashSet, io};

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

impl Watch {
    /// Follows all tasks that `list` lists, and from then on every task that they make. `first`
    /// is the server's first process. Counts and times begin now. Connections that stand are
    /// followed with [`Watch::follow_standing`] only.
    ///
    /// Tasks may be made while this goes on: it lists again until nothing new appears. A task
    /// that ends in that moment may be listed as alive until the watch ends.
    ///
    /// # Errors
    /// When the tasks cannot be listed, or a map cannot be read or written.
    pub fn adopt(
        &mut self,
        first: u32,
        mut list: impl FnMut() -> io::Result<Vec<LiveTask>>,
    ) -> Result<(), KernelError> {
        let mut adopted = HashSet::new();
        loop {
            let listed = list().map_err(|source| KernelError::File {
                path: "/proc".into(),
                source,
            })?;
            let mut is_complete = true;
            for task in &listed {
                // The programs have entered it themselves if its maker is followed.
                if self.slot_of_pid.get(&task.tid, 0)? != 0 {
                    continue;
                }
                let mut flags = 0;
                if task.tid != task.pid {
                    flags |= TaskFlags::THREAD;
                }
                if task.tid == first {
                    flags |= TaskFlags::FIRST;
                }
                self.enter(TaskRecord {
                    flags,
                    pid: task.tid,
                    tgid: task.pid,
                    parent_tgid: task.parent_pid,
                    ..TaskRecord::default()
                })?;
                adopted.insert(task.tid);
                is_complete = false;
            }
            if is_complete {
                let alive: HashSet<u32> = listed.iter().map(|task| task.tid).collect();
                adopted.retain(|tid| !alive.contains(tid));
                return self.drop_ghosts(&adopted);
            }
        }
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
