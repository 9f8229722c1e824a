//! The load generator as a process of its own: an ordinary user, on the client's CPUs.
//!
//! The lab starts this program again with the hidden subcommand `__load`, writes one line of JSON
//! (a [`ClientOrder`]) to its standard input and reads frames from its standard output. When the
//! input is closed, by the lab or by its end, the load ends.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use loadgen::{
    Config, Pace, Profile, Progress, Row, RowSink, Summary, Target,
    hold::{HeldRow, Holder},
};
use serde::{Deserialize, Serialize};

use super::held::{self, HoldOrder};
use crate::{
    httpd::{THIS_PROGRAM, user::ServerUser},
    scenario::OpenLoop,
};

/// How often the progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Rows in one frame at most, so that a frame's length is bounded.
const FRAME_ROWS: usize = 4096;

/// What the load process is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientOrder {
    /// The URL.
    pub url: String,
    /// Requests in all.
    pub requests: u64,
    /// Connections at once.
    pub concurrency: u32,
    /// Whether connections are kept.
    pub keep_alive: bool,
    /// Longest time of a request, seconds.
    pub timeout_s: u32,
    /// By which schedule requests are due; `None`: a closed loop.
    pub open: Option<OpenLoop>,
    /// Requests of this time at the begin are left out of the summary, seconds.
    pub warm_up_s: u32,
    /// Longest time of the load after that, milliseconds.
    pub max_duration_ms: u64,
    /// CPUs, one thread each.
    pub cpus: Vec<usize>,
    /// The user to become; `None`: stay.
    pub user: Option<ServerUser>,
    /// Whether a row of each request is wanted, or the summary alone.
    pub rows: bool,
    /// Slow clients that are there before the load and until its end.
    pub hold: Option<HoldOrder>,
}

/// Kinds of frames: one byte, then the length of the payload as `u32` little endian, then it.
mod kind {
    /// Encoded rows.
    pub const ROWS: u8 = 1;
    /// Requests completed and failed, `u64` little endian each.
    pub const PROGRESS: u8 = 2;
    /// The summary as JSON; the last frame.
    pub const SUMMARY: u8 = 3;
    /// An error as text; the last frame.
    pub const ERROR: u8 = 4;
    /// The slow clients are not all in their state yet; empty.
    pub const HOLDING: u8 = 5;
    /// What became of the slow clients.
    pub const HELD: u8 = 6;
}

/// The longest payload that a reader accepts.
const MAX_PAYLOAD: usize = 16 << 20;

fn write_frame(out: &Mutex<io::Stdout>, kind: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut out = out.lock().map_err(|_| io::Error::other("poisoned"))?;
    out.write_all(&[kind])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(payload)?;
    out.flush()
}

struct FrameSink(Arc<Mutex<io::Stdout>>);

impl RowSink for FrameSink {
    fn rows(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut payload = Vec::with_capacity(rows.len().min(FRAME_ROWS) * Row::SIZE);
        for some in rows.chunks(FRAME_ROWS) {
            payload.clear();
            for row in some {
                payload.extend_from_slice(&row.encode());
            }
            write_frame(&self.0, kind::ROWS, &payload)?;
        }
        Ok(())
    }
}

/// The hidden subcommand `__load`. Returns the exit code.
#[must_use]
pub fn client_main() -> i32 {
    let out = Arc::new(Mutex::new(io::stdout()));
    match load(&out) {
        Ok(()) => 0,
        Err(message) => {
            // The lab reports it; without the lab there is nobody to tell.
            let _ = write_frame(&out, kind::ERROR, message.as_bytes());
            1
        }
    }
}

