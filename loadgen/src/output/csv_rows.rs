//! Rows as CSV.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::About;
use super::columns::{COLUMNS, Kind};
use crate::{Row, RowSink};

/// Bytes that are gathered for a write.
const BUFFER_BYTES: usize = 64 << 10;

/// Writes a line a row, after a header; the columns are described at the
/// [module](super). Flags are `true` and `false`.
pub struct CsvRows<W: Write> {
    lines: csv::Writer<W>,
    wall_offset_ns: i64,
    has_header: bool,
    field: String,
}

impl<W: Write> CsvRows<W> {
    /// Writes to `target`, which needs no buffer.
    pub fn new(target: W, about: &About) -> Self {
        Self {
            lines: csv::WriterBuilder::new()
                .buffer_capacity(BUFFER_BYTES)
                .from_writer(target),
            wall_offset_ns: about.wall.offset_ns,
            has_header: false,
            field: String::new(),
        }
    }

    fn header(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.has_header, true) {
            self.lines.write_record(COLUMNS.map(|column| column.name))?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) -> csv::Result<()> {
        for column in &COLUMNS {
            self.field.clear();
            // Writing to a String cannot fail.
            let field = &mut self.field;
            let _ = match column.kind {
                Kind::TimeNs(of) => number(field, of(row)),
                Kind::Count(_, of) => write!(field, "{}", of(row)),
                Kind::Number(of) => number(field, of(row).into()),
                Kind::Flag(flag) => write!(field, "{}", row.flags & flag != 0),
                Kind::Address(side) => write!(field, "{}", side.text(row).unwrap_or_default()),
                Kind::Outcome => write!(field, "{}", row.outcome.name()),
                Kind::WallOffsetNs => write!(field, "{}", self.wall_offset_ns),
            };
            self.lines.write_field(&self.field)?;
        }
        self.lines.write_record(None::<&[u8]>)
    }
}

fn number(field: &mut String, value: u64) -> std::fmt::Result {
    match value {
        0 => Ok(()),
        value => write!(field, "{value}"),
    }
}

impl<W: Write + Send> RowSink for CsvRows<W> {
    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        self.header()?;
        for row in rows {
            self.row(row)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.header()?;
        self.lines.flush()
    }
}
