//! Rows as Parquet.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{
    Compression, ConvertedType, Encoding, Repetition, Type as Physical, ZstdLevel,
};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, Type};

use super::About;
use super::columns::{Bits, COLUMNS, Column, Kind, Side};
use crate::{Outcome, Row, RowSink};

/// Rows of a group. They wait in memory (4.7 MB) until the group is written.
const GROUP_ROWS: usize = 32 << 10;

/// A column with more different values than fit into this gets no dictionary.
const DICTIONARY_BYTES: usize = 16 << 10;

/// The columns whose least and greatest value stand in the index of the file, so that a
/// reader can pass over what lies outside of a time. Each further one costs memory, as the
/// index is kept until the end.
const INDEXED: [&str; 2] = ["start_ns", "end_ns"];

/// Writes a Parquet file (zstd); the columns are described at the [module](super).
///
/// Its key-value metadata has `loadgen.version`, `loadgen.config` (JSON, see
/// [`About::config`]), `loadgen.wall_offset_ns` and `loadgen.wall_offset_error_ns`.
///
/// The file is readable once [`RowSink::finish`] has written its index. Until then the
/// index of the groups written so far is kept in memory.
pub struct ParquetRows<W: Write + Send> {
    file: SerializedFileWriter<W>,
    rows: Vec<Row>,
    scratch: Scratch,
    wall_offset_ns: i64,
}

/// Values of a column, and which rows have one.
#[derive(Default)]
struct Scratch {
    levels: Vec<i16>,
    wide: Vec<i64>,
    narrow: Vec<i32>,
    flags: Vec<bool>,
    texts: Vec<ByteArray>,
}

impl<W: Write + Send> ParquetRows<W> {
    /// Writes to `target`, which needs no buffer.
    ///
    /// # Errors
    /// When the head of the file cannot be written.
    pub fn new(target: W, about: &About) -> io::Result<Self> {
        let entry = |key: &str, value: String| KeyValue::new(format!("loadgen.{key}"), value);
        let metadata = vec![
            entry("version", about.version.to_owned()),
            entry("config", about.config.to_string()),
            entry("wall_offset_ns", about.wall.offset_ns.to_string()),
            entry("wall_offset_error_ns", about.wall.error_ns.to_string()),
        ];
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_key_value_metadata(Some(metadata));
        for column in &COLUMNS {
            // Times never repeat, and lie close to each other.
            if let Kind::TimeNs(_) = column.kind {
                properties = properties
                    .set_column_dictionary_enabled(ColumnPath::from(column.name), false)
                    .set_column_encoding(
                        ColumnPath::from(column.name),
                        Encoding::DELTA_BINARY_PACKED,
                    );
            }
        }
        for name in INDEXED {
            properties = properties
                .set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::Chunk);
        }
        let schema = schema().map_err(plain)?;
        let file =
            SerializedFileWriter::new(target, Arc::new(schema), Arc::new(properties.build()))
                .map_err(plain)?;
        Ok(Self {
            file,
            rows: Vec::with_capacity(GROUP_ROWS),
            scratch: Scratch::default(),
            wall_offset_ns: about.wall.offset_ns,
        })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        // Columns come in the order of the schema.
        let mut columns = COLUMNS.iter();
        while let Some(mut writer) = group.next_column()? {
            if let Some(column) = columns.next() {
                self.scratch
                    .write(&mut writer, column.kind, &self.rows, self.wall_offset_ns)?;
            }
            writer.close()?;
        }
        group.close()?;
        self.rows.clear();
        Ok(())
    }
}

