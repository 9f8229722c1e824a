//! What the tests with real programs share.

use std::io::Write;

/// Whether a test can run that needs `what`. If not, the test says so and is to return at once;
/// with `MPM_OBSERVER_REQUIRE_ALL=1`, as in continuous integration, it fails.
pub fn have(what: &str, present: bool) -> bool {
    if !present {
        let required = std::env::var_os("MPM_OBSERVER_REQUIRE_ALL").is_some_and(|v| v == "1");
        assert!(
            !required,
            "this test needs {what}, and MPM_OBSERVER_REQUIRE_ALL is set"
        );
        // Not println!, which is shown only for tests that fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is missing");
    }
    present
}
