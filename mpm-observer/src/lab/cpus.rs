//! Which CPUs are httpd's and which are the client's and the observer's.

use std::io;

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use super::LabError;

/// Two sets of CPUs, apart wherever there are two CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSplit {
    /// httpd's.
    pub server: Vec<usize>,
    /// The load generator's and the observer's.
    pub client: Vec<usize>,
}

impl CpuSplit {
    /// Splits the CPUs that may be used into halves; a single CPU is shared. Sets that the user
    /// named are taken as they are.
    ///
    /// # Errors
    /// When a named CPU is not among those that may be used.
    pub fn choose(
        allowed: &[usize],
        server: Option<Vec<usize>>,
        client: Option<Vec<usize>>,
    ) -> Result<Self, LabError> {
        for cpu in server.iter().chain(&client).flatten() {
            if !allowed.contains(cpu) {
                return Err(LabError::Cpus(format!(
                    "CPU {cpu} cannot be used here; these can: {allowed:?}"
                )));
            }
        }
        let half = allowed.len().div_ceil(2);
        let without = |taken: &[usize]| -> Vec<usize> {
            let rest: Vec<usize> = allowed
                .iter()
                .copied()
                .filter(|cpu| !taken.contains(cpu))
                .collect();
            if rest.is_empty() {
                allowed.to_vec()
            } else {
                rest
            }
        };
        Ok(match (server, client) {
            (Some(server), Some(client)) => Self { server, client },
            (Some(server), None) => Self {
                client: without(&server),
                server,
            },
            (None, Some(client)) => Self {
                server: without(&client),
                client,
            },
            (None, None) => Self {
                server: allowed[..half].to_vec(),
                client: without(&allowed[..half]),
            },
        })
    }

    /// Whether a CPU is in both sets: then the client's work slows the server down.
    #[must_use]
    pub fn overlaps(&self) -> bool {
        self.server.iter().any(|cpu| self.client.contains(cpu))
    }
}

/// The CPUs that this process may use.
///
/// # Errors
/// When the system does not tell.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect())
}

/// Keeps this thread, and those that it starts, on these CPUs.
pub(crate) fn stay_on(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(allowed: &[usize], server: Option<&[usize]>, client: Option<&[usize]>) -> CpuSplit {
        let owned = |cpus: Option<&[usize]>| cpus.map(<[usize]>::to_vec);
        CpuSplit::choose(allowed, owned(server), owned(client)).unwrap()
    }

    #[test]
    fn server_and_client_are_apart_wherever_there_are_two_cpus() {
        for n in 2..9 {
            let allowed: Vec<usize> = (0..n).collect();
            assert!(!split(&allowed, None, None).overlaps(), "{n} CPUs");
        }
        let three = split(&[1, 3, 5], None, None);
        assert_eq!((three.server, three.client), (vec![1, 3], vec![5]));
    }

    #[test]
    fn a_single_cpu_is_shared() {
        let one = split(&[0], None, None);
        assert!(one.overlaps());
        assert_eq!(one.server, [0]);
    }

    #[test]
    fn a_named_set_leaves_the_rest_to_the_other_side() {
        let named = split(&[0, 1, 2], Some(&[2]), None);
        assert_eq!((named.server, named.client), (vec![2], vec![0, 1]));
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let error = CpuSplit::choose(&[0, 1], Some(vec![7]), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "CPU 7 cannot be used here; these can: [0, 1]"
        );
    }
}
