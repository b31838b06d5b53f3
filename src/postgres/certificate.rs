//! The certificate that the client shows, and its private key: libpq's `sslcert` and `sslkey`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TargetError;
use super::settings::{CertificateFiles, ClientCertificate};

/// A certificate with those between it and its authority, and its private key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads the files under libpq's conditions.
pub(super) fn load(certificate: &ClientCertificate) -> Result<Option<Identity>, TargetError> {
    let files = match certificate {
        ClientCertificate::None => return Ok(None),
        ClientCertificate::IfPresent(files) if !files.certificate.exists() => return Ok(None),
        ClientCertificate::IfPresent(files) | ClientCertificate::File(files) => files,
    };
    let CertificateFiles { certificate, key } = files;
    let unusable = |path: &Path, reason: String| TargetError::ClientCertificate {
        path: path.to_owned(),
        reason,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(certificate, format!("{error} (--sslcert)")))?;
    if chain.is_empty() {
        return Err(unusable(certificate, "it holds no certificate (--sslcert)".to_owned()));
    }
    let key = read_key(key).map_err(|reason| unusable(key, format!("{reason} (--sslkey)")))?;
    Ok(Some((chain, key)))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is a certificate, but not this private key".to_owned(),
        _ => format!("the private key can't be read: {error}"),
    })?;
    if !metadata.is_file() {
        return Err("the private key is not a regular file".to_owned());
    }
    if is_open_to_others(metadata.uid(), metadata.mode()) {
        return Err(format!(
            "others have access to the private key: chmod 600 {0} (if root owns it and its group \
             reads it: chmod 640 {0})",
            path.display()
        ));
    }
    let contents =
        fs::read(path).map_err(|error| format!("the private key can't be read: {error}"))?;
    if is_encrypted(&contents) {
        return Err(format!(
            "the private key is encrypted, and kreplay does not decrypt it: give one that is not, \
             as openssl pkey -in {} -out FILE writes it",
            path.display()
        ));
    }
    PrivateKeyDer::from_pem_slice(&contents).or_else(|error| {
        // OpenSSL, and hence libpq, takes DER too.
        let der = PrivateKeyDer::try_from(contents).map_err(|_| error.to_string());
        der.map_err(|error| format!("it holds no private key: {error}"))
    })
}

/// libpq's condition: for its owner alone, unless it is root's.
fn is_open_to_others(owner: u32, mode: u32) -> bool {
    mode & if owner == 0 { 0o037 } else { 0o077 } != 0
}

fn is_encrypted(contents: &[u8]) -> bool {
    let text = String::from_utf8_lossy(contents);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
}

#[cfg(test)]
mod tests;
