//! `mpm-observer serve`

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use loadgen::Trust;

use super::{
    exit::{CommandResult, Exit, failed, of_live},
    otlp::OtlpArguments,
    target::TargetArguments,
};
use crate::{
    kernel::{Counters, Kernel, Options, Ports, Record, count_run_time},
    lab::Interrupt,
    live::{Consumer, Effort, LiveError, Look, Server, Target, follow, none_fits},
    otlp::{Otlp, OtlpError},
    privileges::{self, FOR_OTHER_NETWORKS},
    serve::{
        Feeder, ServeError, ServeOptions, Service, StatusSource, StatusUrl, WebConfigError, listen,
    },
};

/// Options of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    target: TargetArguments,
    /// Where the metrics are served, at /metrics
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9117")]
    listen: SocketAddr,
    /// A web configuration file as other exporters of Prometheus have it: TLS, passwords, headers
    #[arg(long = "web.config.file", value_name = "PATH")]
    web_config: Option<PathBuf>,
    /// Where mod_status is asked [default: /server-status?auto of the server itself]
    #[arg(long, value_name = "URL")]
    status_url: Option<StatusUrl>,
    /// Ask an https --status-url whatever certificate it shows
    #[arg(long, requires = "status_url")]
    insecure: bool,
    /// Trust the issuers in this PEM file instead of the system's, for an https --status-url
    #[arg(
        long,
        value_name = "FILE",
        requires = "status_url",
        conflicts_with = "insecure"
    )]
    cacert: Option<PathBuf>,
    /// Do not ask mod_status
    #[arg(long, conflicts_with = "status_url")]
    no_status: bool,
    /// Let the kernel count the runs and the time of all eBPF programs of this machine, which
    /// costs each run two looks at the clock
    #[arg(long)]
    count_runs: bool,
    /// Keep all privileges: without, mod_status of a server in another network namespace, which
    /// starts later and is not named with --container, cannot be asked
    #[arg(long)]
    keep_privileges: bool,
    #[command(flatten)]
    otlp: OtlpArguments,
}

/// Runs it.
pub(super) fn run(arguments: ServeArguments) -> CommandResult {
    let of_service = |error: ServeError| (exit_of(&error), error.to_string());
    // What takes more than watching does comes first, and threads after the dropping.
    let found = arguments.target.find();
    let names_a_place = arguments.target.names_a_place();
    let listener = listen(arguments.listen).map_err(of_service)?;
    let _counting = if arguments.count_runs {
        Some(count_run_time().map_err(|error| failed(true, &error))?)
    } else {
        None
    };
    if !arguments.keep_privileges {
        let is_elsewhere = is_elsewhere(&arguments.target.target(), &found);
        privileges::drop_others(is_elsewhere.then_some(FOR_OTHER_NETWORKS))
            .map_err(|error| failed(false, &error))?;
    }
    let interrupt = Interrupt::on_signals()
        .map_err(|error| (Exit::Failed, format!("signals cannot be caught: {error}")))?;
    let status = match (arguments.status_url, arguments.no_status) {
        (_, true) => StatusSource::Never,
        (Some(url), false) => {
            StatusSource::Url(url, Trust::by_options(arguments.insecure, arguments.cacert))
        }
        (None, false) => StatusSource::Server,
    };
    let options = ServeOptions {
        listen: arguments.listen,
        web_config: arguments.web_config,
        status,
        ports: arguments.target.asked_ports(),
    };
    let service = Service::start_on(listener, options).map_err(of_service)?;
    let kernel = Kernel::read().map_err(|error| failed(true, &error))?;
    match &found {
        Ok(Some((server, _))) => arguments.target.warn_of_others(server),
        // A process that is not there does not come.
        Ok(None) if !names_a_place => {
            return Err(of_live(&none_fits(&arguments.target.target())));
        }
        // It is found again soon, and what is wrong is told then.
        _ => {}
    }
    let otlp = arguments
        .otlp
        .start(service.address())
        .map_err(|error| (exit_of_otlp(&error), error.to_string()))?;
    if let Some(otlp) = &otlp {
        service.spans(Arc::clone(otlp.counts()));
    }
    eprintln!("serving {}", service.url());
    if let Some(warning) = service.warning() {
        eprintln!("warning: {warning}");
    }
    let target = arguments.target;
    let mut consumer = Telling {
        feeder: service.feeder(),
        otlp,
        target: target.target(),
        watched: None,
        has_told: false,
    };
    let followed = follow(
        &kernel,
        || target.find(),
        Options::for_port,
        &mut consumer,
        interrupt.flag(),
    );
    if let Some(otlp) = consumer.otlp {
        otlp.finish();
    }
    followed.map_err(|error| of_live(&error))?;
    Ok(Exit::Done)
}

