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
