//! What the line of `record` and the pages of a report say alike.

use crate::{
    correlate::ServerSide,
    findings::Group,
    wording::{listing, plural, whole},
};

/// `; 19 not answered`; nothing where all were.
pub(crate) fn not_answered(side: &ServerSide) -> String {
    match side.unanswered {
        0 => String::new(),
        count => format!("; {} not answered", whole(count)),
    }
}

/// `10 requests without a time (begun before the recording)`; `None` where the times of all are
/// known.
pub(crate) fn without_a_time(side: &ServerSide) -> Option<String> {
    let by_loss = side.touched.saturating_sub(side.begun_before);
    let why = match (side.begun_before, by_loss) {
        (0, 0) => return None,
        (_, 0) => "begun before the recording".to_owned(),
        (0, _) => "touched by a loss".to_owned(),
        (before, lost) => format!(
            "{} begun before the recording, {} touched by a loss",
            whole(before),
            whole(lost)
        ),
    };
    let requests = plural(side.touched, "request");
    Some(format!("{requests} without a time ({why})"))
}

/// The rules that found something, the strongest finding first: `accept queue full and slots
/// taken`; `None` if none did.
pub(crate) fn went_wrong<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Option<String> {
    let findings = groups.into_iter().flat_map(|group| &group.findings);
    let names: Vec<String> = findings
        .map(|finding| finding.rule.replace('-', " "))
        .collect();
    (!names.is_empty()).then(|| listing(&names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_why_requests_have_no_time() {
        let side = |touched, begun_before| ServerSide {
            touched,
            begun_before,
            ..ServerSide::default()
        };
        assert_eq!(without_a_time(&side(0, 0)), None);
        assert_eq!(
            without_a_time(&side(10, 10)).unwrap(),
            "10 requests without a time (begun before the recording)"
        );
        assert_eq!(
            without_a_time(&side(1, 0)).unwrap(),
            "1 request without a time (touched by a loss)"
        );
        assert_eq!(
            without_a_time(&side(5, 2)).unwrap(),
            "5 requests without a time (2 begun before the recording, 3 touched by a loss)"
        );
    }
}