impl<W: Write + Send> RowSink for ParquetRows<W> {
    fn rows(&mut self, mut rows: &[Row]) -> io::Result<()> {
        while !rows.is_empty() {
            let (fit, rest) = rows.split_at(rows.len().min(GROUP_ROWS - self.rows.len()));
            self.rows.extend_from_slice(fit);
            rows = rest;
            if self.rows.len() == GROUP_ROWS {
                self.write_group().map_err(plain)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.rows.is_empty() {
            self.write_group().map_err(plain)?;
        }
        self.file.finish().map(drop).map_err(plain)
    }
}

impl Scratch {
    /// Writes one column of a group.
    fn write(
        &mut self,
        writer: &mut SerializedColumnWriter<'_>,
        kind: Kind,
        rows: &[Row],
        wall_offset_ns: i64,
    ) -> Result<(), ParquetError> {
        match kind {
            Kind::TimeNs(of) => {
                // A monotonic clock does not reach the 63rd bit for 292 years.
                let times = rows.iter().map(|row| of(row).cast_signed());
                fill(&mut self.wide, &mut self.levels, times.map(not_zero));
                let writer = writer.typed::<Int64Type>();
                writer.write_batch(&self.wide, Some(&self.levels), None)?;
            }
            Kind::Count(Bits::B64, of) => {
                self.wide.clear();
                self.wide
                    .extend(rows.iter().map(|row| of(row).cast_signed()));
                writer
                    .typed::<Int64Type>()
                    .write_batch(&self.wide, None, None)?;
            }
            Kind::Count(Bits::B16 | Bits::B32, of) => {
                self.narrow.clear();
                // Unsigned numbers are stored with the same bits.
                let numbers = rows.iter().map(|row| (of(row) as u32).cast_signed());
                self.narrow.extend(numbers);
                writer
                    .typed::<Int32Type>()
                    .write_batch(&self.narrow, None, None)?;
            }
            Kind::Number(of) => {
                let numbers = rows.iter().map(|row| i32::from(of(row)));
                fill(&mut self.narrow, &mut self.levels, numbers.map(not_zero));
                let writer = writer.typed::<Int32Type>();
                writer.write_batch(&self.narrow, Some(&self.levels), None)?;
            }
            Kind::Flag(flag) => {
                self.flags.clear();
                self.flags
                    .extend(rows.iter().map(|row| row.flags & flag != 0));
                writer
                    .typed::<BoolType>()
                    .write_batch(&self.flags, None, None)?;
            }
            Kind::Address(side) => {
                fill(&mut self.texts, &mut self.levels, addresses(side, rows));
                let writer = writer.typed::<ByteArrayType>();
                writer.write_batch(&self.texts, Some(&self.levels), None)?;
                self.texts.clear();
            }
            Kind::Outcome => {
                let names = Outcome::ALL.map(|outcome| ByteArray::from(outcome.name()));
                let of_rows = rows.iter().map(|row| names[row.outcome as usize].clone());
                self.texts.clear();
                self.texts.extend(of_rows);
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(&self.texts, None, None)?;
                self.texts.clear();
            }
            Kind::WallOffsetNs => {
                self.wide.clear();
                self.wide.resize(rows.len(), wall_offset_ns);
                writer
                    .typed::<Int64Type>()
                    .write_batch(&self.wide, None, None)?;
            }
        }
        Ok(())
    }
}

/// Puts the values that there are into `values`, and for each row into `levels` whether it
/// has one.
fn fill<T>(values: &mut Vec<T>, levels: &mut Vec<i16>, of_rows: impl Iterator<Item = Option<T>>) {
    values.clear();
    levels.clear();
    for value in of_rows {
        levels.push(i16::from(value.is_some()));
        values.extend(value);
    }
}

fn not_zero<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// Addresses as text. Neighbours mostly have the same, which is then not made again.
fn addresses(side: Side, rows: &[Row]) -> impl Iterator<Item = Option<ByteArray>> {
    let mut last: ([u8; 16], Option<ByteArray>) = ([0; 16], None);
    rows.iter().map(move |row| {
        if side.octets(row) != last.0 {
            let text = side.text(row);
            last = (
                side.octets(row),
                text.map(|text| ByteArray::from(text.into_bytes())),
            );
        }
        last.1.clone()
    })
}

fn schema() -> Result<Type, ParquetError> {
    let fields: Result<Vec<_>, ParquetError> = COLUMNS.iter().map(field).collect();
    Type::group_type_builder("rows")
        .with_fields(fields?)
        .build()
}

fn field(column: &Column) -> Result<Arc<Type>, ParquetError> {
    let (physical, converted, repetition) = match column.kind {
        // Signed, so that a difference of two may be negative.
        Kind::TimeNs(_) => (Physical::INT64, ConvertedType::NONE, Repetition::OPTIONAL),
        Kind::WallOffsetNs => (Physical::INT64, ConvertedType::NONE, Repetition::REQUIRED),
        Kind::Count(Bits::B64, _) => (
            Physical::INT64,
            ConvertedType::UINT_64,
            Repetition::REQUIRED,
        ),
        Kind::Count(Bits::B32, _) => (
            Physical::INT32,
            ConvertedType::UINT_32,
            Repetition::REQUIRED,
        ),
        Kind::Count(Bits::B16, _) => (
            Physical::INT32,
            ConvertedType::UINT_16,
            Repetition::REQUIRED,
        ),
        Kind::Number(_) => (
            Physical::INT32,
            ConvertedType::UINT_16,
            Repetition::OPTIONAL,
        ),
        Kind::Flag(_) => (Physical::BOOLEAN, ConvertedType::NONE, Repetition::REQUIRED),
        Kind::Address(_) => (
            Physical::BYTE_ARRAY,
            ConvertedType::UTF8,
            Repetition::OPTIONAL,
        ),
        Kind::Outcome => (
            Physical::BYTE_ARRAY,
            ConvertedType::UTF8,
            Repetition::REQUIRED,
        ),
    };
    let field = Type::primitive_type_builder(column.name, physical)
        .with_converted_type(converted)
        .with_repetition(repetition)
        .build()?;
    Ok(Arc::new(field))
}

/// An error of the file is told as such, without what the library puts around it.
fn plain(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        error => io::Error::other(error),
    }
}
