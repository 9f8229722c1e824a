//! ab's counts beside the true ones, with the reasons of the differences.

use std::fmt::{self, Write};

use super::FailureGroups;
use crate::{AbCounts, AbEnd, Outcome, Summary};

/// The figures that ab 2.4 would have printed, each beside the true one, and a line for
/// every reason why they differ.
#[must_use]
pub fn ab_table(ab: &AbCounts, summary: &Summary) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = table(&mut out, ab, summary).and_then(|()| reasons(&mut out, ab, summary));
    out
}

fn table(out: &mut String, ab: &AbCounts, summary: &Summary) -> fmt::Result {
    let groups = FailureGroups::of(summary);
    let of_first = summary
        .body_min_bytes
        .filter(|min| Some(*min) == summary.body_max_bytes);
    let numbers = [
        ("Complete requests:", ab.complete, Some(summary.answered())),
        ("Failed requests:", ab.failed, Some(summary.failed())),
        ("   Connect:", ab.connect, Some(groups.connect)),
        ("   Receive:", ab.receive, Some(groups.receive)),
        ("   Length:", ab.length, Some(groups.length)),
        ("   Exceptions:", ab.exceptions, Some(groups.exceptions)),
        ("Write errors:", ab.write_errors, None),
        (
            "Non-2xx responses:",
            ab.non2xx,
            Some(summary.outcomes.get(Outcome::Non2xx)),
        ),
        (
            "Keep-Alive requests:",
            ab.keep_alive_requests,
            Some(summary.keep_alive_answers),
        ),
        ("Document Length:", ab.document_bytes, of_first),
    ];
    writeln!(
        out,
        "\nWhat ab 2.4 would have counted {:>12} {:>12}",
        "ab", "true"
    )?;
    for (name, of_ab, of_us) in numbers {
        let of_us = of_us.map_or("-".to_owned(), |number| number.to_string());
        writeln!(out, "{name:<30} {of_ab:>12} {of_us:>12}")?;
    }
    Ok(())
}

fn reasons(out: &mut String, ab: &AbCounts, summary: &Summary) -> fmt::Result {
    let mut reason = |count: u64, text: &str| match count {
        0 => Ok(()),
        _ => writeln!(out, "- {count} {text}"),
    };
    reason(
        ab.complete_closed,
        "closed before or inside their answer are complete for ab: any close ends an answer.",
    )?;
    reason(
        ab.complete_stale,
        "on stale keep-alive connections are complete for ab, with the wrong length; here they were \
         sent again. Where a reset came as well, ab counts it under Exceptions too.",
    )?;
    reason(
        ab.complete_errors,
        "that met an error of their connection are complete for ab.",
    )?;
    reason(
        ab.exceptions,
        "under Exceptions are in Receive already: the same error is seen by read and by poll.",
    )?;
    reason(
        ab.length_of_answers,
        "whole answers failed for ab as their length is not that of the first (ab -l allows it).",
    )?;
    reason(
        ab.redirects,
        "of ab's Non-2xx are redirects, which are no errors here.",
    )?;
    reason(
        ab.heads_too_long,
        "had more than 8191 bytes of header, which ab gives up.",
    )?;
    reason(
        ab.waited_on,
        "timed out here; ab would have waited on, its -s is for all connections together.",
    )?;
    reason(
        ab.untold,
        "malformed answers are in none of ab's figures here: what it makes of them cannot be told.",
    )?;
    reason(
        summary.surplus,
        "answers had bytes after their end, which ab takes for body; its Document Length is longer.",
    )?;
    match ab.ended_by {
        None => Ok(()),
        Some(end) => writeln!(
            out,
            "- ab would have ended here, after {} complete requests and without figures: {}",
            ab.complete,
            last_words(end)
        ),
    }
}

/// What ab prints when it gives up.
fn last_words(end: AbEnd) -> String {
    match end {
        AbEnd::Receive(errno) => {
            let errno = i32::from(errno);
            let text = nix::errno::Errno::from_raw(errno).desc();
            format!("apr_socket_recv: {text} ({errno}); ab -r goes on")
        }
        AbEnd::Timeout => "apr_pollset_poll: The timeout specified has expired (70007)".to_owned(),
        AbEnd::TenFailures => "Test aborted after 10 failures".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_stand_beside_their_reason() {
        let ab = AbCounts {
            complete: 100,
            failed: 60,
            length: 50,
            receive: 5,
            exceptions: 5,
            complete_closed: 50,
            ended_by: Some(AbEnd::Receive(libc::ECONNRESET as u16)),
            ..AbCounts::default()
        };
        let mut summary = Summary::empty(0, crate::EngineKind::Epoll);
        summary.outcomes.add(Outcome::Ok, 50);
        summary.outcomes.add(Outcome::ClosedEarly, 50);
        let text = ab_table(&ab, &summary);
        for line in [
            "Complete requests:                      100           50\n",
            "Failed requests:                         60           50\n",
            "   Receive:                               5           50\n",
            "- 50 closed before or inside their answer are complete for ab",
            "after 100 complete requests and without figures: apr_socket_recv: Connection reset by \
             peer (104)",
        ] {
            assert!(text.contains(line), "{line:?} is missing in\n{text}");
        }
        assert!(!text.contains("redirects"), "{text}");
    }
}
