//! Figures in few letters.

use mpm_observer_common::BlockedIn;

/// A figure that is small or large: `0`, `0.07`, `1.3`, `12`, `1,234`.
pub(super) fn figure(value: f64) -> String {
    match value {
        _ if value == 0.0 => "0".into(),
        ..0.995 => format!("{value:.2}"),
        ..9.95 => format!("{value:.1}"),
        _ => crate::wording::whole(value.round() as u64),
    }
}

/// A share in per cent: `0 %`, `0.3 %`, `12 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent == 0.0 => "0 %".into(),
        ..0.05 => "<0.1 %".into(),
        ..9.95 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// What a task is blocked in, as scripts name it.
pub(super) const fn blocked_in(kind: BlockedIn) -> &'static str {
    match kind {
        BlockedIn::Other => "other",
        BlockedIn::Futex => "futex",
        BlockedIn::Poll => "poll",
        BlockedIn::Send => "send",
        BlockedIn::Receive => "receive",
        BlockedIn::File => "file",
        BlockedIn::Fault => "page_fault",
        BlockedIn::Sleep => "sleep",
        BlockedIn::Stopped => "stopped",
        BlockedIn::KernelLock => "kernel_lock",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_two_or_three_digits() {
        let told = [0.0, 0.071, 0.999, 1.26, 12.4, 1234.4].map(figure);
        assert_eq!(told, ["0", "0.07", "1.0", "1.3", "12", "1,234"]);
        let told = [0.0, 0.0001, 0.0031, 0.124, 1.0].map(percent);
        assert_eq!(told, ["0 %", "<0.1 %", "0.3 %", "12 %", "100 %"]);
    }
}
