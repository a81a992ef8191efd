//! Certificates.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate authority of its own for a server at an address: what accepts connections, and the
/// authority in PEM.
pub(super) fn acceptor(address: IpAddr) -> Result<(TlsAcceptor, String)> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    let key = KeyPair::generate().context("a key")?;
    let pem = authority.self_signed(&key).context("an authority")?.pem();
    let issuer = Issuer::new(authority, key);

    let mut server = CertificateParams::default();
    server.subject_alt_names.push(SanType::IpAddress(address));
    let key = KeyPair::generate().context("a key")?;
    let certificate = server.signed_by(&key, &issuer).context("a certificate")?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).context("TLS")?;
    Ok((TlsAcceptor::from(Arc::new(config)), pem))
}
