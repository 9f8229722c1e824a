//! Two hosts: the recording of a server is joined with the rows of a client elsewhere.
//!
//! Client and server are joined as in the lab, by connection and ordinal, but their clocks differ.
//! `offset` finds by how much from what cannot be otherwise: a request does not
//! arrive before it is sent, nor an answer before the server has begun on it.

mod client_rows;
mod error;
mod offset;
mod pairs;

use std::{fs, path::Path};

pub use client_rows::read_client_rows;
pub use error::{JoinError, NoOffset, NotJoinable};
pub use offset::{Sight, estimate};
pub use pairs::{Matched, match_hosts};

use crate::{
    correlate::{RunAnalysis, load_run},
    recording::{
        ClientRow, ClockOffset, JoinedClient, KernelRow, Origin, RecordingError, RunDir, TableRow,
        TableWriter, read_table,
    },
};

/// What a join gave.
#[derive(Debug)]
pub struct Joined {
    /// The new recording, analysed.
    pub run: RunAnalysis,
    /// The offset between the clocks.
    pub offset: ClockOffset,
    /// What was matched before the clocks were known.
    pub matched: Matched,
}

/// Joins the recording of a live server with its client's rows into the new directory `out`,
/// which has both sides on the server's clock.
///
/// # Errors
/// When one of them cannot be read, the two do not fit each other, or `out` cannot be written.
pub fn join_recordings(server: &Path, client: &Path, out: &Path) -> Result<Joined, JoinError> {
    let server_dir = RunDir::at(server);
    let mut manifest = server_dir.read_manifest()?;
    let Origin::Live(live) = &mut manifest.origin else {
        return Err(JoinError::OfLab(server.to_owned()));
    };
    if live.client.is_some() {
        return Err(JoinError::Already(server.to_owned()));
    }
    let kernel = read_table::<KernelRow>(server)?.rows;
    let mut rows: Vec<ClientRow> = read_client_rows(client)?;
    let (matched, sights) = match_hosts(&rows, &kernel)?;
    let offset = estimate(sights)?;
    for row in &mut rows {
        on_servers_clock(row, &offset);
    }
    live.client = Some(JoinedClient {
        source: client.display().to_string(),
        offset: offset.clone(),
    });
    copy_tables(server, out)?;
    let out_dir = RunDir::at(out);
    let mut table = TableWriter::create(out)?;
    for row in rows {
        table.push(row)?;
    }
    table.finish()?;
    out_dir.write_manifest(&manifest)?;
    Ok(Joined {
        run: load_run(&out_dir)?,
        offset,
        matched,
    })
}

fn on_servers_clock(row: &mut ClientRow, offset: &ClockOffset) {
    for time_ns in [
        &mut row.intended_ns,
        &mut row.start_ns,
        &mut row.connect_start_ns,
        &mut row.connected_ns,
        &mut row.sent_ns,
        &mut row.first_byte_ns,
        &mut row.last_byte_ns,
        &mut row.end_ns,
        &mut row.loop_wake_ns,
    ] {
        *time_ns = offset.on_server(*time_ns);
    }
}

/// Copies the tables of a recording, a client's rows apart.
fn copy_tables(from: &Path, to: &Path) -> Result<(), RecordingError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| RecordingError::Io { path, source }
    };
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let path = entry.map_err(failed(from))?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        if !path.is_dir() || name == "report" || name == ClientRow::TABLE {
            continue;
        }
        let table = to.join(name);
        fs::create_dir_all(&table).map_err(failed(&table))?;
        for part in fs::read_dir(&path).map_err(failed(&path))? {
            let part = part.map_err(failed(&path))?.path();
            if let Some(name) = part.file_name() {
                fs::copy(&part, table.join(name)).map_err(failed(&part))?;
            }
        }
    }
    Ok(())
}
