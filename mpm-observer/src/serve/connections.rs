//! A bounded number of connections.

use std::{collections::VecDeque, future::Future};

use tokio::task::AbortHandle;

/// Most connections at once. A scrape takes some milliseconds; more than a few are nobody's need.
pub(super) const MOST: usize = 64;

/// The connections that are served, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Connections(VecDeque<AbortHandle>);

impl Connections {
    /// Serves one more. When there are too many the oldest gives way: one that has said nothing
    /// for long must not keep out one that comes to ask. Whether one had to.
    pub(super) fn serve(&mut self, connection: impl Future<Output = ()> + Send + 'static) -> bool {
        self.0.retain(|running| !running.is_finished());
        let full = self.0.len() >= MOST;
        if full && let Some(oldest) = self.0.pop_front() {
            oldest.abort();
        }
        self.0.push_back(tokio::spawn(connection).abort_handle());
        full
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    struct Ended(Arc<AtomicUsize>);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_oldest_gives_way_and_those_that_have_ended_do_not_count() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let ended = Arc::new(AtomicUsize::new(0));
            let mut connections = Connections::default();
            for _ in 0..2 * MOST {
                assert!(!connections.serve(async {}));
                tokio::task::yield_now().await;
            }
            for number in 0..MOST + 5 {
                let guard = Ended(Arc::clone(&ended));
                let gave_way = connections.serve(async move {
                    let _guard = guard;
                    std::future::pending().await
                });
                assert_eq!(gave_way, number >= MOST, "{number}");
            }
            tokio::task::yield_now().await;
            assert_eq!(ended.load(Ordering::Relaxed), 5);
        });
    }
}
