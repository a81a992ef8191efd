//! Picks up the eBPF object that `cargo xtask build` made, so that `lb-userspace` can embed it.
//!
//! The object is `$SHUNT_EBPF_OBJECT`, else `target/bpf/lb-ebpf.o` of the workspace. Without one the
//! crate still builds, with an empty object: checks and tests of the pure code need no eBPF toolchain.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=SHUNT_EBPF_OBJECT");
    println!("cargo::rerun-if-changed=build.rs");
    let (object, watched) = match env::var_os("SHUNT_EBPF_OBJECT").map(PathBuf::from) {
        Some(object) => (object.clone(), object),
        None => {
            let folder = object_folder()?;
            (folder.join("lb-ebpf.o"), folder)
        }
    };
    println!("cargo::rerun-if-changed={}", watched.display());

    let embedded = PathBuf::from(env::var("OUT_DIR")?).join("lb-ebpf.o");
    if object.exists() {
        fs::copy(&object, &embedded)?;
    } else {
        let path = object.display();
        println!(
            "cargo::warning=no eBPF object at {path}: `shunt run` won't start; `cargo xtask build` makes it"
        );
        fs::write(&embedded, [])?;
    }
    Ok(())
}

/// Where `cargo xtask build` puts the object, and nothing else. The folder is watched, not the file,
/// and made when it is missing: cargo takes a path that doesn't exist for one that changed, and would
/// compile the crate anew each time.
fn object_folder() -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../target/bpf");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
