//! A file system without room.

use nix::errno::Errno;

use super::{FAILURES, LOG, Rule, refused, sentence};
use crate::findings::{
    Remedy,
    evidence::RunEvidence,
    observation::{Claimed, Observation},
    reached::Reached,
};

pub(super) const RULE: Rule = Rule {
    name: "disk-full",
    looks_for: "calls with ENOSPC or EDQUOT, and messages of httpd that say so",
    needs: &[FAILURES, LOG],
    observe,
    tell: |seen| {
        let cause = match seen.word("calls") {
            "" => format!("httpd's log tells of a full file system{}", seen.in_runs()),
            _ => format!("{}: the file system was full", refused::told(seen)),
        };
        sentence(&cause, &seen.consequences(), "")
    },
    remedies: |_| {
        vec![Remedy {
            text: "Make room on the file system, or raise the quota.".into(),
            change: None,
        }]
    },
};

fn observe(run: &RunEvidence<'_>, _: &Claimed) -> Option<Observation> {
    if let Some(refused) = refused::refused_at(run, Reached::DiskSpace) {
        return Some(refused.observation(run));
    }
    let full = [Errno::ENOSPC as i32, Errno::EDQUOT as i32];
    let lines = run
        .log_since(0)
        .filter(|line| line.line.errno.is_some_and(|errno| full.contains(&errno)));
    let lines: Vec<_> = lines.collect();
    let first = lines.first()?;
    let mut seen = Observation::default();
    seen.rests_on(LOG, lines.len(), first.line.message.clone());
    seen.codes.extend(first.line.code.clone());
    seen.missing
        .push("the call that failed was not recorded".into());
    Some(seen)
}
