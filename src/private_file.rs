//! Files that hold production's data: only their owner may read what kreplay makes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a file to append to, and makes it with mode 0600, whatever the umask lets others do. One that
/// exists keeps its mode: somebody chose it.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    options().append(true).open(path)
}

/// Writes a file anew; its mode is as with [`append`].
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    options().write(true).truncate(true).open(path)?.write_all(text.as_bytes())
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.create(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests;
