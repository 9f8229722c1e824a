//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The directories that the commands read and write.
pub struct Paths {
    /// The top of the checkout.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
}

impl Paths {
    /// Finds the checkout and the target directory that this program was built from.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask is not in a folder of the checkout")?
            .to_path_buf();
        let program = env::current_exe().context("cannot find this program's own path")?;
        // Cargo marks the top of the target directory, wherever the user has put it.
        let target = program
            .ancestors()
            .find(|dir| dir.join("CACHEDIR.TAG").exists())
            .map_or_else(|| root.join("target"), Path::to_path_buf);
        Ok(Self { root, target })
    }

    /// The crate of the eBPF programs.
    pub fn ebpf_crate(&self) -> PathBuf {
        self.root.join("mpm-observer-ebpf")
    }

    /// Cargo's target directory for the eBPF programs.
    pub fn ebpf_target(&self) -> PathBuf {
        self.target.join("ebpf-build")
    }

    /// The finished eBPF object, which mpm-observer's build script embeds.
    pub fn ebpf_object(&self) -> PathBuf {
        self.target.join("ebpf").join("mpm-observer.bpf.o")
    }

    /// The crate of the fuzz target.
    pub fn fuzz_crate(&self) -> PathBuf {
        self.root.join("loadgen").join("fuzz")
    }

    /// The observer's release binary.
    pub fn observer(&self) -> PathBuf {
        self.target.join("release").join("mpm-observer")
    }

    /// What the noisy steps print goes to files in here.
    pub fn logs(&self) -> PathBuf {
        self.target.join("xtask-logs")
    }

    /// Tools that set-up builds for this checkout.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }
}
