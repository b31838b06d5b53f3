//! Which server certificates are trusted, and what the client shows: libpq's `sslmode` and its
//! companions, with rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::certificate;
use super::error::TargetError;
use super::settings::{Host, RootCertificates, SslMode, TargetSettings, TlsVersion, TlsVersions};

/// The TLS side of the connections; `None` where they don't use it.
pub(super) fn connector(
    settings: &TargetSettings,
) -> Result<Option<MakeRustlsConnect>, TargetError> {
    let roots = &settings.sslrootcert;
    let trust = match settings.sslmode {
        _ if settings.hosts.iter().all(Host::is_unix) => return Ok(None),
        SslMode::Disable => return Ok(None),
        // libpq: for backward compatibility `require` verifies if there is something to verify
        // with.
        SslMode::Require if roots.file().is_some() => Trust::Signed(Roots::load(roots)?),
        SslMode::Allow | SslMode::Prefer | SslMode::Require => Trust::Anyone,
        SslMode::VerifyCa => Trust::Signed(Roots::load(roots)?),
        SslMode::VerifyFull => Trust::SignedForHost(Roots::load(roots)?),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier { trust, provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(settings.tls_versions))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match certificate::load(&settings.certificate)? {
        Some((chain, key)) => config.with_client_auth_cert(chain, key)?,
        None => config.with_no_client_auth(),
    };
    config.enable_sni = settings.sslsni;
    // What PostgreSQL 17 expects; older versions don't look at it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn versions(TlsVersions { min, max }: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    [(TlsVersion::V1_2, &rustls::version::TLS12), (TlsVersion::V1_3, &rustls::version::TLS13)]
        .into_iter()
        .filter(|(version, _)| min.is_none_or(|min| *version >= min))
        .filter(|(version, _)| max.is_none_or(|max| *version <= max))
        .map(|(_, version)| version)
        .collect()
}

impl RootCertificates {
    /// The file to read, if there is one.
    fn file(&self) -> Option<&Path> {
        match self {
            Self::System => None,
            Self::IfPresent(file) => Some(file.as_path()).filter(|file| file.exists()),
            Self::File(file) => Some(file),
        }
    }
}

/// Whose certificate is accepted.
#[derive(Debug)]
enum Trust {
    Anyone,
    Signed(Roots),
    SignedForHost(Roots),
}

/// The certificates that trust starts from.
#[derive(Debug)]
struct Roots {
    authorities: RootCertStore,
    /// The same, as they stand in the file. A server's self-signed certificate is often given as
    /// its own authority (PostgreSQL's manual shows how to make one); webpki refuses that, OpenSSL
    /// and hence libpq do not.
    given: Vec<CertificateDer<'static>>,
}

impl Roots {
    fn load(roots: &RootCertificates) -> Result<Self, TargetError> {
        match roots.file() {
            Some(path) => Self::read(path),
            None => Self::native(),
        }
    }

    fn read(path: &Path) -> Result<Self, TargetError> {
        let error = |reason: String| TargetError::RootCertificates { path: path.into(), reason };
        let given = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|pem| error(pem.to_string()))?;
        let mut authorities = RootCertStore::empty();
        let (_, _) = authorities.add_parsable_certificates(given.iter().cloned());
        if given.is_empty() {
            return Err(error("it holds no certificate".to_owned()));
        }
        Ok(Self { authorities, given })
    }

    fn native() -> Result<Self, TargetError> {
        let found = rustls_native_certs::load_native_certs();
        let mut authorities = RootCertStore::empty();
        authorities.add_parsable_certificates(found.certs);
        if authorities.is_empty() {
            let reason = match found.errors.first() {
                Some(error) => error.to_string(),
                None => "none installed".to_owned(),
            };
            return Err(TargetError::NoNativeCertificates { reason });
        }
        Ok(Self { authorities, given: Vec::new() })
    }
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (roots, host) = match &self.trust {
            Trust::Anyone => return Ok(ServerCertVerified::assertion()),
            Trust::Signed(roots) => (roots, None),
            Trust::SignedForHost(roots) => (roots, Some(host)),
        };
        let parsed = ParsedCertificate::try_from(certificate)?;
        let signed = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &roots.authorities,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        );
        match signed {
            Ok(()) => {}
            // Expired is expired, whoever signed it.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            )) => signed?,
            Err(_) if roots.given.iter().any(|given| given == certificate) => {}
            Err(error) => return Err(error),
        }
        if let Some(host) = host {
            verify_server_name(&parsed, host)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
