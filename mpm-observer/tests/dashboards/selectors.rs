//! The selectors of an expression: what must be there for it to say anything.

/// Begins of the names of metrics that are ours to know.
const PREFIXES: [&str; 5] = ["httpd_", "apache_", "mpm_observer_", "process_", "up"];

/// Every selector in an expression: a metric's name and the matchers behind it, without a range.
pub fn selectors(expression: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(begin) = rest.find(is_name) {
        let tail = &rest[begin..];
        let length = tail.find(|c| !is_name(c)).unwrap_or(tail.len());
        let (name, after) = tail.split_at(length);
        let is_metric = PREFIXES
            .iter()
            .any(|prefix| name == *prefix || (prefix.ends_with('_') && name.starts_with(prefix)));
        let matchers = after.strip_prefix('{').and_then(|inside| {
            let end = end_of_matchers(inside)?;
            Some(&after[..=end + 1])
        });
        rest = &after[matchers.map_or(0, str::len)..];
        if is_metric {
            found.push(format!("{name}{}", matchers.unwrap_or_default()));
        }
    }
    found
}

/// Where the brace closes; those in a quoted value do not count.
fn end_of_matchers(inside: &str) -> Option<usize> {
    let mut quoted = false;
    inside.char_indices().find_map(|(index, c)| {
        quoted ^= c == '"';
        (c == '}' && !quoted).then_some(index)
    })
}

#[test]
fn selectors_are_found_with_their_matchers_and_without_ranges() {
    assert_eq!(
        selectors(
            r#"sum by (job) (rate(httpd_a_total{b="}", c!="d"}[5m])) / up{job="x"} > 0 or up"#
        ),
        [r#"httpd_a_total{b="}", c!="d"}"#, r#"up{job="x"}"#, "up"]
    );
    assert_eq!(
        selectors("time() - process_start_time_seconds < 300"),
        ["process_start_time_seconds"]
    );
    assert!(selectors("sum by (httpdx) (rate(x[5m]))").is_empty());
}
