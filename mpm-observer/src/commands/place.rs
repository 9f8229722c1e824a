//! The options that say where runs are made.

use std::path::PathBuf;

use clap::Args;

use crate::lab::PlaceOptions;

/// httpd, its user, and CPUs.
#[derive(Clone, Debug, Args)]
pub(super) struct PlaceArguments {
    /// The httpd to run [default: the one installed]
    #[arg(long, value_name = "PATH")]
    httpd: Option<PathBuf>,
    /// The user that httpd's children and the load generator run as [default: nobody]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// CPUs of httpd, as 0,2 [default: the first half]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    server_cpus: Option<Vec<usize>>,
    /// CPUs of the load generator and the observer [default: the second half]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    client_cpus: Option<Vec<usize>>,
}

impl From<PlaceArguments> for PlaceOptions {
    fn from(arguments: PlaceArguments) -> Self {
        Self {
            httpd: arguments.httpd,
            user: arguments.user,
            server_cpus: arguments.server_cpus,
            client_cpus: arguments.client_cpus,
        }
    }
}
