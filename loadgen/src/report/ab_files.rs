//! The files of ab -e and ab -g.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::ms;
use crate::clock::monotonic_ns;
use crate::{Histogram, Row, RowSink};

/// ab's CSV file: for each percent of the requests, in how many milliseconds they were served.
#[must_use]
pub fn percentages_csv(total: &Histogram) -> String {
    let mut out = "Percentage served,Time in ms\n".to_owned();
    if total.count() == 0 {
        return out;
    }
    for percent in 0..=100 {
        let ns = match percent {
            0 => total.min_ns(),
            _ => total.percentile_ns(f64::from(percent)),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{percent},{:.3}", ms(ns as f64));
    }
    out
}

/// One answered request; times in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Point {
    start_ns: u64,
    connect_ns: u64,
    total_ns: u64,
    wait_ns: u64,
}

/// Writes ab's file for gnuplot: a line for each answered request, the quickest first, with
/// tabs between starttime, seconds, ctime, dtime, ttime and wait; the last four in
/// milliseconds with three decimals.
///
/// As ab does, it keeps what it writes in memory until the run ends, as it must be sorted:
/// 32 bytes for each request.
#[derive(Debug)]
pub struct Gnuplot<W: Write> {
    out: BufWriter<W>,
    points: Vec<Point>,
    /// Nanoseconds since 1970 at 0 of CLOCK_MONOTONIC.
    epoch_ns: u64,
}

impl<W: Write> Gnuplot<W> {
    /// Will write to `target`.
    pub fn new(target: W) -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_ns = u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX);
        Self {
            out: BufWriter::new(target),
            points: Vec::new(),
            epoch_ns: now_ns.saturating_sub(monotonic_ns()),
        }
    }
}

impl<W: Write + Send> RowSink for Gnuplot<W> {
    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        let answered = rows
            .iter()
            .filter(|row| row.outcome.is_answered() && !row.is_warm_up());
        self.points.extend(answered.map(|row| Point {
            start_ns: row.intended_ns,
            connect_ns: match row.is_reused() {
                true => 0,
                false => row.connected_ns.saturating_sub(row.connect_start_ns),
            },
            total_ns: row.last_byte_ns.saturating_sub(row.intended_ns),
            wait_ns: row.first_byte_ns.saturating_sub(row.sent_ns),
        }));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.points.sort_by_key(|point| point.total_ns);
        writeln!(self.out, "starttime\tseconds\tctime\tdtime\tttime\twait")?;
        for point in &self.points {
            let seconds = self.epoch_ns.saturating_add(point.start_ns) / 1_000_000_000;
            writeln!(
                self.out,
                "{}\t{seconds}\t{:.3}\t{:.3}\t{:.3}\t{:.3}",
                local_time(seconds),
                ms(point.connect_ns as f64),
                ms(point.total_ns.saturating_sub(point.connect_ns) as f64),
                ms(point.total_ns as f64),
                ms(point.wait_ns as f64)
            )?;
        }
        self.out.flush()
    }
}

/// A time as ctime(3) writes it, in the local zone.
fn local_time(seconds: u64) -> String {
    let time = libc::time_t::try_from(seconds).unwrap_or(libc::time_t::MAX);
    let mut buffer = [0_u8; 64];
    let length = {
        let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
        // SAFETY: both pointers are valid for the call; a tm of zeros is a valid one,
        // should the time be out of range.
        let parts = unsafe {
            libc::localtime_r(&raw const time, parts.as_mut_ptr());
            parts.assume_init()
        };
        // SAFETY: the buffer has the length that is told, the format ends with a NUL byte,
        // and `parts` is initialised.
        unsafe {
            libc::strftime(
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                c"%a %b %d %H:%M:%S %Y".as_ptr(),
                &raw const parts,
            )
        }
    };
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    #[test]
    fn each_percent_has_its_line() {
        let mut total = Histogram::new();
        for ms in 1..=200 {
            total.record(ms * 1_000_000);
        }
        let text = percentages_csv(&total);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            (lines.len(), lines[0]),
            (102, "Percentage served,Time in ms")
        );
        // Histograms are exact to a thousandth.
        assert!(lines[1].starts_with("0,1.00"), "{}", lines[1]);
        assert!(lines[51].starts_with("50,100."), "{}", lines[51]);
        assert!(lines[101].starts_with("100,200."), "{}", lines[101]);
        assert_eq!(percentages_csv(&Histogram::new()).lines().count(), 1);
    }

    #[test]
    fn the_quickest_request_stands_first() {
        let row = |total_ms: u64| Row {
            outcome: Outcome::Ok,
            intended_ns: 1_000_000,
            connect_start_ns: 1_000_000,
            connected_ns: 1_500_000,
            sent_ns: 1_500_000,
            first_byte_ns: 1_750_000,
            last_byte_ns: 1_000_000 + total_ms * 1_000_000,
            ..Row::EMPTY
        };
        let failed = Row {
            outcome: Outcome::ShortBody,
            ..row(1)
        };
        let mut written = Vec::new();
        let mut gnuplot = Gnuplot::new(&mut written);
        gnuplot.epoch_ns = 1_000_000_000_000_000_000;
        gnuplot.rows(&[row(9), failed, row(2)]).expect("kept");
        gnuplot.finish().expect("written");
        drop(gnuplot);
        let text = String::from_utf8(written).expect("ASCII");
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[0],
            ["starttime", "seconds", "ctime", "dtime", "ttime", "wait"]
        );
        assert_eq!(
            lines[1][1..],
            ["1000000000", "0.500", "1.500", "2.000", "0.250"]
        );
        assert_eq!(lines[2][4], "9.000");
        // Sep 9 2001, 01:46:40 UTC; the zone of the machine may differ.
        assert!(
            lines[1][0].contains("Sep") && lines[1][0].ends_with(":40 2001"),
            "{}",
            lines[1][0]
        );
    }
}
