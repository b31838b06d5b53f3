use std::os::unix::fs::PermissionsExt;

use super::*;

fn key(contents: &str, mode: u32) -> Result<PrivateKeyDer<'static>, String> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), contents).expect("written");
    fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("own file");
    read_key(file.path())
}

#[test]
fn a_key_is_for_its_owner_alone_or_for_roots_group() {
    for (owner, mode, open) in [
        (1000, 0o100600, false),
        (1000, 0o100400, false),
        (1000, 0o100640, true),
        (1000, 0o100604, true),
        (0, 0o100640, false),
        (0, 0o100660, true),
        (0, 0o100644, true),
    ] {
        assert_eq!(is_open_to_others(owner, mode), open, "{owner} {mode:o}");
    }
    let error = key("", 0o666).expect_err("open to everybody");
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn what_is_wrong_with_a_key_is_said() {
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n";
    assert!(key(encrypted, 0o600).expect_err("encrypted").contains("openssl pkey"));
    let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
    assert!(key(encrypted, 0o600).expect_err("encrypted").contains("openssl pkey"));
    assert!(key("nothing", 0o600).expect_err("no key").contains("no private key"));
    let error = read_key(Path::new("/no/such.key")).expect_err("missing");
    assert!(error.contains("not this private key"), "{error}");
    assert!(read_key(Path::new("/")).expect_err("a directory").contains("regular file"));
}

#[test]
fn a_certificate_in_its_default_place_need_not_be_there() {
    let missing =
        CertificateFiles { certificate: "/no/such.crt".into(), key: "/no/such.key".into() };
    assert!(matches!(load(&ClientCertificate::IfPresent(missing.clone())), Ok(None)));
    let error = load(&ClientCertificate::File(missing)).expect_err("it was asked for");
    assert!(error.to_string().contains("/no/such.crt"), "{error}");
}
