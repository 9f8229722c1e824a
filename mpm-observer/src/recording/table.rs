//! Writing and reading one table.

use std::{
    fs::{self, File},
    marker::PhantomData,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use arrow_schema::FieldRef;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use serde_arrow::{
    ArrayBuilder,
    schema::{SchemaLike, TracingOptions},
};

use super::{RecordingError, TableRow};

/// A file is closed after this time, so that what came before is safe.
const PART_TIME: Duration = Duration::from_secs(1);
/// … or after this many rows, so that memory stays bounded: columns and the encoder's buffers of
/// a part of the widest table take some 10 MB.
const PART_ROWS: usize = 8192;
/// A column with more different values than fit this gets no dictionary.
const DICTIONARY_BYTES: usize = 16 << 10;
/// Ending of a file that is being written. Readers pass over it.
const UNFINISHED: &str = "tmp";

/// Appends rows to a table.
pub struct TableWriter<R: TableRow> {
    dir: PathBuf,
    columns: ArrayBuilder,
    rows: usize,
    part_began: Instant,
    parts: u32,
    written: u64,
    row: PhantomData<R>,
}

impl<R: TableRow> TableWriter<R> {
    /// A new table in the run's directory.
    ///
    /// # Errors
    /// When the table's directory cannot be made.
    pub fn create(run_dir: &Path) -> Result<Self, RecordingError> {
        let dir = run_dir.join(R::TABLE);
        fs::create_dir_all(&dir).map_err(RecordingError::io(&dir))?;
        let fields =
            Vec::<FieldRef>::from_type::<R>(tracing_options()).map_err(columns_error(&dir))?;
        Ok(Self {
            columns: ArrayBuilder::from_arrow(&fields).map_err(columns_error(&dir))?,
            dir,
            rows: 0,
            part_began: Instant::now(),
            parts: 0,
            written: 0,
            row: PhantomData,
        })
    }

    /// Adds a row. It is on disk after about a second.
    ///
    /// # Errors
    /// When a part that was due could not be written.
    pub fn push(&mut self, row: R) -> Result<(), RecordingError> {
        if self.rows == 0 {
            self.part_began = Instant::now();
        }
        self.columns.push(&row).map_err(columns_error(&self.dir))?;
        self.rows += 1;
        if self.rows >= PART_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what has waited long enough. To be called regularly.
    ///
    /// # Errors
    /// When the part could not be written.
    pub fn tick(&mut self) -> Result<(), RecordingError> {
        if self.rows > 0 && self.part_began.elapsed() >= PART_TIME {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes all rows that wait. A table without rows gets one empty part, so that its columns
    /// are known. Returns the number of rows of the table.
    ///
    /// # Errors
    /// When the part could not be written.
    pub fn finish(mut self) -> Result<u64, RecordingError> {
        if self.rows > 0 || self.parts == 0 {
            self.flush()?;
        }
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<(), RecordingError> {
        let path = self.dir.join(format!("part-{:05}.parquet", self.parts));
        let unfinished = path.with_extension(UNFINISHED);
        let batch = self
            .columns
            .to_record_batch()
            .map_err(columns_error(&self.dir))?;
        let file = File::create(&unfinished).map_err(RecordingError::io(&unfinished))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            // By default each column gathers a megabyte before it gives its dictionary up.
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))
            .map_err(parquet_error(&unfinished))?;
        writer
            .write(&batch)
            .and_then(|()| writer.close())
            .map_err(parquet_error(&unfinished))?;
        fs::rename(&unfinished, &path).map_err(RecordingError::io(&path))?;
        self.parts += 1;
        self.written += self.rows as u64;
        self.rows = 0;
        Ok(())
    }
}

/// The rows of a table, and what could not be read of it.
#[derive(Clone, Debug)]
pub struct Table<R> {
    /// In the order in which they were written.
    pub rows: Vec<R>,
    /// Parts that are not readable, with the reason: a damaged or foreign file.
    pub unreadable: Vec<String>,
}

/// Reads a table of a run. A table that is not there has no rows.
///
/// # Errors
/// When the table's directory cannot be listed.
pub fn read_table<R: TableRow>(run_dir: &Path) -> Result<Table<R>, RecordingError> {
    let mut rows = Vec::new();
    let unreadable = fold_table(run_dir, |row| rows.push(row))?;
    Ok(Table { rows, unreadable })
}

/// Hands the rows of a table to `take` one by one, with those of one part in memory. Returns what
/// could not be read, as [`Table::unreadable`].
///
/// # Errors
/// When the table's directory cannot be listed.
pub fn fold_table<R: TableRow>(
    run_dir: &Path,
    mut take: impl FnMut(R),
) -> Result<Vec<String>, RecordingError> {
    let dir = run_dir.join(R::TABLE);
    let mut unreadable = Vec::new();
    if !dir.exists() {
        return Ok(unreadable);
    }
    let mut parts = Vec::new();
    for entry in fs::read_dir(&dir).map_err(RecordingError::io(&dir))? {
        let path = entry.map_err(RecordingError::io(&dir))?.path();
        if path.extension().is_some_and(|ending| ending == "parquet") {
            parts.push(path);
        }
    }
    parts.sort();
    for part in parts {
        match read_part(&part) {
            Ok(rows) => rows.into_iter().for_each(&mut take),
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    Ok(unreadable)
}

fn read_part<R: TableRow>(path: &Path) -> Result<Vec<R>, RecordingError> {
    let file = File::open(path).map_err(RecordingError::io(path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(parquet_error(path))?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch
            .map_err(|error| parquet_error(path)(parquet::errors::ParquetError::from(error)))?;
        rows.extend(serde_arrow::from_record_batch::<Vec<R>>(&batch).map_err(columns_error(path))?);
    }
    Ok(rows)
}

/// Enums become columns of text.
fn tracing_options() -> TracingOptions {
    TracingOptions::default().enums_without_data_as_strings(true)
}

fn columns_error(path: &Path) -> impl FnOnce(serde_arrow::Error) -> RecordingError {
    let path = path.to_owned();
    |source| RecordingError::Columns { path, source }
}

fn parquet_error(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> RecordingError {
    let path = path.to_owned();
    |source| RecordingError::Parquet { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{ClientRow, KernelRow, SampleRow, TaskRow};

    fn sample(t_ns: u64) -> SampleRow {
        SampleRow {
            t_ns,
            accept_queue: t_ns.is_multiple_of(2).then_some(3),
            ..SampleRow::default()
        }
    }

    #[test]
    fn rows_are_read_back_in_order_over_several_parts() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = TableWriter::create(dir.path()).unwrap();
        let rows: Vec<_> = (0..10).map(sample).collect();
        for (index, row) in rows.iter().enumerate() {
            writer.push(row.clone()).unwrap();
            if index % 4 == 3 {
                writer.flush().unwrap();
            }
        }
        assert_eq!(writer.finish().unwrap(), 10);
        let table = read_table::<SampleRow>(dir.path()).unwrap();
        assert_eq!(table.rows, rows);
        assert!(table.unreadable.is_empty());
    }

    #[test]
    fn a_table_cut_off_in_the_middle_keeps_its_finished_parts() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = TableWriter::create(dir.path()).unwrap();
        writer.push(sample(1)).unwrap();
        writer.flush().unwrap();
        writer.push(sample(2)).unwrap();
        // As a kill leaves it: the second part was begun and not finished.
        let table_dir = dir.path().join(SampleRow::TABLE);
        fs::write(table_dir.join("part-00001.tmp"), b"PAR1 half").unwrap();
        drop(writer);
        let table = read_table::<SampleRow>(dir.path()).unwrap();
        assert_eq!(table.rows, [sample(1)]);
        assert!(table.unreadable.is_empty());
    }

    #[test]
    fn a_damaged_part_is_named_and_the_others_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = TableWriter::create(dir.path()).unwrap();
        writer.push(sample(1)).unwrap();
        writer.finish().unwrap();
        let damaged = dir.path().join(SampleRow::TABLE).join("part-00007.parquet");
        fs::write(&damaged, b"not parquet").unwrap();
        let table = read_table::<SampleRow>(dir.path()).unwrap();
        assert_eq!(table.rows.len(), 1);
        assert_eq!(table.unreadable.len(), 1);
        assert!(table.unreadable[0].contains("part-00007.parquet"));
    }

    #[test]
    fn a_missing_table_has_no_rows_and_an_empty_one_has_columns() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_table::<TaskRow>(dir.path()).unwrap().rows.is_empty());
        let writer = TableWriter::<TaskRow>::create(dir.path()).unwrap();
        assert_eq!(writer.finish().unwrap(), 0);
        assert!(dir.path().join("tasks/part-00000.parquet").exists());
        assert!(read_table::<TaskRow>(dir.path()).unwrap().rows.is_empty());
    }

    #[test]
    fn every_request_row_survives_the_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let client = ClientRow {
            measured: true,
            local_addr: "127.0.0.1".into(),
            outcome: "ok".into(),
            body_bytes: u64::MAX,
            ..ClientRow::default()
        };
        let kernel = KernelRow {
            remote_addr: "::1".into(),
            end_ns: u64::MAX,
            conn_ended: true,
            ..KernelRow::default()
        };
        let mut writer = TableWriter::create(dir.path()).unwrap();
        writer.push(client.clone()).unwrap();
        writer.finish().unwrap();
        let mut writer = TableWriter::create(dir.path()).unwrap();
        writer.push(kernel.clone()).unwrap();
        writer.finish().unwrap();
        assert_eq!(read_table::<ClientRow>(dir.path()).unwrap().rows, [client]);
        assert_eq!(read_table::<KernelRow>(dir.path()).unwrap().rows, [kernel]);
    }
}
