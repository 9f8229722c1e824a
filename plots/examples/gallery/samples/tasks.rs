//! Made-up tasks of a server: what each of them did when.

use plots::{
    Frame, Interval, Lane, LaneCounter, LaneGroup, LaneLink, LaneMark, LaneSlice, LaneSpan, Lanes,
    Series, SeriesStyle, Unit,
};

use super::Noise;

const ON_CPU: usize = 0;
const RUN_QUEUE: usize = 1;
const LOCK: usize = 2;
const DISK: usize = 3;
const IDLE: usize = 4;

pub fn lanes() -> Lanes {
    let styles = [3, 2, 1, 4, 8].map(SeriesStyle::segment);
    let names = [
        "on CPU",
        "run queue",
        "blocked: lock",
        "blocked: disk",
        "idle",
    ];
    let mut without_listener = tasks("prefork", 4, 200e6, 4.0);
    without_listener.links.clear();
    Lanes {
        frame: Frame::new("What every task did")
            .subtitle("keep-alive · 16 connections · 200 ms from the middle of one run")
            .footnote("0 lost events")
            .size(1200, 320),
        x_title: "time since the start of the load".into(),
        unit: Unit::Nanoseconds,
        window: Some(Interval {
            low: 0.0,
            high: 200e6,
        }),
        categories: names
            .iter()
            .zip(styles)
            .map(|(name, style)| Series::new(*name, style))
            .collect(),
        slice_name: "request".into(),
        mark_kinds: vec![Series::new("accept", SeriesStyle::new(1))],
        link_kinds: vec![Series::new("hand-off", SeriesStyle::new(0))],
        groups: vec![
            without_listener,
            tasks("worker", 4, 200e6, 4.0),
            tasks("event", 4, 200e6, 0.6),
        ],
    }
}

/// A listener that hands requests to workers in turn until `end` (ns); a request takes about
/// `request_ms`.
pub fn tasks(title: &str, workers: usize, end: f64, request_ms: f64) -> LaneGroup {
    let mut noise = Noise(title.len() as u64);
    let mut listener = Lane::new("listener 4711");
    let mut lanes: Vec<Lane> = (0..workers)
        .map(|i| Lane::new(format!("worker {}", 4712 + i)))
        .collect();
    let mut links = Vec::new();
    let mut queue = Vec::new();
    let mut free = vec![0.0; workers];
    let mut now = 1e6;
    while now < end {
        let worker = (noise.next() * workers as f64) as usize;
        let start = f64::max(now, free[worker]);
        let idle = LaneSpan {
            from: free[worker],
            to: start,
            category: IDLE,
        };
        lanes[worker].spans.push(idle);
        listener.spans.push(LaneSpan {
            from: now,
            to: now + 80e3,
            category: ON_CPU,
        });
        listener.marks.push(LaneMark { at: now, kind: 0 });
        let mut at = start;
        for category in [RUN_QUEUE, ON_CPU, LOCK, ON_CPU, DISK, ON_CPU] {
            let median = request_ms * 1e6 * [0.25, 0.05, 0.2, 0.3, 0.0][category];
            let to = at + noise.duration(median, 0.6);
            lanes[worker].spans.push(LaneSpan {
                from: at,
                to,
                category,
            });
            at = to;
        }
        lanes[worker].slices.push(LaneSlice {
            from: start,
            to: at,
            label: "GET /".into(),
        });
        links.push(LaneLink {
            from_lane: 0,
            from: now + 60e3,
            to_lane: 1 + worker,
            to: start.max(now + 60e3),
            kind: 0,
        });
        queue.push((now, (noise.next() * 5.0).floor()));
        free[worker] = at;
        now += noise.duration(1.6e6 * request_ms / workers as f64, 0.8);
    }
    for (lane, free) in lanes.iter_mut().zip(free) {
        lane.spans.push(LaneSpan {
            from: free,
            to: free.max(end),
            category: IDLE,
        });
    }
    lanes.insert(0, listener);
    LaneGroup {
        title: title.into(),
        lanes,
        links,
        counter: Some(LaneCounter {
            name: "accept queue".into(),
            unit: Unit::Count,
            points: queue,
        }),
    }
}
