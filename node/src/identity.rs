//! Who the node is towards its clients: the pool's certificate authority, kept sealed in the
//! control group, and the certificate that this start issued (design.md §4 *Server identity*).

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crs_keys::pool_ca::{NodeIdentity, NodeSubject, PoolCa, PoolCaError};
use crs_keys::seal_at_rest::{SealError, Sealer};
use crs_storage::Store;
use crs_storage::command::control::{ControlRefusal, PutNode, SetPoolIdentity};
use crs_storage::command::{ControlCommand, Sealed};
use crs_storage::store::WriteError;
use crs_types::{NodeId, Rng, Timestamp};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Certificate, Config};

/// Context under which the pool CA is sealed.
const SEAL_CONTEXT: &str = "pool/ca";
/// Name of the file with the pool's public certificate, for `crs-cms`.
pub const POOL_CA_FILE: &str = "pool-ca.pem";

/// The node has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The CA could not be made or used.
    #[error(transparent)]
    Ca(#[from] PoolCaError),
    /// The sealed CA does not open.
    #[error("the pool CA in the store does not open with the configured key: {0}")]
    Seal(#[from] SealError),
    /// The store did not confirm it.
    #[error("the pool CA could not be stored: {0}")]
    Write(#[from] WriteError),
    /// The store refused it.
    #[error("the pool CA could not be stored: {0}")]
    Refused(#[from] ControlRefusal),
    /// A file could not be written or read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configured certificate cannot be used.
    #[error("{path}: {what}", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Reads the pool CA from the store; makes and stores it when the pool is new.
/// The second value tells whether it was made.
pub async fn pool_ca(
    store: &Store,
    sealer: &Sealer,
    rng: &mut dyn Rng,
    now: Timestamp,
) -> Result<(PoolCa, bool), IdentityError> {
    if let Some(sealed) = store.control().pool_identity.clone() {
        return Ok((open_and_reseal(store, sealer, &sealed, rng).await?, false));
    }
    let ca = PoolCa::generate(rng, now)?;
    let sealed = sealer.seal(SEAL_CONTEXT, &ca.to_secret(), rng)?;
    match put(store, sealed, false).await {
        Ok(_) => Ok((ca, true)),
        // Another node was first: its CA is the pool's.
        Err(IdentityError::Refused(ControlRefusal::IdentityExists)) => {
            let sealed = store.control().pool_identity.clone().unwrap_or_default();
            Ok((open_and_reseal(store, sealer, &sealed, rng).await?, false))
        }
        Err(error) => Err(error),
    }
}

/// Records this node and its name in the control group.
pub async fn record_node(
    store: &Store,
    id: NodeId,
    config: &Config,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let known = store.control().nodes.get(&id).map(|record| record.name.clone());
    if known.as_ref() == Some(&config.name) {
        return Ok(());
    }
    let command = ControlCommand::PutNode(PutNode { id, name: config.name.clone(), time: now });
    store.propose_control(command).await?.reply.into_result()?;
    Ok(())
}

/// Issues this node's certificate with every name and address of the configuration.
pub fn issue(
    ca: &PoolCa,
    config: &Config,
    rng: &mut dyn Rng,
    now: Timestamp,
) -> Result<NodeIdentity, IdentityError> {
    Ok(ca.issue_node(&subject(config), rng, now)?)
}

/// Reads the certificate of a public CA.
pub fn configured(
    certificate: &Certificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), IdentityError> {
    let wrong = |path: &Path, what: &dyn std::fmt::Display| IdentityError::Pem {
        path: path.to_owned(),
        what: what.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(&certificate.chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&certificate.chain, &error))?;
    if chain.is_empty() {
        return Err(wrong(&certificate.chain, &"expected at least one certificate in PEM"));
    }
    let key = PrivateKeyDer::from_pem_file(&certificate.key)
        .map_err(|error| wrong(&certificate.key, &error))?;
    Ok((chain, key))
}

/// Writes the pool's public certificate where `crs-cms` finds it.
pub fn publish(ca: &PoolCa, folder: &Path) -> Result<PathBuf, IdentityError> {
    let path = folder.join(POOL_CA_FILE);
    let pem = pem("CERTIFICATE", ca.certificate());
    if fs::read_to_string(&path).is_ok_and(|text| text == pem) {
        return Ok(path);
    }
    write_whole(&path, pem.as_bytes())
        .map_err(|source| IdentityError::Io { path: path.clone(), source })?;
    Ok(path)
}

async fn open_and_reseal(
    store: &Store,
    sealer: &Sealer,
    sealed: &Sealed,
    rng: &mut dyn Rng,
) -> Result<PoolCa, IdentityError> {
    let secret = sealer.open(SEAL_CONTEXT, sealed.as_bytes())?;
    if sealer.is_stale(sealed.as_bytes()) {
        let fresh = sealer.seal(SEAL_CONTEXT, &secret, rng)?;
        put(store, fresh, true).await?;
    }
    Ok(PoolCa::from_secret(&secret)?)
}

async fn put(store: &Store, sealed: Vec<u8>, replace: bool) -> Result<bool, IdentityError> {
    let identity = Sealed::new(sealed);
    let command = ControlCommand::SetPoolIdentity(SetPoolIdentity { identity, replace });
    Ok(store.propose_control(command).await?.reply.into_result()?)
}

fn subject(config: &Config) -> NodeSubject {
    let mut dns = vec!["localhost".to_owned()];
    dns.extend(config.pool.server_names.iter().cloned());
    let mut ips: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let own = config.pool.hosts.iter().filter(|host| host.name == config.name);
    ips.extend(own.filter_map(|host| host.ip));
    ips.push(config.listen.client.ip());
    ips.extend(config.media_addresses.iter().copied());
    ips.retain(|ip| !ip.is_unspecified());
    dns.sort();
    dns.dedup();
    ips.sort();
    ips.dedup();
    NodeSubject { name: config.name.clone(), dns, ips }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).map(|at| &text[at..(at + 64).min(text.len())]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Readers never see half a file.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use crs_types::rng::SeededRng;

    use crate::config::{Source, SourceKind, Sources, Strictness, parse};

    use super::*;

    #[test]
    fn the_public_certificate_is_one_pem_file() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_secs(1_800_000_000);
        let ca = PoolCa::generate(&mut SeededRng::new(5), now).unwrap();
        let path = publish(&ca, dir.path()).unwrap();
        let read = CertificateDer::from_pem_file(&path).unwrap();
        assert_eq!(&read, ca.certificate());
        assert_eq!(publish(&ca, dir.path()).unwrap(), path);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_certificate_names_every_way_to_the_node() {
        let pool = "key q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\nip crs1 192.0.2.1\n\
                    server-name crs.example.org\n";
        let source = Source { kind: SourceKind::Pool, name: "crs.conf".into(), bytes: pool.into() };
        let config = parse(&Sources::new(vec![source]), Strictness::Strict).unwrap();
        let subject = subject(&config);
        assert_eq!(subject.dns, ["crs.example.org", "localhost"]);
        let ips: Vec<String> = subject.ips.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["127.0.0.1", "192.0.2.1", "::1"]);
    }
}
