//! The interval log of HdrHistogram.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use super::{About, Second, SecondWriter};
use crate::Histogram;
use crate::clock::WallOffset;

/// Writes a log of version 1.3 with an interval of 1 s a line, as HdrHistogram's own tools
/// read it: times in seconds since 1970, the greatest value in milliseconds, and the
/// histogram of the latencies in nanoseconds (V2, deflated, base64). Latencies count from
/// when a request was due to its last byte, in the second in which it ended.
pub struct HdrLog<W> {
    target: W,
    serializer: V2DeflateSerializer,
    /// All lines have the same bounds, as tools that add them up expect.
    counts: hdrhistogram::Histogram<u64>,
    encoded: Vec<u8>,
    line: String,
}

impl<W: Write> HdrLog<W> {
    /// Writes to `target`.
    pub fn new(target: W) -> Self {
        Self {
            target,
            serializer: V2DeflateSerializer::new(),
            counts: Histogram::of_all_lengths(),
            encoded: Vec::new(),
            line: String::new(),
        }
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

impl<W: Write + Send> SecondWriter for HdrLog<W> {
    fn begin(&mut self, started_ns: u64, about: &About) -> io::Result<()> {
        let wall: WallOffset = about.wall;
        let start_s = seconds(wall.wall_ns(started_ns));
        // The tools compare StartTime with the intervals' times, which are relative to BaseTime.
        write!(
            self.target,
            "#[Latencies by loadgen {}, in ns]\n\
             #[Histogram log format version 1.3]\n\
             #[StartTime: {start_s:.3} (seconds since epoch)]\n\
             #[BaseTime: {start_s:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
            about.version,
        )
    }

    fn second(&mut self, second: &Second) -> io::Result<()> {
        second.latencies.copy_to(&mut self.counts);
        self.encoded.clear();
        self.serializer
            .serialize(&self.counts, &mut self.encoded)
            .map_err(|error| io::Error::other(error.to_string()))?;
        self.line.clear();
        STANDARD.encode_string(&self.encoded, &mut self.line);
        writeln!(
            self.target,
            "{}.000,{:.3},{:.3},{}",
            second.index,
            seconds(second.length_ns),
            second.latencies.max_ns() as f64 / 1e6,
            self.line
        )?;
        self.target.flush()
    }
}
