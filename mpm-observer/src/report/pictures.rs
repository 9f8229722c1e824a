//! Draws charts on all CPUs and writes files so that a reader sees the old one or the new one.

use std::{
    fs,
    num::NonZero,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use plots::Chart;

use super::ReportError;

/// A drawn chart.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Its file's name.
    pub file: String,
    /// The bytes, or why there are none: one chart less is better than no report.
    pub png: Result<Vec<u8>, String>,
}

impl Picture {
    /// Draws a chart.
    pub fn draw(file: String, chart: &dyn Chart) -> Self {
        Self {
            file,
            png: chart.png().map_err(|error| error.to_string()),
        }
    }

    /// Width and height in pixels; 0 without a picture.
    pub fn size(&self) -> (u32, u32) {
        // A PNG begins with 8 bytes of signature, then length and name of its header, then these.
        let number = |at: usize| {
            let bytes = self.png.as_ref().ok()?.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        (number(16).unwrap_or(0), number(20).unwrap_or(0))
    }

    /// Writes it, if it could be drawn.
    pub fn write(&self, dir: &Path) -> Result<(), ReportError> {
        match &self.png {
            Ok(png) => write_whole(&dir.join(&self.file), png),
            Err(_) => Ok(()),
        }
    }
}

/// Writes a file beside its place and moves it there.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(|source| ReportError::Write {
            path: path.into(),
            source,
        })
}

/// A name for files from a scenario's name, which may be anything in a foreign recording.
pub(super) fn file_stem(scenario: &str, index: usize) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !scenario.is_empty() && scenario.len() <= 64 && scenario.chars().all(is_plain) {
        return scenario.to_owned();
    }
    format!("scenario-{}", index + 1)
}

/// Applies `work` to each item, as many at once as there are CPUs, and returns the results in the
/// order of the items.
pub(super) fn on_all_cpus<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let take_turns = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            let result = work(item);
            let mut results = results
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            results.push((index, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(take_turns);
        }
        take_turns();
    });
    let mut results = results
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(
            on_all_cpus(&items, |item| item * 2),
            items.iter().map(|i| i * 2).collect::<Vec<_>>()
        );
        assert!(on_all_cpus(&[], |item: &u32| *item).is_empty());
    }

    #[test]
    fn a_foreign_name_does_not_become_a_path() {
        assert_eq!(file_stem("high-load", 0), "high-load");
        assert_eq!(file_stem("../../etc/passwd", 1), "scenario-2");
        assert_eq!(file_stem("", 2), "scenario-3");
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.html");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = write_whole(Path::new("/nonexistent/x.png"), b"").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x.png"), "{error}");
    }
}
