//! Resource limits of a process: setting them, and finding out beforehand whether they can be set.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::scenario::{Limit, Limits};

fn resource(limit: Limit) -> Result<Resource, String> {
    Ok(match limit.ulimit {
        'v' => Resource::As,
        'd' => Resource::Data,
        's' => Resource::Stack,
        'n' => Resource::Nofile,
        'u' => Resource::Nproc,
        other => {
            return Err(format!(
                "limits.{}: there is no `ulimit -{other}`",
                limit.key
            ));
        }
    })
}

fn both(limit: Limit) -> Rlimit {
    Rlimit {
        current: Some(limit.kernel_value),
        maximum: Some(limit.kernel_value),
    }
}

fn refused(limit: Limit, resource: Resource, error: Errno) -> String {
    // In the unit of the key, as the value is.
    let unit = (limit.kernel_value / limit.value.max(1)).max(1);
    let present = getrlimit(resource)
        .maximum
        .map_or_else(|| "no limit".to_owned(), |hard| (hard / unit).to_string());
    format!(
        "limits.{} cannot be set to {}: {error} (the present hard limit is {present}; only a \
         process with CAP_SYS_RESOURCE can raise it)",
        limit.key, limit.value
    )
}

/// Sets the soft and the hard limit of this process.
pub(super) fn set(limit: Limit) -> Result<(), String> {
    let resource = resource(limit)?;
    setrlimit(resource, both(limit)).map_err(|error| refused(limit, resource, error))
}

/// Tries the limits on a process that does nothing, so that it is known before any run whether the
/// kernel lets them be set. `program` has the hidden subcommand `__launch`.
///
/// # Errors
/// The first limit that is refused, with the present hard limit, in one line.
pub fn try_limits(limits: &Limits, program: &Path) -> Result<(), String> {
    if limits.iter().next().is_none() {
        return Ok(());
    }
    // It waits for a message that never comes.
    let mut stand_in = Command::new(program)
        .arg("__launch")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let pid = Pid::from_child(&stand_in);
    let tried = limits.iter().try_for_each(|limit| {
        let resource = resource(limit)?;
        prlimit(Some(pid), resource, both(limit))
            .map(|_| ())
            .map_err(|error| refused(limit, resource, error))
    });
    // Under the limits it may have ended by itself.
    let _ = stand_in.kill();
    let _ = stand_in.wait();
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(key: &str, value: u64) -> Limits {
        let mut limits = Limits::default();
        assert!(limits.set(key, Some(value)));
        limits
    }

    #[test]
    fn a_limit_that_can_be_set_is_tried_without_binding_this_process() {
        let before = getrlimit(Resource::Nofile);
        // Any program does that waits for its input.
        let cat = Path::new("/bin/cat");
        assert_eq!(try_limits(&limits("open_files", 24), cat), Ok(()));
        assert_eq!(try_limits(&limits("address_space_kb", 1), cat), Ok(()));
        assert_eq!(getrlimit(Resource::Nofile), before);
    }

    #[test]
    fn a_limit_above_what_any_process_may_have_is_refused_in_one_line() {
        // Beyond fs.nr_open not even root may go.
        let error = try_limits(&limits("open_files", 1 << 40), Path::new("/bin/cat")).unwrap_err();
        assert!(
            error.starts_with("limits.open_files cannot be set to 1099511627776: ")
                && error.contains("hard limit"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn the_present_limit_is_told_in_the_unit_of_the_key() {
        let limits = limits("stack_kb", 1 << 20);
        let limit = limits.iter().next().unwrap();
        let text = refused(limit, Resource::Stack, Errno::PERM);
        let hard = match getrlimit(Resource::Stack).maximum {
            Some(bytes) => (bytes / 1024).to_string(),
            None => "no limit".to_owned(),
        };
        assert!(
            text.contains(&format!("the present hard limit is {hard};")),
            "{text}"
        );
    }
}
