//! The flags of ab.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use loadgen::report::{HtmlAttributes, Layout};
use loadgen::{AbRules, Config, Error, Target};

use super::units::time;

/// Flags with ab's letters and ab's meaning.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of ab")]
pub(in crate::cli) struct AbArgs {
    /// Number of requests; without -n and -t, one
    #[arg(short = 'n', long, value_name = "REQUESTS")]
    pub(super) requests: Option<u64>,

    /// Requests at once, which is connections at once; without -c, one
    #[arg(short = 'c', long, value_name = "CONCURRENCY")]
    pub(super) concurrency: Option<u32>,

    /// End after this time, or after -n requests if that is earlier: 10, 10s, 500ms, 2m. Unlike
    /// ab's, it sets no number of requests; -d is ab's and no short form of it
    #[arg(short = 't', long, value_name = "TIME", value_parser = time)]
    pub(super) duration: Option<Duration>,

    /// Longest time for a request, connecting included; unlike ab's, it never ends the run
    #[arg(short = 's', long, value_name = "TIME", default_value = "30", value_parser = time)]
    timeout: Duration,

    /// Size of the kernel's send and receive buffer of each connection
    #[arg(short = 'b', value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    buffer: Option<u32>,

    /// POST the content of this file (with -m, by another method)
    #[arg(short = 'p', value_name = "FILE", conflicts_with_all = ["head", "put_file"])]
    post_file: Option<PathBuf>,

    /// PUT the content of this file
    #[arg(short = 'u', value_name = "FILE", conflicts_with = "head")]
    put_file: Option<PathBuf>,

    /// Content-Type of the body
    #[arg(short = 'T', value_name = "TYPE", default_value = "text/plain")]
    content_type: String,

    /// How much is told of each request: 1 errors, 2 the request sent and statuses other than
    /// 2xx, 3 or more all statuses. Heads and bodies of answers are not kept, so not printed
    #[arg(
        short = 'v',
        value_name = "LEVEL",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(in crate::cli) verbosity: u8,

    /// Print the figures as an HTML table
    #[arg(short = 'w')]
    html: bool,

    /// Send HEAD requests
    #[arg(short = 'i')]
    head: bool,

    /// Attributes of <table>; sets -w
    #[arg(short = 'x', value_name = "ATTRIBUTES", allow_hyphen_values = true)]
    table: Option<String>,

    /// Attributes of <tr>; sets -w
    #[arg(short = 'y', value_name = "ATTRIBUTES", allow_hyphen_values = true)]
    row: Option<String>,

    /// Attributes of <td> and <th>; sets -w
    #[arg(short = 'z', value_name = "ATTRIBUTES", allow_hyphen_values = true)]
    cell: Option<String>,

    /// A cookie, "name=value"; may be repeated
    #[arg(short = 'C', value_name = "COOKIE")]
    cookies: Vec<String>,

    /// A further header, "Name: value"; may be repeated. Host, User-Agent, Accept and Connection
    /// replace the usual ones
    #[arg(short = 'H', value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,

    /// Basic authentication, "user:password"
    #[arg(short = 'A', value_name = "USER:PASSWORD")]
    credentials: Option<String>,

    /// Basic authentication at the proxy, "user:password"
    #[arg(short = 'P', value_name = "USER:PASSWORD")]
    proxy_credentials: Option<String>,

    /// Ask this proxy instead of the server
    #[arg(short = 'X', value_name = "PROXY:PORT", conflicts_with = "unix_socket")]
    proxy: Option<String>,

    /// Use keep-alive connections; without it, every request has a connection of its own
    #[arg(short = 'k', long)]
    pub(super) keep_alive: bool,

    /// No table of percentiles
    #[arg(short = 'd')]
    no_percentiles: bool,

    /// No standard deviation and median. (ab's warnings about them are never printed, they come
    /// from its rounding; those about the client itself stay)
    #[arg(short = 'S')]
    no_deviations: bool,

    /// No progress
    #[arg(short = 'q')]
    pub(in crate::cli) quiet: bool,

    /// Accept answers of varying length. They are never failures here: only --ab-counts heeds it
    #[arg(short = 'l')]
    length_may_vary: bool,

    /// Write times of each request to this file for gnuplot; takes 32 bytes of memory a request
    #[arg(short = 'g', value_name = "FILE")]
    pub(in crate::cli) gnuplot: Option<PathBuf>,

    /// Write the time for each percent of the requests to this CSV file
    #[arg(short = 'e', value_name = "FILE")]
    pub(in crate::cli) csv: Option<PathBuf>,

    /// Go on after errors of receiving. Errors never end the run here: only --ab-counts heeds it
    #[arg(short = 'r')]
    goes_on_after_errors: bool,