/// Whether the server has a network namespace of its own. One that is not there yet is taken to
/// share this process's, unless it is named as a container.
fn is_elsewhere(target: &Target, found: &Result<Option<(Server, Ports)>, LiveError>) -> bool {
    matches!(target, Target::Container(_))
        || matches!(found, Ok(Some((server, _))) if !server.is_in_our_network())
}

/// Wrong usage is what stays wrong: the unit does not start this again then. A file may come, and
/// a certificate be written to its end.
const fn exit_of(error: &ServeError) -> Exit {
    match error {
        ServeError::WebConfig(WebConfigError::Content { .. }) | ServeError::StatusName(_) => {
            Exit::Usage
        }
        ServeError::Listen { .. } | ServeError::WebConfig(_) | ServeError::StatusTls(_) => {
            Exit::Missing
        }
        ServeError::System { .. } => Exit::Failed,
    }
}

const fn exit_of_otlp(error: &OtlpError) -> Exit {
    match error {
        OtlpError::Endpoint(_) | OtlpError::Exporter(_) => Exit::Usage,
        OtlpError::System(_) => Exit::Failed,
    }
}

/// Tells which server is watched, a line for each, and passes all on.
struct Telling {
    feeder: Feeder,
    otlp: Option<Otlp>,
    target: Target,
    /// The first process of the server that is watched, or was.
    watched: Option<u32>,
    has_told: bool,
}

/// What is said when the probes are attached. `watched`: the server before, by its first process.
fn watching(watched: Option<u32>, server: &Server) -> String {
    let Server { process, mpm, .. } = server;
    let line = format!("watching httpd (pid {}, {mpm})", process.pid);
    match watched == Some(process.pid) {
        true => format!(
            "{line} anew, as it listens on {} now",
            server.ports().in_words()
        ),
        false => line,
    }
}

/// What is said while nothing that is meant runs.
fn waiting(watched: Option<u32>, target: &Target) -> String {
    match (watched, target) {
        (Some(pid), Target::Pid(_)) => format!(
            "httpd (pid {pid}) has ended, and --pid names no other: start this again without it \
             to watch the next one"
        ),
        (_, Target::Only) => "no httpd runs; waiting for one".into(),
        // Others may run.
        _ => format!("{}; waiting for one", none_fits(target)),
    }
}

impl Consumer for Telling {
    fn begin(&mut self, server: &Server) {
        let pid = server.process.pid;
        eprintln!("{}", watching(self.watched, server));
        self.watched = Some(pid);
        self.feeder.begin(server);
        if let Some(otlp) = &mut self.otlp {
            otlp.begin(server);
        }
    }

    fn record(&mut self, record: &Record) {
        let is_of_server = self.feeder.count(record);
        if let Some(otlp) = self.otlp.as_mut().filter(|_| is_of_server) {
            otlp.record(record);
        }
    }

    fn look(&mut self, look: &Look) {
        self.feeder.look(look);
        if let Some(otlp) = &mut self.otlp {
            otlp.look(look);
        }
    }

    fn last(&mut self, counters: &Counters, effort: &Effort) {
        self.feeder.last(counters, effort);
        if let Some(otlp) = &mut self.otlp {
            otlp.last(counters, effort);
        }
    }

    fn end(&mut self) {
        self.feeder.end();
        if let Some(otlp) = &mut self.otlp {
            otlp.end();
        }
        self.has_told = false;
    }

    fn waiting(&mut self) {
        if !self.has_told {
            eprintln!("{}", waiting(self.watched, &self.target));
            self.has_told = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{httpd::ProcessId, scenario::Mpm};

    #[test]
    fn only_where_another_may_come_is_it_waited_for() {
        let next = "no httpd runs; waiting for one";
        assert_eq!(waiting(None, &Target::Only), next);
        assert_eq!(waiting(Some(7), &Target::Only), next);
        let of_unit = waiting(Some(7), &Target::Unit("nosuch".into()));
        // Which others run on this machine is another matter.
        assert!(
            of_unit.starts_with("no httpd runs in the unit nosuch")
                && of_unit.ends_with("; waiting for one"),
            "{of_unit}"
        );
        let told = waiting(Some(7), &Target::Pid(7));
        assert!(told.starts_with("httpd (pid 7) has ended"), "{told}");
        assert!(told.contains("without it") && !told.contains("waiting"));
    }

    #[test]
    fn a_server_that_is_watched_anew_is_told_with_its_ports() {
        let server = Server {
            process: ProcessId {
                pid: 7,
                start_ticks: 1,
            },
            binary: PathBuf::new(),
            mpm: Mpm::Event,
            listens: [80, 8443]
                .map(|port| SocketAddr::from(([0, 0, 0, 0], port)))
                .to_vec(),
        };
        let first = "watching httpd (pid 7, event)";
        assert_eq!(watching(None, &server), first);
        assert_eq!(watching(Some(6), &server), first);
        assert_eq!(
            watching(Some(7), &server),
            "watching httpd (pid 7, event) anew, as it listens on ports 80 8443 now"
        );
    }
}
