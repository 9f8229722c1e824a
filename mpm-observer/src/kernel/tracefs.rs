//! tracefs: the classic tracepoints' numbers and record layouts.

use std::{io, path::Path};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::KernelError;

/// Where tracefs is mounted.
pub const TRACEFS: &str = "/sys/kernel/tracing";

fn is_mounted() -> bool {
    Path::new(TRACEFS).join("events").is_dir()
}

/// Makes sure that tracefs can be read. Where it is not mounted, it is mounted for this process
/// and its children alone, in a mount namespace of their own, so that nothing stays behind.
/// Call it before any thread is started: threads do not share the new namespace.
///
/// # Errors
/// [`KernelError::NoTracefs`] if it can be neither found nor mounted.
pub fn provide_tracefs() -> Result<(), KernelError> {
    if is_mounted() {
        return Ok(());
    }
    let none: Option<&str> = None;
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .and_then(|()| {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some("tracefs"), TRACEFS, Some("tracefs"), flags, none)
        });
    match mounted {
        Ok(()) if is_mounted() => Ok(()),
        Ok(()) => Err(KernelError::NoTracefs(io::ErrorKind::NotFound.into())),
        Err(errno) => Err(KernelError::NoTracefs(errno.into())),
    }
}

/// Offset of a field in a classic tracepoint's record, in bytes.
pub(super) fn field_offset(
    category: &str,
    name: &str,
    field: &'static str,
) -> Result<u32, KernelError> {
    let path = format!("{TRACEFS}/events/{category}/{name}/format");
    let text =
        std::fs::read_to_string(&path).map_err(|source| KernelError::File { path, source })?;
    parse_offset(&text, field).ok_or_else(|| KernelError::NoTracepointField {
        name: format!("{category}:{name}"),
        field,
    })
}

fn parse_offset(format: &str, field: &str) -> Option<u32> {
    format.lines().find_map(|line| {
        let mut parts = line.trim().split(';').map(str::trim);
        let declaration = parts.next()?.strip_prefix("field:")?;
        if declaration.split_whitespace().last()? != field {
            return None;
        }
        parts.find_map(|part| part.strip_prefix("offset:")?.parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "name: sys_exit_accept4\nID: 2233\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \n\
        \tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n\
        \tfield:long ret;\toffset:16;\tsize:8;\tsigned:1;\n\
        \nprint fmt: \"0x%lx\", REC->ret\n";

    #[test]
    fn a_fields_offset_is_read_from_the_format_file() {
        assert_eq!(parse_offset(FORMAT, "ret"), Some(16));
        assert_eq!(parse_offset(FORMAT, "__syscall_nr"), Some(8));
    }

    #[test]
    fn a_field_that_is_not_there_is_not_guessed() {
        assert_eq!(parse_offset(FORMAT, "et"), None);
        assert_eq!(parse_offset("", "ret"), None);
        assert_eq!(parse_offset("field:long ret;\tsize:8;", "ret"), None);
    }
}
