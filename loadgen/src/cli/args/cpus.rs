//! Lists of CPUs.

/// CPU numbers; a type of its own, as clap takes a plain `Vec` for a repeated argument.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CpuList(pub(super) Vec<usize>);

/// The kernel's own bound on CPU numbers, as far as affinity masks go.
const CPU_MAX: usize = 1023;

pub(super) fn cpu_list(text: &str) -> Result<CpuList, String> {
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
}
