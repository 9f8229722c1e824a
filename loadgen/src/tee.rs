//! The rows to several sinks, each on its own account.

use std::io;

use crate::{Row, RowSink};

/// Gives the rows to several sinks, one after the other. A sink that fails gets no more
/// rows; the others go on. Only when all have failed does the tee fail; otherwise the
/// errors are told at the end, with the number of rows that each sink missed.
pub struct Tee(Vec<Branch>);

enum Branch {
    Open(Box<dyn RowSink>),
    /// The sink's error, and the rows that it was not given any more.
    Failed(io::Error, u64),
}

impl Tee {
    /// Gives the rows to these.
    #[must_use]
    pub fn new(sinks: Vec<Box<dyn RowSink>>) -> Self {
        Self(sinks.into_iter().map(Branch::Open).collect())
    }

    fn each(&mut self, what: impl Fn(&mut dyn RowSink) -> io::Result<()>, rows: usize) {
        for branch in &mut self.0 {
            match branch {
                Branch::Open(sink) => {
                    if let Err(error) = what(sink.as_mut()) {
                        *branch = Branch::Failed(error, 0);
                    }
                }
                Branch::Failed(_, missed) => *missed += rows as u64,
            }
        }
    }

    /// The errors of the sinks that have failed, as one, if they are so many at least.
    fn errors(&self, least: usize) -> io::Result<()> {
        let error = |branch: &Branch| match branch {
            Branch::Open(_) => None,
            Branch::Failed(error, 0) => Some(error.to_string()),
            Branch::Failed(error, missed) => {
                Some(format!("{error}, {missed} later rows are missing"))
            }
        };
        let errors: Vec<String> = self.0.iter().filter_map(error).collect();
        if errors.is_empty() || errors.len() < least {
            return Ok(());
        }
        Err(io::Error::other(errors.join("; ")))
    }
}

impl RowSink for Tee {
    fn begin(&mut self, started_ns: u64) -> io::Result<()> {
        self.each(|sink| sink.begin(started_ns), 0);
        self.errors(self.0.len())
    }

    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        self.each(|sink| sink.rows(rows), rows.len());
        self.errors(self.0.len())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.each(|sink| sink.finish(), 0);
        self.errors(1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Clone, Default)]
    struct Count(Arc<AtomicU64>);

    impl RowSink for Count {
        fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
            self.0.fetch_add(rows.len() as u64, Ordering::Relaxed);
            Ok(())
        }
    }

    struct Full(&'static str);

    impl RowSink for Full {
        fn rows(&mut self, _: &[Row]) -> io::Result<()> {
            Err(io::Error::other(self.0))
        }
    }

    #[test]
    fn one_full_disk_does_not_end_the_other_sinks() {
        let count = Count::default();
        let mut tee = Tee::new(vec![Box::new(Full("a is full")), Box::new(count.clone())]);
        for _ in 0..3 {
            tee.rows(&[Row::EMPTY; 2]).expect("one of them works");
        }
        let error = tee.finish().expect_err("told at the end");
        assert_eq!(error.to_string(), "a is full, 4 later rows are missing");
        assert_eq!(count.0.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn when_all_have_failed_no_more_rows_are_wanted() {
        let mut tee = Tee::new(vec![
            Box::new(Full("a is full")),
            Box::new(Full("b is full")),
        ]);
        let error = tee.rows(&[Row::EMPTY]).expect_err("nothing works");
        assert_eq!(error.to_string(), "a is full; b is full");
    }
}
