//! Puts the eBPF object, which `cargo xtask build` makes, where the library can embed it.
//!
//! Without the object the crate still builds, so that a recording can be analysed on a machine
//! that cannot build eBPF programs; the loader says at run time what is missing.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Names the eBPF object when it is not in its usual place.
const OBJECT_VARIABLE: &str = "MPM_OBSERVER_EBPF_OBJ";
/// The file name in `OUT_DIR`, which the library embeds.
const EMBEDDED: &str = "mpm-observer.bpf.o";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={OBJECT_VARIABLE}");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    let manifest_dir = PathBuf::from(
        env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo did not set CARGO_MANIFEST_DIR")?,
    );

    let object = match env::var_os(OBJECT_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => target_dir(&out_dir, &manifest_dir)
            .join("ebpf")
            .join(EMBEDDED),
    };
    let bytes = match fs::read(&object) {
        Ok(bytes) => {
            println!("cargo:rerun-if-changed={}", object.display());
            bytes
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            watch_for(&object);
            println!(
                "cargo:warning=built without the eBPF programs: run `cargo xtask build` ({} is missing)",
                object.display()
            );
            Vec::new()
        }
        Err(error) => return Err(format!("cannot read {}: {error}", object.display()).into()),
    };
    write_if_changed(&out_dir.join(EMBEDDED), &bytes)?;
    Ok(())
}

/// The directory that this build writes to: it follows `CARGO_TARGET_DIR`, `--target-dir` and
/// cargo's configuration, because cargo marks its top with `CACHEDIR.TAG`.
fn target_dir(out_dir: &Path, manifest_dir: &Path) -> PathBuf {
    out_dir
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists())
        .map_or_else(|| manifest_dir.join("../target"), Path::to_path_buf)
}

/// Makes cargo run this script again once the object is there. Watching the missing file itself
/// would make every build a rebuild.
fn watch_for(object: &Path) {
    let Some(dir) = object.parent() else { return };
    if fs::create_dir_all(dir).is_ok() {
        println!("cargo:rerun-if-changed={}", dir.display());
    }
}

/// Leaves an equal file alone, so that its time stamp does not recompile the crate.
fn write_if_changed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::read(path) {
        Ok(old) if old == bytes => Ok(()),
        _ => fs::write(path, bytes),
    }
}
