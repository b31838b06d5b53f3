//! Tells the program its git revision, for `kreplay --version`.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=KREPLAY_REVISION");
    let revision = given().or_else(packaged).or_else(checked_out);
    println!("cargo:rustc-env=KREPLAY_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}

/// What a packager says, who builds from an export without history.
fn given() -> Option<String> {
    env::var("KREPLAY_REVISION").ok().filter(|revision| !revision.is_empty())
}

/// What `cargo package` wrote into the archive.
fn packaged() -> Option<String> {
    let info = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = info.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(|sha1| sha1.chars().take(12).collect())
}

/// The revision of the checkout that this package is the root of. An unpacked archive inside
/// somebody else's checkout must not take that one's revision for its own.
fn checked_out() -> Option<String> {
    let root = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if root != fs::canonicalize(".").ok()? {
        return None;
    }
    // HEAD changes with the branch, its log with every commit.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// The first line that git prints, unless it is missing or refuses.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
