//! Links libhs: Debian's libvectorscan-dev (or libhyperscan-dev) by pkg-config,
//! or, with the feature `vendored`, the library that `vectorscan-rs-sys` built.

#![allow(clippy::print_stdout, reason = "the way to talk to cargo")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    tell_revision();
    if std::env::var_os("CARGO_FEATURE_VENDORED").is_some() {
        return;
    }
    let statically = std::env::var_os("CARGO_FEATURE_STATIC").is_some();
    let found = pkg_config::Config::new().atleast_version("5.2").cargo_metadata(!statically).probe("libhs");
    match found {
        Ok(library) if statically => link_statically(&library),
        Ok(_) => {}
        Err(_) => {
            println!("cargo:warning=libhs was not found. On Debian: apt-get install pkg-config libvectorscan-dev");
            println!("cargo:warning=(or run scripts/setup, or build with --features vendored)");
            std::process::exit(1);
        }
    }
}

/// Of the sources, which whoever builds tells (scripts/revision).
fn tell_revision() {
    println!("cargo:rerun-if-env-changed=EXPURGATE_REVISION");
    let told = std::env::var("EXPURGATE_REVISION").ok().filter(|revision| !revision.is_empty());
    println!("cargo:rustc-env=EXPURGATE_REVISION={}", told.as_deref().unwrap_or("unknown"));
}

/// libhs.a is C++ inside; its runtime goes in statically too, so that the
/// image needs the C library only.
fn link_statically(library: &pkg_config::Library) {
    for path in &library.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    // Debian keeps the archive in the multiarch folder, which pkg-config drops
    // from its output as a default search path.
    if let Ok(path) = pkg_config::get_variable("libhs", "libdir") {
        println!("cargo:rustc-link-search=native={path}");
    }
    for name in ["libstdc++.a", "libhs.a"] {
        if let Some(folder) = compiler_folder_of(name) {
            println!("cargo:rustc-link-search=native={folder}");
        }
    }
    println!("cargo:rustc-link-lib=static=hs");
    println!("cargo:rustc-link-lib=static=stdc++");
    println!("cargo:rustc-link-lib=m");
}

/// Where the C++ compiler keeps `archive`, by its own word; for another processor `CXX`
/// names that compiler.
fn compiler_folder_of(archive: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed=CXX");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let output = std::process::Command::new(compiler).arg(format!("-print-file-name={archive}")).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let folder = std::path::Path::new(path.trim()).parent()?;
    folder.is_absolute().then(|| folder.display().to_string())
}
