//! Spans on their way to the collector.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Requests that wait at most, each with its spans.
const ROOM: usize = 2048;
/// Requests in one batch at most.
const BATCH: usize = 512;
/// How often it is looked whether the end has come.
const TICK: Duration = Duration::from_millis(100);

/// What became of the sampled requests so far.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// Taken by the collector.
    pub exported: AtomicU64,
    /// Dropped because the queue was full: the collector is down or too slow.
    pub dropped: AtomicU64,
    /// Dropped because the collector could not be reached, or refused them.
    pub failed: AtomicU64,
}

impl SpanCounts {
    /// The counts with their names.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 3] {
        [
            ("exported", &self.exported),
            ("dropped", &self.dropped),
            ("failed", &self.failed),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// The queue and the thread that empties it.
#[derive(Debug)]
pub(super) struct Queue {
    sender: Option<SyncSender<Vec<SpanData>>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<SpanCounts>,
}

impl Queue {
    /// Sends what is pushed at least every `interval`.
    pub(super) fn start(
        exporter: impl SpanExporter + 'static,
        interval: Duration,
        counts: Arc<SpanCounts>,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(ROOM);
        let counted = Arc::clone(&counts);
        let thread = thread::Builder::new()
            .name("otlp-spans".into())
            .spawn(move || empty(&exporter, &receiver, interval, &counted))?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
            counts,
        })
    }

    /// Takes the spans of one request, or drops them. Never waits.
    pub(super) fn push(&self, spans: Vec<SpanData>) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(spans) {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what is left, if that is possible within `patience`; the thread ends with the
    /// process otherwise.
    pub(super) fn finish(&mut self, patience: Duration) {
        self.sender = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        let deadline = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(TICK.min(patience));
        }
        if thread.is_finished() {
            // It does not panic.
            let _ = thread.join();
        }
    }
}

fn empty(
    exporter: &impl SpanExporter,
    receiver: &Receiver<Vec<SpanData>>,
    interval: Duration,
    counts: &SpanCounts,
) {
    loop {
        let (batch, is_end) = collect(receiver, interval);
        send(exporter, batch, counts);
        if is_end {
            return;
        }
    }
}

/// Takes requests until there are enough, or for `interval`; whether the end has come.
fn collect(receiver: &Receiver<Vec<SpanData>>, interval: Duration) -> (Vec<Vec<SpanData>>, bool) {
    let deadline = Instant::now() + interval;
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(spans) => batch.push(spans),
            Err(RecvTimeoutError::Timeout) => return (batch, false),
            Err(RecvTimeoutError::Disconnected) => return (batch, true),
        }
    }
    (batch, false)
}

fn send(exporter: &impl SpanExporter, batch: Vec<Vec<SpanData>>, counts: &SpanCounts) {
    let requests = batch.len() as u64;
    if requests == 0 {
        return;
    }
    let spans = batch.into_iter().flatten().collect();
    // The exporter blocks in its client, so that this is over at once or when it is sent.
    let count = match futures_executor::block_on(exporter.export(spans)) {
        Ok(()) => &counts.exported,
        Err(error) => {
            if counts.failed.load(Ordering::Relaxed) == 0 {
                log::warn!("spans were not taken: {error}; further ones are only counted");
            }
            &counts.failed
        }
    };
    count.fetch_add(requests, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Takes nothing until it is let go.
    #[derive(Debug, Default)]
    struct Gate {
        is_open: Mutex<bool>,
        opened: Condvar,
        refuses: bool,
        batches: Mutex<Vec<usize>>,
    }

    #[derive(Clone, Debug)]
    struct Gated(Arc<Gate>);

    impl SpanExporter for Gated {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.batches.lock().unwrap().push(batch.len());
            let is_open = self.0.is_open.lock().unwrap();
            drop(self.0.opened.wait_while(is_open, |open| !*open).unwrap());
            if self.0.refuses {
                return Err(OTelSdkError::InternalFailure("no".into()));
            }
            Ok(())
        }
    }

    fn open(gate: &Gate) {
        *gate.is_open.lock().unwrap() = true;
        gate.opened.notify_all();
    }

    fn counts(queue: &Queue) -> [u64; 3] {
        queue.counts.named().map(|(_, count)| count)
    }

    #[test]
    fn a_collector_that_hangs_costs_spans_and_no_time_and_each_is_counted() {
        let gate = Arc::new(Gate::default());
        let exporter = Gated(Arc::clone(&gate));
        let mut queue = Queue::start(exporter, Duration::ZERO, Arc::default()).unwrap();
        let pushed = 3 * (ROOM + BATCH) as u64;
        for _ in 0..pushed {
            queue.push(Vec::new());
        }
        let [exported, dropped, failed] = counts(&queue);
        assert_eq!((exported, failed), (0, 0));
        // At most one batch is with the exporter, and one more is being collected.
        assert!(dropped >= pushed - (ROOM + 2 * BATCH) as u64, "{dropped}");
        open(&gate);
        queue.finish(LONG);
        let [exported, dropped, failed] = counts(&queue);
        assert_eq!((exported + dropped, failed), (pushed, 0));
    }

    #[test]
    fn refused_spans_are_counted_and_the_end_does_not_wait_for_a_hanging_collector() {
        let gate = Arc::new(Gate {
            refuses: true,
            ..Gate::default()
        });
        let mut queue = Queue::start(Gated(Arc::clone(&gate)), LONG, Arc::default()).unwrap();
        queue.push(Vec::new());
        queue.push(Vec::new());
        queue.finish(Duration::from_millis(1));
        assert_eq!(counts(&queue), [0, 0, 0]);
        open(&gate);
        let deadline = Instant::now() + LONG;
        while counts(&queue) != [0, 0, 2] {
            assert!(Instant::now() < deadline, "{:?}", counts(&queue));
            thread::sleep(Duration::from_millis(5));
        }
        queue.push(Vec::new());
        assert_eq!(counts(&queue), [0, 0, 2]);
    }
}
