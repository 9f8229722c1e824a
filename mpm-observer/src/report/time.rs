//! Dates.

use jiff::Timestamp;

/// Seconds since 1970 as `2026-01-31 12:34:56` (UTC).
#[must_use]
pub fn utc(unix_s: u64) -> String {
    let second = i64::try_from(unix_s).unwrap_or(i64::MAX);
    // Beyond the year 9999 there is no such date; the last one stands for all of them.
    let timestamp = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    timestamp.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn seconds_since_1970_are_a_date_in_utc() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(utc(1_767_225_599), "2025-12-31 23:59:59");
    }

    #[test]
    fn a_second_without_a_date_is_no_panic() {
        assert!(utc(u64::MAX).starts_with("9999-12-"));
    }
}
