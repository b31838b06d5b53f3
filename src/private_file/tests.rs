use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_file_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (appended, written) = (directory.path().join("letters"), directory.path().join("report"));
    append(&appended).unwrap();
    write(&written, "a report").unwrap();
    assert_eq!((mode(&appended), mode(&written)), (0o600, 0o600));
}

#[test]
fn a_file_that_exists_keeps_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shared");
    fs::write(&path, "a longer text that was there before").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    write(&path, "one").unwrap();
    append(&path).unwrap().write_all(b"two").unwrap();
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("onetwo", 0o640));
}
