//! Counts and lists as one says them.

/// A whole number with commas between the thousands.
#[must_use]
pub(crate) fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count with its noun: `1 run`, `1,200 runs`.
#[must_use]
pub(crate) fn plural(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", whole(count))
}

/// `1 child`, `20 children`.
#[must_use]
pub(crate) fn children(count: u32) -> String {
    let noun = if count == 1 { "child" } else { "children" };
    format!("{} {noun}", whole(u64::from(count)))
}

/// Names in a row: `a`, `a and b`, `a, b and c`.
#[must_use]
pub(crate) fn listing(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
