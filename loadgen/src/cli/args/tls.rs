//! TLS and HTTP/2.

use std::path::PathBuf;

use clap::Args;
use loadgen::Config;

/// How to speak to the server.
#[derive(Debug, Args)]
pub(super) struct TlsArgs {
    /// Speak HTTP/2: with https if the server offers it, with http from the first byte on
    #[arg(long)]
    http2: bool,

    /// Accept any certificate of the server
    #[arg(long)]
    insecure: bool,

    /// Trust the issuers whose certificates are in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
}

impl TlsArgs {
    pub(super) fn apply(&self, config: &mut Config) {
        config.http2 = self.http2;
        config.insecure = self.insecure;
        config.ca_file.clone_from(&self.cacert);
    }
}