fn load(out: &Arc<Mutex<io::Stdout>>) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut line = String::new();
    let mut input = BufReader::new(io::stdin());
    input.read_line(&mut line).map_err(|error| text(&error))?;
    let order: ClientOrder = serde_json::from_str(&line).map_err(|error| text(&error))?;
    if let Some(user) = &order.user {
        user.take_over()
            .map_err(|error| format!("cannot become {}: {error}", user.name))?;
    }
    // If it stays too low, the run itself says so.
    let _ = loadgen::raise_open_file_limit();
    let mut config = Config::new(Target::parse(&order.url).map_err(|error| text(&error))?);
    config.requests = Some(order.requests);
    config.duration = Some(Duration::from_millis(order.max_duration_ms));
    config.concurrency = order.concurrency;
    config.keep_alive = order.keep_alive;
    config.timeout = Duration::from_secs(order.timeout_s.into());
    if let Some(open) = order.open {
        config.pace = Pace::Open {
            arrivals: open.arrivals,
            rate: Profile::constant(open.requests_per_s.into()),
        };
    }
    config.warm_up = Duration::from_secs(order.warm_up_s.into());
    config.threads = order.cpus.len().max(1);
    config.cpus = order.cpus;

    let stop = Arc::new(AtomicBool::new(false));
    let progress = Arc::new(Progress::new());
    let stop_by_input = Arc::clone(&stop);
    thread::spawn(move || {
        // Nothing more comes; the end does.
        let _ = io::copy(&mut input, &mut io::sink());
        stop_by_input.store(true, Ordering::Relaxed);
    });
    let holder = match &order.hold {
        Some(hold) => Some(take_places(hold, out, &stop)?),
        None => None,
    };
    let (teller, told) = (Arc::clone(&progress), Arc::clone(out));
    let done = Arc::new(AtomicBool::new(false));
    let teller_done = Arc::clone(&done);
    let telling = thread::spawn(move || {
        while !teller_done.load(Ordering::Relaxed) {
            let counts = [
                teller.completed().to_le_bytes(),
                teller.failed().to_le_bytes(),
            ];
            if write_frame(&told, kind::PROGRESS, counts.as_flattened()).is_err() {
                return;
            }
            thread::park_timeout(PROGRESS_INTERVAL);
        }
    });
    let sink: Option<Box<dyn RowSink>> = match order.rows {
        true => Some(Box::new(FrameSink(Arc::clone(out)))),
        false => None,
    };
    let result = loadgen::run(&config, sink, &progress, &stop);
    done.store(true, Ordering::Relaxed);
    telling.thread().unpark();
    let _ = telling.join();
    let summary = result.map_err(|error| text(&error))?;
    if let Some(holder) = holder {
        let held = holder.finish().map_err(|error| text(&error))?;
        write_frame(out, kind::HELD, &held::encode(&held)).map_err(|error| text(&error))?;
    }
    let json = serde_json::to_vec(&summary).map_err(|error| text(&error))?;
    write_frame(out, kind::SUMMARY, &json).map_err(|error| text(&error))
}

/// Starts the slow clients and waits until they are in their state, but not for long.
fn take_places(
    order: &HoldOrder,
    out: &Mutex<io::Stdout>,
    stop: &AtomicBool,
) -> Result<Holder, String> {
    let config = order.config().map_err(|error| error.to_string())?;
    let holder = Holder::start(&config).map_err(|error| error.to_string())?;
    let mut due = Instant::now();
    let mut tell = |_| {
        if Instant::now() >= due {
            // The lab looks at each frame whether it is to end; if it is gone, the input says so.
            let _ = write_frame(out, kind::HOLDING, &[]);
            due = Instant::now() + PROGRESS_INTERVAL;
        }
    };
    holder.settle_first(held::FIRST_PATIENCE, stop, &mut tell);
    holder.settle(order.patience(), stop, tell);
    Ok(holder)
}

/// What a frame of the load process says.
#[derive(Debug)]
enum Frame {
    Rows(Vec<Row>),
    Progress { completed: u64, failed: u64 },
    Summary(Box<Summary>),
    Error(String),
    Holding,
    Held(Vec<HeldRow>),
}

/// Reads one frame; `None` at the end of the input.
fn read_frame(input: &mut impl Read) -> io::Result<Option<Frame>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut kind = [0];
    if input.read(&mut kind)? == 0 {
        return Ok(None);
    }
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_PAYLOAD {
        return Err(bad("a frame of the load generator is too long"));
    }
    let mut payload = vec![0; length];
    input.read_exact(&mut payload)?;
    Ok(Some(match kind[0] {
        kind::ROWS => {
            let (chunks, rest) = payload.as_chunks::<{ Row::SIZE }>();
            if !rest.is_empty() {
                return Err(bad("the load generator sent half a row"));
            }
            let rows = chunks.iter().map(Row::decode).collect::<Result<_, _>>();
            Frame::Rows(rows.map_err(|error| bad(&error.to_string()))?)
        }
        kind::PROGRESS => {
            let (numbers, _) = payload.as_chunks::<8>();
            match numbers {
                [completed, failed] => Frame::Progress {
                    completed: u64::from_le_bytes(*completed),
                    failed: u64::from_le_bytes(*failed),
                },
                _ => return Err(bad("the load generator's progress is not two numbers")),
            }
        }
        kind::SUMMARY => Frame::Summary(
            serde_json::from_slice(&payload).map_err(|error| bad(&error.to_string()))?,
        ),
        kind::ERROR => Frame::Error(String::from_utf8_lossy(&payload).into_owned()),
        kind::HOLDING => Frame::Holding,
        kind::HELD => Frame::Held(
            held::decode(&payload).ok_or_else(|| bad("the load generator sent half a client"))?,
        ),
        other => return Err(bad(&format!("the load generator sent frame kind {other}"))),
    }))
}

