//! The tables that are written once all tasks are known: a task's role shows only at its end.

use std::path::Path;

use super::{
    collector::Collected,
    roles::{roles, task_at},
};
use crate::{
    recording::{FailureRow, RecordingError, TableWriter, TaskRow},
    scenario::Mpm,
};

impl Collected {
    /// Writes the tables of tasks and of failures.
    ///
    /// # Errors
    /// When a table cannot be written.
    pub(crate) fn write(&self, run_dir: &Path, mpm: Mpm) -> Result<(), RecordingError> {
        let roles = roles(&self.tasks, mpm);
        let mut table = TableWriter::create(run_dir)?;
        for (moment, task) in &self.tasks {
            table.push(TaskRow::new(task, *moment, roles(task)))?;
        }
        table.finish()?;
        let mut table = TableWriter::create(run_dir)?;
        for failure in &self.failures {
            let task = task_at(&self.tasks, failure.pid, failure.time_ns);
            let role = task.map(&roles).unwrap_or_default();
            if let Some(row) = FailureRow::new(failure, role) {
                table.push(row)?;
            }
        }
        table.finish()?;
        Ok(())
    }
}
