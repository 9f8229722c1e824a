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

use super::answer::LastAnswer;

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
    /// Lost because the collector could not be reached, or refused them. Of a batch of which it
    /// rejected some spans as many as these, for it does not say which.
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
    /// Sends what is pushed at least every `interval`. The exporter's client leaves its answers
    /// in `last`.
    pub(super) fn start(
        exporter: impl SpanExporter + 'static,
        last: Arc<LastAnswer>,
        interval: Duration,
        counts: Arc<SpanCounts>,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(ROOM);
        let emptier = Emptier {
            exporter,
            last,
            counts: Arc::clone(&counts),
        };
        let thread = thread::Builder::new()
            .name("otlp-spans".into())
            .spawn(move || emptier.run(&receiver, interval))?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
            counts,
        })
    }

    /// Takes the spans of one request, or drops them. Never waits.
    pub(super) fn push(&self, spans: Vec<SpanData>) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(spans)
            && self.counts.dropped.fetch_add(1, Ordering::Relaxed) == 0
        {
            log::warn!(
                "the collector is down or too slow: spans are dropped; further ones are only counted"
            );
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

/// What the thread has.
struct Emptier<E> {
    exporter: E,
    last: Arc<LastAnswer>,
    counts: Arc<SpanCounts>,
}

impl<E: SpanExporter> Emptier<E> {
    fn run(&self, receiver: &Receiver<Vec<SpanData>>, interval: Duration) {
        loop {
            let (batch, is_end) = collect(receiver, interval);
            self.send(batch);
            if is_end {
                return;
            }
        }
    }

    fn send(&self, batch: Vec<Vec<SpanData>>) {
        let requests = batch.len() as u64;
        if requests == 0 {
            return;
        }
        let spans = batch.into_iter().flatten().collect();
        self.last.clear();
        // The exporter blocks in its client, so that this is over at once or when it is sent.
        let sent = futures_executor::block_on(self.exporter.export(spans));
        let answer = self.last.get();
        let failed = match &sent {
            Ok(()) => answer.rejected.min(requests),
            Err(_) => requests,
        };
        let exported = requests - failed;
        self.counts.exported.fetch_add(exported, Ordering::Relaxed);
        let failed_before = self.counts.failed.fetch_add(failed, Ordering::Relaxed);
        if failed_before == 0
            && let Some(complaint) = answer.complaint(&sent)
        {
            log::warn!("spans were not taken: {complaint}; further ones are only counted");
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

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

    use super::{super::answer::Answer, *};

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
        let mut queue =
            Queue::start(exporter, Arc::default(), Duration::ZERO, Arc::default()).unwrap();
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
        let exporter = Gated(Arc::clone(&gate));
        let mut queue = Queue::start(exporter, Arc::default(), LONG, Arc::default()).unwrap();
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

    /// Succeeds, and each time the collector has rejected that many spans.
    #[derive(Debug)]
    struct Rejected(Arc<LastAnswer>, u64);

    impl SpanExporter for Rejected {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            self.0.set(Answer {
                rejected: self.1,
                ..Answer::default()
            });
            Ok(())
        }
    }

    #[test]
    fn of_rejected_spans_each_may_be_of_another_request() {
        for (rejected, expected) in [(0, [4, 0, 0]), (1, [3, 0, 1]), (9, [0, 0, 4])] {
            let last = Arc::new(LastAnswer::default());
            let exporter = Rejected(Arc::clone(&last), rejected);
            let mut queue = Queue::start(exporter, last, LONG, Arc::default()).unwrap();
            for _ in 0..4 {
                queue.push(Vec::new());
            }
            queue.finish(LONG);
            assert_eq!(counts(&queue), expected);
        }
    }
}
