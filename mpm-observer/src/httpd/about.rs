//! What httpd says of itself: the outputs of `-v`, `-V` and `-l`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::scenario::Mpm;

/// The version out of `httpd -v`, such as `Apache/2.4.71 (Debian)`; `None` when another program
/// answers, such as busybox's httpd.
pub fn parse_version(output: &str) -> Option<String> {
    let line = output
        .lines()
        .find_map(|line| line.trim().strip_prefix("Server version:"))?;
    let version = line.trim();
    version.starts_with("Apache/").then(|| version.to_owned())
}

/// `HTTPD_ROOT` out of `httpd -V`: the directory that relative paths of the build start from.
pub fn parse_httpd_root(output: &str) -> Option<PathBuf> {
    let value = output
        .lines()
        .find_map(|line| line.trim().strip_prefix("-D HTTPD_ROOT="))?;
    let path = value.trim().trim_matches('"');
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// The modules out of `httpd -l`, by the names of their source files without the ending: `core`,
/// `mod_so`, and `prefork`, `worker` or `event` for an MPM that is compiled in.
pub fn parse_compiled_in(output: &str) -> BTreeSet<String> {
    output
        .lines()
        .filter_map(|line| line.trim().strip_suffix(".c"))
        .map(str::to_owned)
        .collect()
}

/// The MPM that is compiled in, if one is: then no other can be loaded.
pub fn compiled_in_mpm(modules: &BTreeSet<String>) -> Option<Mpm> {
    Mpm::ALL
        .into_iter()
        .find(|mpm| modules.contains(mpm.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "Server version: Apache/2.4.71 (Debian)\n\
        Server built:   2026-11-12T08:58:41\n\
        Server's Module Magic Number: 20120211:142\n\
        Architecture:   64-bit\n\
        Server MPM:     \n\
        Server compiled with....\n \
        -D APR_HAS_SENDFILE\n \
        -D HTTPD_ROOT=\"/etc/apache2\"\n \
        -D SUEXEC_BIN=\"/usr/lib/apache2/suexec\"\n";
    const FEDORA: &str = "Server version: Apache/2.4.62 (Fedora Linux)\n\
        Server MPM:     event\n  threaded:     yes (fixed thread count)\n \
        -D HTTPD_ROOT=\"/etc/httpd\"\n -D DEFAULT_ERRORLOG=\"logs/error_log\"\n";
    const ARCH: &str = "Server version: Apache/2.4.63 (Unix)\n -D HTTPD_ROOT=\"/etc/httpd\"\n";

    #[test]
    fn version_and_root_are_read_in_the_three_layouts() {
        for (output, version, root) in [
            (DEBIAN, "Apache/2.4.71 (Debian)", "/etc/apache2"),
            (FEDORA, "Apache/2.4.62 (Fedora Linux)", "/etc/httpd"),
            (ARCH, "Apache/2.4.63 (Unix)", "/etc/httpd"),
        ] {
            assert_eq!(parse_version(output).as_deref(), Some(version));
            assert_eq!(parse_httpd_root(output), Some(PathBuf::from(root)));
        }
    }

    #[test]
    fn another_program_s_answer_is_no_version() {
        for output in [
            "",
            "BusyBox v1.35.0 multi-call binary.",
            "Server version: nginx/1.22",
        ] {
            assert_eq!(parse_version(output), None, "{output}");
        }
        assert_eq!(parse_httpd_root(" -D HTTPD_ROOT=\"\"\n"), None);
    }

    #[test]
    fn a_compiled_in_mpm_is_found_among_the_modules() {
        let shared = parse_compiled_in(
            "Compiled in modules:\n  core.c\n  mod_so.c\n  http_core.c\n  mod_unixd.c\n",
        );
        assert_eq!(shared.len(), 4);
        assert!(shared.contains("mod_unixd"));
        assert_eq!(compiled_in_mpm(&shared), None);
        let with_mpm = parse_compiled_in("Compiled in modules:\n  core.c\n  event.c\n");
        assert_eq!(compiled_in_mpm(&with_mpm), Some(Mpm::Event));
    }
}