/// What a load process leaves.
pub(crate) struct Done {
    /// Its summary.
    pub(crate) summary: Summary,
    /// Its slow clients.
    pub(crate) held: Vec<HeldRow>,
}

/// A load process that runs.
pub(crate) struct Client {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Client {
    /// Starts it.
    pub(crate) fn start(order: &ClientOrder) -> io::Result<Self> {
        let mut child = Command::new(THIS_PROGRAM)
            .arg("__load")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // A Ctrl-C at the terminal is the lab's to handle.
            .process_group(0)
            .spawn()?;
        let mut orders = child.stdin.take();
        if let Some(input) = &mut orders {
            let mut line = serde_json::to_vec(order)?;
            line.push(b'\n');
            input.write_all(&line)?;
        }
        Ok(Self { child, orders })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Passes its rows and progress on until its end, and returns what it leaves. Ends it early
    /// when `stop` says so, or at once when rows are refused.
    pub(crate) fn attend(
        mut self,
        stop: impl Fn() -> bool,
        mut on_rows: impl FnMut(Vec<Row>) -> io::Result<()>,
        mut on_progress: impl FnMut(u64, u64),
    ) -> io::Result<Done> {
        let output = self.child.stdout.take();
        let mut output = BufReader::new(output.ok_or(io::ErrorKind::BrokenPipe)?);
        let mut result = Err(io::Error::other(
            "the load generator ended without a summary",
        ));
        let mut held = Vec::new();
        // Progress comes several times a second, so a stop is seen in time.
        while let Some(frame) = read_frame(&mut output)? {
            if stop() {
                self.orders = None;
            }
            match frame {
                Frame::Rows(rows) => on_rows(rows)?,
                Frame::Progress { completed, failed } => on_progress(completed, failed),
                Frame::Summary(summary) => result = Ok(*summary),
                Frame::Error(message) => result = Err(io::Error::other(message)),
                Frame::Holding => {}
                Frame::Held(rows) => held = rows,
            }
        }
        result.map(|summary| Done { summary, held })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap();
        [&[kind], &length.to_le_bytes()[..], payload].concat()
    }

    #[test]
    fn frames_are_read_one_by_one_to_the_end() {
        let mut counts = 5_u64.to_le_bytes().to_vec();
        counts.extend(2_u64.to_le_bytes());
        let bytes = [frame(kind::PROGRESS, &counts), frame(kind::ERROR, b"no")].concat();
        let mut input = bytes.as_slice();
        assert!(matches!(
            read_frame(&mut input).unwrap(),
            Some(Frame::Progress {
                completed: 5,
                failed: 2
            })
        ));
        assert!(matches!(
            read_frame(&mut input).unwrap(),
            Some(Frame::Error(text)) if text == "no"
        ));
        assert!(read_frame(&mut input).unwrap().is_none());
    }

    #[test]
    fn a_frame_that_is_cut_off_too_long_or_unknown_is_an_error() {
        let whole = frame(kind::ERROR, b"text");
        for length in 1..whole.len() {
            assert!(read_frame(&mut &whole[..length]).is_err(), "{length} bytes");
        }
        let huge = [&[kind::ROWS], &u32::MAX.to_le_bytes()[..]].concat();
        assert!(read_frame(&mut huge.as_slice()).is_err());
        assert!(read_frame(&mut frame(99, b"").as_slice()).is_err());
        assert!(read_frame(&mut frame(kind::ROWS, b"half").as_slice()).is_err());
        assert!(read_frame(&mut frame(kind::PROGRESS, b"12345678").as_slice()).is_err());
    }
}
