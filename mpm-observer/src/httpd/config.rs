//! The text of httpd.conf for one run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::error_log;
use super::find::{Installation, ModuleSource, NEEDED_MODULES};
use super::user::ServerUser;
use crate::scenario::{Mpm, RunPlan, ServerPlan, StartAs};

/// The path that answers as soon as httpd serves.
pub const ALIVE_PATH: &str = "/alive.txt";
/// The path of mod_status's page.
pub const STATUS_PATH: &str = "/server-status";

/// The error log as an httpd opens it that an ordinary user starts: that user may not get into the
/// log's directory, but to the file that it was started with.
const STANDARD_ERROR: &str = "/proc/self/fd/2";

/// The files and directories of one httpd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The configuration itself.
    pub config: PathBuf,
    /// httpd's error log.
    pub error_log: PathBuf,
    /// What httpd prints to standard output and error.
    pub output: PathBuf,
    /// A directory for the files that httpd makes while it runs.
    pub server_dir: PathBuf,
    /// The directory that is served, readable for everybody.
    pub docroot: PathBuf,
}

/// The configuration for one run. Modules that are missing are left out: ask
/// [`Installation::require`] first. `user` is `None` when httpd is not started by root.
pub fn httpd_conf(
    plan: &RunPlan,
    installation: &Installation,
    port: u16,
    user: Option<&ServerUser>,
    paths: &Paths,
) -> String {
    let mut conf = Conf::default();
    conf.line(format_args!(
        "# {} with {}, {} size",
        plan.scenario, plan.mpm, plan.size
    ));
    conf.path("ServerRoot", &paths.server_dir);
    conf.path("DefaultRuntimeDir", &paths.server_dir);
    conf.path("PidFile", &paths.server_dir.join("httpd.pid"));
    conf.line("ServerName 127.0.0.1");
    conf.line(format_args!("Listen 127.0.0.1:{port}"));
    conf.line(format_args!("ListenBacklog {}", plan.server.listen_backlog));

    conf.line("");
    load_module(
        &mut conf,
        plan.mpm.module_name(),
        &installation.mpm(plan.mpm),
    );
    for name in NEEDED_MODULES {
        load_module(
            &mut conf,
            &format!("{name}_module"),
            &installation.module(name),
        );
    }

    conf.line("");
    match user {
        Some(_) if plan.server.start_as == StartAs::User => {
            conf.path("ErrorLog", Path::new(STANDARD_ERROR));
        }
        _ => conf.path("ErrorLog", &paths.error_log),
    }
    if let Some(user) = user.filter(|_| plan.server.start_as == StartAs::Root) {
        conf.line(format_args!("User {}", user.name));
        conf.line(format_args!("Group {}", user.group));
    }
    conf.line(format_args!("ErrorLogFormat \"{}\"", error_log::FORMAT));
    // At this level an MPM tells that it runs short of slots; nothing is logged per request.
    conf.line(format_args!(
        "LogLevel notice {}:info",
        plan.mpm.module_name()
    ));

    conf.line("");
    server(&mut conf, &plan.server);
    mpm(&mut conf, plan.mpm, &plan.server);

    conf.line("");
    conf.line("HostnameLookups Off");
    conf.line("TraceEnable Off");
    conf.path("DocumentRoot", &paths.docroot);
    conf.line("<Directory \"/\">");
    conf.line("    AllowOverride None");
    // Without this httpd looks at every directory of a path for each request.
    conf.line("    Options FollowSymLinks");
    conf.line("    Require all denied");
    conf.line("</Directory>");
    conf.line(format_args!("<Directory {}>", quote(&paths.docroot)));
    conf.line("    Require all granted");
    conf.line("</Directory>");
    conf.line("ExtendedStatus On");
    conf.line(format_args!("<Location \"{STATUS_PATH}\">"));
    conf.line("    SetHandler server-status");
    conf.line("    Require all granted");
    conf.line("</Location>");

    if !plan.server.extra_directives.is_empty() {
        conf.line("");
        conf.line("# From the scenario");
        for line in &plan.server.extra_directives {
            conf.line(line);
        }
    }
    conf.text
}

fn load_module(conf: &mut Conf, module: &str, source: &ModuleSource) {
    if let ModuleSource::File(file) = source {
        conf.line(format_args!("LoadModule {module} {}", quote(file)));
    }
}

fn server(conf: &mut Conf, plan: &ServerPlan) {
    conf.line("KeepAlive On");
    conf.line("MaxKeepAliveRequests 0");
    conf.line(format_args!(
        "KeepAliveTimeout {}",
        plan.keep_alive_timeout_s
    ));
    conf.line(format_args!("Timeout {}", plan.timeout_s));
    conf.line(format_args!("EnableMMAP {}", on_off(plan.mmap)));
    conf.line(format_args!("EnableSendfile {}", on_off(plan.sendfile)));
}

fn mpm(conf: &mut Conf, mpm: Mpm, plan: &ServerPlan) {
    conf.line(format_args!("ServerLimit {}", plan.server_limit));
    if mpm.is_threaded() {
        conf.line(format_args!("ThreadLimit {}", plan.threads_per_child));
        conf.line(format_args!("ThreadsPerChild {}", plan.threads_per_child));
    }
    conf.line(format_args!("StartServers {}", plan.start_servers));
    let spare = if mpm.is_threaded() {
        "Threads"
    } else {
        "Servers"
    };
    conf.line(format_args!("MinSpare{spare} {}", plan.min_spare));
    conf.line(format_args!("MaxSpare{spare} {}", plan.max_spare));
    conf.line(format_args!(
        "MaxRequestWorkers {}",
        plan.max_request_workers
    ));
    conf.line("MaxConnectionsPerChild 0");
}

