//! Reads the rows that `loadgen --rows` wrote.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use loadgen::RowReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use super::JoinError;
use crate::recording::ClientRow;

/// The rows of a file, or of all files of a directory in the order of their names: binary or
/// Parquet, which is told by how a file begins.
///
/// # Errors
/// When a file is neither, is of another version, or there is no row.
pub fn read_client_rows(path: &Path) -> Result<Vec<ClientRow>, JoinError> {
    let failed = |why: String| JoinError::Client {
        path: path.to_owned(),
        why,
    };
    let mut files: Vec<PathBuf> = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(|error| failed(error.to_string()))? {
            let entry = entry.map_err(|error| failed(error.to_string()))?.path();
            if entry.is_file() {
                files.push(entry);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(failed("no file is in it".into()));
        }
    } else {
        files.push(path.to_owned());
    }
    let mut rows = Vec::new();
    for file in files {
        let of_file = |why: String| JoinError::Client {
            path: file.clone(),
            why,
        };
        let read = match is_parquet(&file).map_err(|error| of_file(error.to_string()))? {
            true => read_parquet(&file),
            false => read_binary(&file),
        };
        rows.extend(read.map_err(of_file)?);
    }
    if rows.is_empty() {
        return Err(failed("no request is in it".into()));
    }
    Ok(rows)
}

fn is_parquet(path: &Path) -> std::io::Result<bool> {
    let mut begin = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut begin)?;
    Ok(begin == b"PAR1")
}

fn read_binary(path: &Path) -> Result<Vec<ClientRow>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    RowReader::new(BufReader::new(file))
        .map(|row| match row {
            Ok(row) => Ok(ClientRow::new(&row, true)),
            Err(error) => Err(format!(
                "no rows of loadgen ({error}); name what `loadgen --rows` wrote, binary or Parquet"
            )),
        })
        .collect()
}

/// A row of loadgen's Parquet files; what did not happen has no value there.
#[derive(Deserialize)]
struct ParquetRow {
    local_ip: Option<String>,
    local_port: Option<u16>,
    remote_ip: Option<String>,
    remote_port: Option<u16>,
    ordinal: u32,
    intended_ns: Option<i64>,
    start_ns: Option<i64>,
    connect_start_ns: Option<i64>,
    connected_ns: Option<i64>,
    sent_ns: Option<i64>,
    loop_wake_ns: Option<i64>,
    first_byte_ns: Option<i64>,
    last_byte_ns: Option<i64>,
    end_ns: Option<i64>,
    outcome: String,
    status: Option<u16>,
    errno: Option<u16>,
    request_bytes: u32,
    header_bytes: u32,
    body_bytes: u64,
    retried: bool,
    reused: bool,
    warm_up: bool,
}

impl From<ParquetRow> for ClientRow {
    fn from(row: ParquetRow) -> Self {
        let time = |value: Option<i64>| value.unwrap_or(0).unsigned_abs();
        Self {
            measured: !row.warm_up,
            local_addr: row.local_ip.unwrap_or_else(|| "::".into()),
            local_port: row.local_port.unwrap_or(0),
            remote_addr: row.remote_ip.unwrap_or_else(|| "::".into()),
            remote_port: row.remote_port.unwrap_or(0),
            ordinal: row.ordinal,
            intended_ns: time(row.intended_ns),
            start_ns: time(row.start_ns),
            connect_start_ns: time(row.connect_start_ns),
            connected_ns: time(row.connected_ns),
            sent_ns: time(row.sent_ns),
            first_byte_ns: time(row.first_byte_ns),
            last_byte_ns: time(row.last_byte_ns),
            end_ns: time(row.end_ns),
            loop_wake_ns: time(row.loop_wake_ns),
            status: row.status.unwrap_or(0),
            header_bytes: row.header_bytes,
            body_bytes: row.body_bytes,
            request_bytes: row.request_bytes,
            outcome: row.outcome,
            errno: row.errno.unwrap_or(0),
            retried: row.retried,
            reused: row.reused,
        }
    }
}

fn read_parquet(path: &Path) -> Result<Vec<ClientRow>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| error.to_string())?;
        let part: Vec<ParquetRow> = serde_arrow::from_record_batch(&batch)
            .map_err(|error| format!("no rows of loadgen: {error}"))?;
        rows.extend(part.into_iter().map(ClientRow::from));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use loadgen::{
        Config, Outcome, Row, Target,
        output::{About, RowFormat},
    };

    use super::*;

    /// A row in which every number is another one.
    fn row() -> Row {
        let mut bytes: [u8; Row::SIZE] = std::array::from_fn(|at| at as u8);
        bytes[..16].copy_from_slice(&Ipv4Addr::new(10, 0, 0, 2).to_ipv6_mapped().octets());
        bytes[16..32].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        let flags = Row::RETRIED | Row::REUSED;
        bytes[140..].copy_from_slice(&[Outcome::Ok as u8, flags, 0, 2]);
        Row::decode(&bytes).unwrap()
    }

    #[test]
    fn parquet_and_binary_files_give_the_same_rows() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::parse("http://10.0.0.1/").unwrap();
        let about = About::new(&Config::new(target));
        for name in ["a.bin", "b.parquet"] {
            let path = dir.path().join(name);
            let file = File::create(&path).unwrap();
            let mut sink = RowFormat::of(&path).sink(file, &about).unwrap();
            sink.rows(&[row()]).unwrap();
            sink.finish().unwrap();
        }
        let rows = read_client_rows(dir.path()).unwrap();
        assert_eq!(rows, vec![ClientRow::new(&row(), true); 2]);
        assert_eq!(rows[0].local_addr, "10.0.0.2");
        assert!(rows[0].measured && rows[0].is_ok() && rows[0].intended_ns > 0);
    }

    #[test]
    fn what_is_no_row_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            read_client_rows(dir.path())
                .unwrap_err()
                .to_string()
                .contains("no file")
        );
        let file = dir.path().join("rows.bin");
        fs::write(&file, [7; Row::SIZE]).unwrap();
        let error = read_client_rows(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("rows.bin") && error.contains("version 7"),
            "{error}"
        );
        fs::write(&file, []).unwrap();
        let error = read_client_rows(&file).unwrap_err();
        assert!(
            matches!(&error, JoinError::Client { why, .. } if why == "no request is in it"),
            "{error}"
        );
        let missing = dir.path().join("missing");
        assert!(read_client_rows(&missing).is_err());
    }
}