    /// Request method
    #[arg(short = 'm', value_name = "METHOD", conflicts_with = "head")]
    method: Option<String>,

    /// https: no server name in the handshake; not supported
    #[arg(short = 'I')]
    no_sni: bool,

    /// https: cipher suites; not supported, the TLS library's own are used
    #[arg(short = 'Z', value_name = "CIPHERS")]
    ciphers: Option<String>,

    /// https: protocol; only ALL is supported, which is TLS 1.2 and 1.3
    #[arg(short = 'f', value_name = "PROTOCOL")]
    protocol: Option<String>,

    /// https: show the certificate in this PEM file, which has its chain and its key, too
    #[arg(short = 'E', value_name = "FILE")]
    certificate: Option<PathBuf>,

    /// Print what ab would have counted beside the true counts, and why they differ
    #[arg(long)]
    ab_counts: bool,
}

impl AbArgs {
    /// Fills in all but the size of the load.
    pub(super) fn apply(&self, config: &mut Config) -> anyhow::Result<()> {
        config.keep_alive = self.keep_alive;
        config.timeout = self.timeout;
        config.socket_buffer_bytes = self.buffer;
        self.check_tls(config)?;
        config.client_certificate.clone_from(&self.certificate);
        if let Some(proxy) = &self.proxy {
            let proxy = Target::parse(&format!("http://{proxy}/"))?;
            config.proxy = Some(proxy.addr);
        }
        self.add_headers(config);
        let body = self.post_file.as_ref().map(|file| (file, "POST"));
        if let Some((path, method)) = body.or(self.put_file.as_ref().map(|file| (file, "PUT"))) {
            config.body = std::fs::read(path)
                .with_context(|| format!("cannot read the body from {}", path.display()))?;
            config.method = method.to_owned();
            let name = "Content-Type";
            if !self
                .headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
            {
                let header = (name.to_owned(), self.content_type.clone());
                config.headers.push(header);
            }
        }
        if self.head {
            config.method = "HEAD".to_owned();
        }
        if let Some(method) = &self.method {
            config.method.clone_from(method);
        }
        Ok(())
    }

    /// Whether the hosts of the URLs need no address, as only the proxy is connected to.
    pub(super) fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    /// What the text contains.
    pub(in crate::cli) fn layout(&self) -> Layout {
        Layout {
            percentiles: !self.no_percentiles,
            deviations: !self.no_deviations,
        }
    }

    /// The attributes of the HTML table, if it is to be one.
    pub(in crate::cli) fn html(&self) -> Option<HtmlAttributes> {
        let given = [&self.table, &self.row, &self.cell];
        (self.html || given.iter().any(|text| text.is_some())).then(|| {
            let usual = HtmlAttributes::default();
            let or = |given: &Option<String>, usual| given.clone().unwrap_or(usual);
            HtmlAttributes {
                table: or(&self.table, usual.table),
                row: or(&self.row, usual.row),
                cell: or(&self.cell, usual.cell),
            }
        })
    }

    /// How ab would have counted, if that is asked for.
    pub(in crate::cli) fn rules(&self, config: &Config) -> Option<AbRules> {
        self.ab_counts.then_some(AbRules {
            requests: config.requests,
            keep_alive: self.keep_alive,
            goes_on_after_errors: self.goes_on_after_errors,
            length_may_vary: self.length_may_vary,
        })
    }

    fn add_headers(&self, config: &mut Config) {
        let mut add = |name: &str, value: String| config.headers.push((name.to_owned(), value));
        if !self.cookies.is_empty() {
            // One header with all of them: RFC 6265, section 5.4.
            add("Cookie", self.cookies.join("; "));
        }
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text.trim_start()));
        if let Some(credentials) = &self.credentials {
            add("Authorization", basic(credentials));
        }
        if let Some(credentials) = &self.proxy_credentials {
            add("Proxy-Authorization", basic(credentials));
        }
        config.headers.extend_from_slice(&self.headers);
    }

    /// Without https these flags do nothing, as with ab.
    fn check_tls(&self, config: &Config) -> Result<(), Error> {
        let is_all = |name: &String| name.eq_ignore_ascii_case("ALL");
        let refused = [
            ("-I", self.no_sni, "the server name is always sent"),
            (
                "-Z",
                self.ciphers.is_some(),
                "the TLS library's own cipher suites are used",
            ),
            (
                "-f",
                self.protocol.as_ref().is_some_and(|name| !is_all(name)),
                "TLS 1.2 and 1.3 are both offered, which is -f ALL",
            ),
        ];
        match refused.iter().find(|(_, is_given, _)| *is_given) {
            Some((flag, _, why)) if config.target().tls => {
                Err(Error::BadConfig(format!("{flag} cannot be had: {why}")))
            }
            _ => Ok(()),
        }
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("must look like \"Name: value\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests;
