//! What programs and maps take of the kernel's memory.

use std::{collections::BTreeMap, fs, io};

/// Kernel memory of this process's eBPF programs and maps, bytes, as the kernel reckons it: maps
/// with all the entries that they may get, programs as they were loaded.
///
/// # Errors
/// When /proc cannot be read.
pub fn kernel_memory_bytes() -> io::Result<u64> {
    let mut held = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        // A descriptor may be closed meanwhile.
        if let Ok(text) = fs::read_to_string(entry?.path()) {
            held.extend(parse(&text));
        }
    }
    Ok(held.values().sum())
}

/// What a descriptor is of, if it is a program or a map, and its memory. Several descriptors may
/// be of one.
fn parse(fdinfo: &str) -> Option<((&'static str, u64), u64)> {
    let value = |key: &str| -> Option<u64> {
        let mut lines = fdinfo.lines();
        lines.find_map(|line| {
            let rest = line.strip_prefix(key)?.strip_prefix(':')?;
            rest.trim().parse().ok()
        })
    };
    let bytes = value("memlock")?;
    // A link names its program too, but has no memory of its own.
    ["map_id", "prog_id"]
        .into_iter()
        .find_map(|key| Some(((key, value(key)?), bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_programs_are_told_apart_and_others_left_out() {
        let map = "pos:\t0\nmap_type:\t2\nmax_entries:\t16385\nmemlock:\t8389544\nmap_id:\t9\n";
        assert_eq!(parse(map), Some((("map_id", 9), 8_389_544)));
        let program = "prog_type:\t26\nmemlock:\t4096\nprog_id:\t41\nrun_cnt:\t38\n";
        assert_eq!(parse(program), Some((("prog_id", 41), 4096)));
        let link = "link_type:\ttracing\nlink_id:\t3\nprog_id:\t41\n";
        assert_eq!(parse(link), None);
        assert_eq!(parse("pos:\t0\nflags:\t02\n"), None);
    }
}
