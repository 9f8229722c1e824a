//! What ab has no flags for: the load itself.

use clap::Args;
use loadgen::EngineKind;

/// The load.
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// Load threads; by default one for each CPU of --cpus, or one
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,

    /// CPUs to bind the load threads to, such as 0,2-3
    #[arg(long, value_name = "LIST", value_parser = cpu_list)]
    pub(super) cpus: Option<CpuList>,

    /// What moves the bytes: epoll, io-uring or hyper; by default what suits the case
    /// and the kernel
    #[arg(long, value_name = "NAME", value_parser = engine)]
    pub(super) engine: Option<EngineKind>,
}

fn engine(text: &str) -> Result<EngineKind, String> {
    let named = |engine: &EngineKind| engine.name() == text;
    EngineKind::ALL.into_iter().find(named).ok_or_else(|| {
        let names = EngineKind::ALL.map(EngineKind::name).join(", ");
        format!("{text:?} is none of {names}")
    })
}

/// CPU numbers; a type of its own, as clap takes a plain `Vec` for a repeated argument.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CpuList(pub(super) Vec<usize>);

/// The kernel's own bound on CPU numbers, as far as affinity masks go.
const CPU_MAX: usize = 1023;

fn cpu_list(text: &str) -> Result<CpuList, String> {
    let number = |text: &str| match text.trim().parse::<usize>() {
        Ok(cpu) if cpu <= CPU_MAX => Ok(cpu),
        _ => Err(format!("{text:?} is not a CPU number from 0 to {CPU_MAX}")),
    };
    let mut cpus = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => cpus.push(number(part)?),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return Err(format!("{part:?} runs backwards"));
                }
                cpus.extend(first..=last);
            }
        }
    }
    Ok(CpuList(cpus))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_checked() {
        assert_eq!(cpu_list("0,2-3"), Ok(CpuList(vec![0, 2, 3])));
        for bad in ["", "x", "3-1", "1,", "5000", "-1"] {
            assert!(cpu_list(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn engines_go_by_their_names() {
        for kind in EngineKind::ALL {
            assert_eq!(engine(kind.name()), Ok(kind));
        }
        assert!(engine("Epoll").expect_err("no engine").contains("io-uring"));
    }
}
