//! Which worker gets which of the load threads.

use crate::{Error, Part};

/// Gives every worker a part: so many threads as it `offers`, fewer when there are only
/// `slots` connections for all of them, but at least one.
///
/// # Errors
/// [`Error::BadConfig`] when there are fewer connections than workers, or more threads
/// than can be numbered.
pub(super) fn divide(offers: &[u16], slots: u32) -> Result<Vec<Part>, Error> {
    let most = u32::from(u16::MAX);
    if offers.is_empty() {
        return Err(Error::BadConfig("there must be a worker".to_owned()));
    }
    if (slots as usize) < offers.len() {
        return Err(Error::BadConfig(format!(
            "{} workers need at least so many requests at once, not {slots}: raise the \
             concurrency, or take fewer workers",
            offers.len()
        )));
    }
    let offered: u32 = offers
        .iter()
        .map(|threads| u32::from((*threads).max(1)))
        .sum();
    if offered.min(slots) > most {
        return Err(Error::BadConfig(format!(
            "the workers have {offered} threads, at most {most} can be numbered: give each of \
             them fewer"
        )));
    }
    let threads = deal(offers, offered.min(slots));
    let threads_in_all = threads.iter().sum();
    let mut first_thread = 0;
    Ok(threads
        .into_iter()
        .map(|threads| {
            let part = Part {
                first_thread,
                threads,
                threads_in_all,
                begin_ns: None,
            };
            first_thread += threads;
            part
        })
        .collect())
}

/// Deals `total` threads out one by one, round and round, to who can still take one.
fn deal(offers: &[u16], total: u32) -> Vec<u16> {
    let mut dealt = vec![0; offers.len()];
    let mut left = total;
    while left > 0 {
        for (threads, offer) in dealt.iter_mut().zip(offers) {
            if *threads < (*offer).max(1) && left > 0 {
                *threads += 1;
                left -= 1;
            }
        }
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(offers: &[u16], slots: u32) -> Vec<(u16, u16)> {
        divide(offers, slots)
            .expect("divisible")
            .iter()
            .map(|part| (part.first_thread, part.threads))
            .collect()
    }

    #[test]
    fn threads_are_numbered_through_and_none_is_without_a_connection() {
        assert_eq!(threads(&[2, 1, 4], 100), [(0, 2), (2, 1), (3, 4)]);
        assert_eq!(threads(&[2, 1, 4], 5), [(0, 2), (2, 1), (3, 2)]);
        assert_eq!(threads(&[8, 8], 2), [(0, 1), (1, 1)]);
        assert_eq!(threads(&[0, 3], 10), [(0, 1), (1, 3)]);
        assert_eq!(threads(&[u16::MAX], u32::MAX), [(0, u16::MAX)]);
    }

    #[test]
    fn what_the_parts_do_adds_up_for_every_number_of_workers() {
        for workers in 1..=5_usize {
            for slots in [5, 17, 1000] {
                let offers: Vec<u16> = (0..workers).map(|i| 1 + 3 * i as u16).collect();
                let parts = divide(&offers, slots).expect("divisible");
                for total in [u64::from(slots), 1, 10_007] {
                    let sum: u64 = parts.iter().map(|part| part.share_of_all(total)).sum();
                    assert_eq!(sum, total);
                }
                // Each worker has connections in proportion to its threads.
                for part in &parts {
                    let share = part.share_of_all(u64::from(slots));
                    let each = u64::from(slots) / u64::from(part.threads_in_all);
                    let threads = u64::from(part.threads);
                    assert!((each * threads..=(each + 1) * threads).contains(&share));
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_divided_is_refused_with_a_remedy() {
        let text = |offers: &[u16], slots| {
            divide(offers, slots)
                .expect_err("must be refused")
                .to_string()
        };
        assert!(text(&[1, 1, 1], 2).contains("raise the concurrency"));
        assert!(text(&[u16::MAX, 1], u32::MAX).contains("fewer"));
        assert!(text(&[], 1).contains("a worker"));
    }
}
