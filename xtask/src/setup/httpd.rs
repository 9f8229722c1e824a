//! The web server that is watched.

use std::path::PathBuf;

use super::host::{Family, Host};
use super::search;

/// Debian's and everybody else's name of the server.
const NAMES: [&str; 2] = ["apache2", "httpd"];

/// The server's binary.
pub fn find() -> Option<PathBuf> {
    NAMES.into_iter().flat_map(search::programs).next()
}

/// Whether modules can be built for it.
pub fn has_headers() -> bool {
    let mut helpers = ["apxs", "apxs2"].into_iter().flat_map(search::programs);
    helpers.next().is_some()
}

/// One line that says how to get what builds modules.
pub fn how_to_get_headers(host: &Host) -> String {
    let sudo = host.sudo();
    let command = match host.family {
        Family::Debian => format!("{sudo}apt-get install --no-install-recommends apache2-dev"),
        Family::Fedora => format!("{sudo}dnf install httpd-devel"),
        Family::Arch => format!("{sudo}pacman -S apache"),
        Family::Other => "install apxs and the headers of Apache httpd 2.4".to_owned(),
    };
    format!("apxs, with which the tests build a module for httpd: {command}")
}

/// One line that says how to get it.
pub fn how_to_get(host: &Host) -> String {
    let sudo = host.sudo();
    let command = match host.family {
        Family::Debian => {
            format!("{sudo}apt-get install --no-install-recommends apache2-bin")
        }
        Family::Fedora => format!("{sudo}dnf install httpd"),
        Family::Arch => format!("{sudo}pacman -S apache"),
        Family::Other => "install Apache httpd 2.4 with the system's package manager".to_owned(),
    };
    format!("Apache httpd, the server to watch: {command}")
}