fn on_off(on: bool) -> &'static str {
    if on { "On" } else { "Off" }
}

/// A path as an argument: httpd unescapes backslash and quote inside quotes.
fn quote(path: &Path) -> String {
    let text = path
        .display()
        .to_string()
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("\"{text}\"")
}

#[derive(Default)]
struct Conf {
    text: String,
}

impl Conf {
    fn line(&mut self, line: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn path(&mut self, directive: &str, path: &Path) {
        self.line(format_args!("{directive} {}", quote(path)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenario::{Scenario, Size, builtin};

    fn installation(compiled_in: &[&str]) -> Installation {
        let files = [
            "mpm_prefork",
            "mpm_worker",
            "mpm_event",
            "unixd",
            "authz_core",
            "status",
        ];
        Installation {
            binary: "/usr/sbin/apache2".into(),
            version: "Apache/2.4.71 (Debian)".to_owned(),
            httpd_root: None,
            compiled_in: compiled_in.iter().map(|name| (*name).to_owned()).collect(),
            modules_dir: "/modules".into(),
            module_files: files
                .iter()
                .map(|name| format!("mod_{name}.so"))
                .collect::<BTreeSet<_>>(),
        }
    }

    fn paths() -> Paths {
        Paths {
            config: "/run dir/httpd.conf".into(),
            error_log: "/run dir/error.log".into(),
            output: "/run dir/httpd.out".into(),
            server_dir: "/srv/1".into(),
            docroot: "/srv/doc\"root".into(),
        }
    }

    fn scenario(name: &str) -> Scenario {
        builtin()
            .into_iter()
            .find(|scenario| scenario.name == name)
            .unwrap()
    }

    fn lines(text: &str) -> Vec<&str> {
        text.lines().map(str::trim).collect()
    }

    #[test]
    fn a_warm_prefork_starts_every_slot() {
        let plan = scenario("high-load").plan(Mpm::Prefork, Size::Full);
        let text = httpd_conf(&plan, &installation(&[]), 8080, None, &paths());
        let lines = lines(&text);
        for line in [
            "Listen 127.0.0.1:8080",
            "LoadModule mpm_prefork_module \"/modules/mod_mpm_prefork.so\"",
            "ServerLimit 150",
            "StartServers 150",
            "MinSpareServers 1",
            "MaxSpareServers 151",
            "MaxRequestWorkers 150",
            "MaxKeepAliveRequests 0",
            "ErrorLog \"/run dir/error.log\"",
            "DocumentRoot \"/srv/doc\\\"root\"",
        ] {
            assert!(lines.contains(&line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("ThreadsPerChild"), "{text}");
        assert!(!text.contains("\nUser "), "{text}");
    }

    #[test]
    fn a_threaded_mpm_divides_its_slots_over_processes() {
        let plan = scenario("overload-equal").plan(Mpm::Event, Size::Quick);
        let user = ServerUser {
            name: "nobody".to_owned(),
            uid: 65_534,
            group: "nogroup".to_owned(),
            gid: 65_534,
        };
        let text = httpd_conf(&plan, &installation(&[]), 1, Some(&user), &paths());
        let lines = lines(&text);
        for line in [
            "ServerLimit 4",
            "ThreadsPerChild 25",
            "StartServers 4",
            "MaxSpareThreads 125",
            "MaxRequestWorkers 100",
            "User nobody",
            "Group nogroup",
        ] {
            assert!(lines.contains(&line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn an_httpd_of_an_ordinary_user_changes_none_and_logs_where_it_may() {
        let mut plan = scenario("high-load").plan(Mpm::Event, Size::Full);
        plan.server.start_as = StartAs::User;
        let user = ServerUser {
            name: "nobody".to_owned(),
            uid: 65_534,
            group: "nogroup".to_owned(),
            gid: 65_534,
        };
        let text = httpd_conf(&plan, &installation(&[]), 1, Some(&user), &paths());
        assert!(
            !text.contains("User nobody") && !text.contains("Group "),
            "{text}"
        );
        assert!(text.contains("ErrorLog \"/proc/self/fd/2\"\n"), "{text}");
    }

    #[test]
    fn what_is_compiled_in_is_not_loaded() {
        let plan = scenario("high-load").plan(Mpm::Event, Size::Full);
        let text = httpd_conf(
            &plan,
            &installation(&["event", "mod_unixd"]),
            1,
            None,
            &paths(),
        );
        let loaded: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("LoadModule "))
            .collect();
        assert_eq!(
            loaded,
            [
                "authz_core_module \"/modules/mod_authz_core.so\"",
                "status_module \"/modules/mod_status.so\"",
            ]
        );
    }

    #[test]
    fn the_scenario_s_own_lines_come_last() {
        let mut plan = scenario("high-load").plan(Mpm::Event, Size::Full);
        plan.server.extra_directives = vec!["FileETag None".to_owned()];
        plan.server.sendfile = true;
        let text = httpd_conf(&plan, &installation(&[]), 1, None, &paths());
        assert_eq!(text.lines().last(), Some("FileETag None"));
        assert!(text.contains("EnableSendfile On\n"), "{text}");
    }
}
