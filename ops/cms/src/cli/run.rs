//! Runs one command.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crs_keys::bundle::{self, KdfCost, PIN_MIN, ServerTrust};
use crs_keys::identity;
use crs_types::rng::OsRng;
use crs_types::{Clock, Period, Secret, SystemClock, Timestamp, Uri, shell};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use zeroize::Zeroizing;

use super::args::{Args, Command, Enrol, Init, Rotate, ServerArgs, TeamCodeCommand, Update, User};
use super::output::{Report, table};
use super::{CliError, here};
use crate::share::{PUBLIC_FILE_MAX, PublicDomain};
use crate::store::{io_error, write_private};
use crate::{Domain, DomainError, Server, Settings, enrol, qr, update};

/// Largest text file (list of numbers, secret, certificate) that is read.
const INPUT_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn run(args: Args) -> Result<Report, CliError> {
    let now = args.now.unwrap_or_else(|| SystemClock::new().now());
    let dir = args.dir.as_path();
    match args.command {
        Command::Init(init) => run_init(init, now),
        Command::Server(server) => run_server(dir, server),
        Command::User(user) => run_user(dir, user),
        Command::TeamCode(command) => run_team_code(dir, command),
        Command::Export(export) => run_export(dir, export.out),
        Command::Connect(connect) => run_connect(dir, &connect.file),
        Command::Disconnect { account } => {
            let mut domain = Domain::open(dir)?;
            domain.disconnect(&account)?;
            domain.save()?;
            let text = format!("disconnected {account}; takes effect with the next update file");
            Ok(Report::new(text, json!({ "disconnected": account })))
        }
        Command::Connected => run_connected(dir),
        Command::Update(Update::Create { period, out }) => run_update_create(dir, period, out, now),
        Command::Enrol(enrol) => run_enrol(dir, enrol, now),
        Command::Fingerprint => run_fingerprint(dir),
        Command::LoadtestExport { out } => super::loadtest::run(dir, &out, now),
        Command::Rotate(rotate) => run_rotate(dir, &rotate, now),
        Command::Ca(command) => super::ca::run(dir, command, now),
    }
}

fn run_init(init: Init, now: Timestamp) -> Result<Report, CliError> {
    let (secret, generated) = match (&init.secret, &init.secret_file) {
        (Some(text), _) => (parse_secret(text)?, false),
        (None, Some(path)) => {
            let text = Zeroizing::new(read_input(path)?);
            (parse_secret(&String::from_utf8_lossy(&text))?, false)
        }
        (None, None) => (Secret::generate(&mut OsRng, 32), true),
    };
    let server = server_from(&init.server, None)?;
    // A generated secret is shown once: it has to be entered on the CRS.
    let shown = generated.then(|| secret.to_base64().to_string());
    let settings = Settings { account: init.account, secret, server };
    let domain = Domain::create(&init.directory, settings, &mut OsRng, now)?;
    let key = domain.cms_key();
    let mut text = format!(
        "made domain {} in {}\nCMS key      {key}\nfingerprint  {}\n",
        domain.account(),
        init.directory.display(),
        key.fingerprint(),
    );
    if let Some(secret) = &shown {
        text.push_str(&format!("secret       {secret}\n"));
    }
    text.push_str(&next_after_init(&domain, &init.directory, shown.as_deref()));
    let json = json!({
        "account": domain.account(), "dir": init.directory, "cms_key": key,
        "fingerprint": key.fingerprint(), "secret": shown,
    });
    Ok(Report::new(text, json))
}

/// An account whose secret was given is on the CRS already; one whose secret was made here is not.
fn next_after_init(domain: &Domain, dir: &Path, secret: Option<&str>) -> String {
    let add = here(dir, "user add NUMBER");
    let there = match secret {
        Some(secret) => format!(
            "crs-cli create account {} -s {} --cms-key {}",
            domain.account(),
            shell::word(secret),
            domain.cms_key()
        ),
        None => "the first update file is applied with this fingerprint".to_owned(),
    };
    format!("\non the CRS:  {there}\nnext here:   {add}\n")
}

fn run_server(dir: &Path, args: ServerArgs) -> Result<Report, CliError> {
    let mut domain = Domain::open(dir)?;
    if !args.server.is_empty() || args.server_ca.is_some() || args.public_name.is_some() {
        let server = server_from(&args, Some(domain.server()))?;
        domain.set_server(server);
        domain.save()?;
    }
    let Server { addresses, trust } = domain.server();
    let trust = match trust {
        None => "unknown".to_owned(),
        Some(ServerTrust::PublicName(name)) => format!("public PKI, name {name}"),
        Some(ServerTrust::PoolCa(ca)) => {
            format!("pool CA {}", crs_keys::derive::fingerprint(ca.as_slice()))
        }
    };
    let text = format!("addresses  {}\ntrust      {trust}\n", addresses.join(" "));
    Ok(Report::new(text, json!({ "addresses": addresses, "trust": trust })))
}

fn run_user(dir: &Path, command: User) -> Result<Report, CliError> {
    let mut domain = Domain::open(dir)?;
    match command {
        User::Add { mut uris, from, unlisted } => {
            if let Some(path) = from {
                uris.extend(read_uris(&path)?);
            }
            for uri in &uris {
                domain.add_user(uri.clone(), !unlisted)?;
            }
            domain.save()?;
            let next = here(dir, "update create");
            let text = format!("added {} users; next: {next}", uris.len());
            Ok(Report::new(text, json!({ "added": numbers(&uris) })))
        }
        User::Remove { uris } => {
            for uri in &uris {
                domain.remove_user(uri)?;
            }
            domain.save()?;
            let text =
                format!("removed {} users; takes effect with the next update file", uris.len());
            Ok(Report::new(text, json!({ "removed": numbers(&uris) })))
        }
        User::Revoke { uris } => {
            let mut revoked = BTreeMap::new();
            for uri in &uris {
                revoked.insert(uri.to_string(), domain.revoke_user(uri)?.0);
            }
            domain.save()?;
            let next = here(dir, "update create");
            let text = format!(
                "revoked {} users; apply a new update file, then enrol them again; next: {next}",
                uris.len()
            );
            Ok(Report::new(text, json!({ "revoked": revoked })))
        }
        User::List => Ok(list_users(&domain)),
    }
}

/// Numbers as people read them, without `tel:`, in both forms of output.
fn numbers(uris: &[Uri]) -> Vec<String> {
    uris.iter().map(Uri::to_string).collect()
}

fn list_users(domain: &Domain) -> Report {
    let row = |(uri, user): (&Uri, &crate::User)| {
        let listed = if user.listed { "yes" } else { "no" };
        vec![uri.to_string(), listed.to_owned(), user.generation.to_string()]
    };
    let rows: Vec<_> = domain.users().iter().map(row).collect();
    let json: Vec<_> = domain
        .users()
        .iter()
        .map(|(uri, user)| {
            json!({ "uri": uri.to_string(), "listed": user.listed, "generation": user.generation })
        })
        .collect();
    Report::new(table(&["URI", "LISTED", "GENERATION"], &rows), json)
}

fn run_team_code(dir: &Path, command: TeamCodeCommand) -> Result<Report, CliError> {
    let mut domain = Domain::open(dir)?;
    match command {
        TeamCodeCommand::Add { code, uris } => {
            domain.add_team_members(&code, &uris)?;
            domain.save()?;
        }
        TeamCodeCommand::Remove { code, uris } => {
            domain.remove_team_members(&code, &uris)?;
            domain.save()?;
        }
        TeamCodeCommand::List => {}
    }
    let row = |(code, members): (&String, &std::collections::BTreeSet<Uri>)| {
        let members: Vec<_> = members.iter().map(ToString::to_string).collect();
        vec![code.clone(), members.len().to_string(), members.join(" ")]
    };
    let rows: Vec<_> = domain.team_codes().iter().map(row).collect();
    Ok(Report::new(table(&["CODE", "MEMBERS", "URIS"], &rows), domain.team_codes()))
}

fn run_export(dir: &Path, out: Option<PathBuf>) -> Result<Report, CliError> {
    let domain = Domain::open(dir)?;
    let public = PublicDomain::of(&domain);
    let fingerprint = public.fingerprint();
    let Some(path) = out else {
        eprintln!("fingerprint  {fingerprint}");
        let json: serde_json::Value = serde_json::from_str(&public.to_json()).unwrap_or_default();
        return Ok(Report::new(public.to_json(), json));
    };
    write_private(&path, public.to_json().as_bytes())?;
    let text = format!("wrote {}\nfingerprint  {fingerprint}\n", path.display());
    Ok(Report::new(text, json!({ "file": path, "fingerprint": fingerprint })))
}

fn run_connect(dir: &Path, file: &Path) -> Result<Report, CliError> {
    let mut domain = Domain::open(dir)?;
    let bytes = read_input(file)?;
    if bytes.len() > PUBLIC_FILE_MAX {
        return Err(DomainError::Public(format!("more than {PUBLIC_FILE_MAX} bytes")).into());
    }
    let other = PublicDomain::parse(&bytes)?;
    domain.connect(other.account.clone(), &other.cas)?;
    domain.save()?;
    let fingerprint = other.fingerprint();
    let text = format!(
        "connected {}\nfingerprint  {fingerprint}\ncompare it with the other administrator by telephone; to undo: {}\n",
        other.account,
        here(dir, &format!("disconnect {}", other.account))
    );
    Ok(Report::new(text, json!({ "connected": other.account, "fingerprint": fingerprint })))
}

fn run_connected(dir: &Path) -> Result<Report, CliError> {
    let domain = Domain::open(dir)?;
    let others: Vec<_> = domain
        .connected()
        .into_iter()
        .map(|(account, cas)| PublicDomain { account, cas })
        .collect();
    let rows: Vec<_> =
        others.iter().map(|other| vec![other.account.to_string(), other.fingerprint()]).collect();
    let json: Vec<_> = others
        .iter()
        .map(|other| json!({ "account": other.account, "fingerprint": other.fingerprint() }))
        .collect();
    Ok(Report::new(table(&["ACCOUNT", "FINGERPRINT"], &rows), json))
}

fn run_update_create(
    dir: &Path,
    period: Option<Period>,
    out: Option<PathBuf>,
    now: Timestamp,
) -> Result<Report, CliError> {
    let mut domain = Domain::open(dir)?;
    let period = period.unwrap_or(Period::at(now));
    let total = domain.users().len();
    let terminal = std::io::stderr().is_terminal();
    let progress = |done: usize| {
        if terminal && (done.is_multiple_of(200) || done == total) {
            eprint!("\r{done} of {total} users");
        }
    };
    let created = update::create(&mut domain, period, now, &progress);
    if terminal && total > 0 {
        eprintln!();
    }
    let created = created?;
    let path = out.unwrap_or_else(|| PathBuf::from(format!("{period}.upd")));
    write_private(&path, &created.file)?;
    let key = domain.cms_key();
    let later = domain.made_later_than(period);
    let stale = later.map(|later| stale_files(dir, later)).unwrap_or_default();
    let text = format!(
        "wrote {}: {} users, serial {}, {} bytes\n{stale}CMS key      {key}\nfingerprint  {}\nnext on the CRS:  crs-cli apply {} --confirm-fingerprint {}\n",
        path.display(),
        created.users,
        created.serial,
        created.file.len(),
        key.fingerprint(),
        shell::word(&path.display().to_string()),
        shell::word(&key.fingerprint()),
    );
    let json = json!({
        "file": path, "account": domain.account(), "period": period, "serial": created.serial,
        "users": created.users, "bytes": created.file.len(), "cms_key": key,
        "fingerprint": key.fingerprint(), "make_anew_until": later,
    });
    Ok(Report::new(text, json))
}

/// A file that is older than the one in force is refused, whatever its month.
fn stale_files(dir: &Path, later: Period) -> String {
    format!(
        "warning: files of later months, made before, are older than this one; a CRS that has not \
         applied them refuses them after it\nmake them anew:  {}\n",
        here(dir, &format!("update create --period {later}"))
    )
}

fn run_enrol(dir: &Path, args: Enrol, now: Timestamp) -> Result<Report, CliError> {
    let domain = Domain::open(dir)?;
    let (pin, generated) = match args.pin {
        Some(pin) => (Zeroizing::new(pin), false),
        None => (bundle::generate_pin(&mut OsRng), true),
    };
    if pin.chars().count() < PIN_MIN {
        return Err(CliError::Input {
            message: format!("a PIN needs at least {PIN_MIN} characters"),
            hint: "leave --pin out to have one generated",
        });
    }
    let sealed = enrol::bundle(&domain, &args.uri, now)?.seal(&pin, KdfCost::DEFAULT, &mut OsRng);
    let sealed = sealed.map_err(DomainError::from)?;
    let text_form = bundle::to_text(&sealed);
    let code = qr::code(&text_form);
    let mut text = String::new();
    let mut files = Vec::new();
    if let Some(path) = args.out {
        write_private(&path, &sealed)?;
        files.push(path);
    }
    if let Some(path) = args.qr_svg {
        write_private(&path, qr::svg(code.as_ref().map_err(qr_failed)?).as_bytes())?;
        files.push(path);
    }
    if let Some(path) = args.qr_png {
        write_private(&path, &qr::png(code.as_ref().map_err(qr_failed)?)?)?;
        files.push(path);
    }
    if args.qr_terminal {
        text.push_str(&qr::terminal(code.as_ref().map_err(qr_failed)?));
        text.push('\n');
    }
    for path in &files {
        text.push_str(&format!("wrote {}\n", path.display()));
    }
    if generated {
        text.push_str(&format!("PIN  {}   (hand it over by another way)\n", *pin));
    }
    let pin = generated.then(|| pin.to_string());
    let json = json!({
        "uri": args.uri, "files": files, "bytes": sealed.len(), "pin": pin,
        "text": args.qr_terminal.then_some(text_form),
    });
    Ok(Report::new(text, json))
}

fn qr_failed(error: &DomainError) -> DomainError {
    DomainError::Qr(error.to_string())
}

fn run_fingerprint(dir: &Path) -> Result<Report, CliError> {
    let domain = Domain::open(dir)?;
    let key = domain.cms_key();
    let public = PublicDomain::of(&domain).fingerprint();
    let text = format!(
        "account             {}\nCMS key             {key}\nCMS fingerprint     {}\ndomain fingerprint  {public}\n",
        domain.account(),
        key.fingerprint()
    );
    let json = json!({
        "account": domain.account(), "cms_key": key, "fingerprint": key.fingerprint(),
        "domain_fingerprint": public,
    });
    Ok(Report::new(text, json))
}

fn run_rotate(dir: &Path, rotate: &Rotate, now: Timestamp) -> Result<Report, CliError> {
    let mut domain = Domain::open(dir)?;
    match rotate {
        Rotate::CmsKey => {
            let key = domain.rotate_cms_key(&mut OsRng)?;
            let text = format!(
                "CMS key      {key}\nfingerprint  {}\nnext: {}\n",
                key.fingerprint(),
                here(dir, "update create")
            );
            Ok(Report::new(text, json!({ "cms_key": key, "fingerprint": key.fingerprint() })))
        }
        Rotate::Ca => {
            domain.rotate_ca(&mut OsRng, now)?;
            let text = "added a CA; make and apply update files, export our public file again for connected\norganisations; when the old CA may go: crs-cms ca list";
            Ok(Report::new(text, json!({ "cas": domain.cas().len() })))
        }
    }
}

fn server_from(args: &ServerArgs, known: Option<&Server>) -> Result<Server, CliError> {
    let trust = match (&args.server_ca, &args.public_name) {
        (Some(path), _) => Some(ServerTrust::PoolCa(read_certificate(path)?.as_ref().into())),
        (None, Some(name)) => Some(ServerTrust::PublicName(name.clone())),
        (None, None) => known.and_then(|known| known.trust.clone()),
    };
    let mut addresses = args.server.clone();
    if let Some(wrong) = addresses.iter().find(|address| !is_host_port(address)) {
        return Err(CliError::Input {
            message: format!("{wrong} is not an address"),
            hint: "write it as host:port, for example crs1.example.org:5223 or [2001:db8::1]:5223",
        });
    }
    if addresses.len() > bundle::ADDRESSES_MAX {
        return Err(DomainError::Limit { what: "addresses", most: bundle::ADDRESSES_MAX }.into());
    }
    if addresses.is_empty() {
        addresses = known.map(|known| known.addresses.clone()).unwrap_or_default();
    }
    Ok(Server { addresses, trust })
}

fn is_host_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok()
    })
}

fn parse_secret(text: &str) -> Result<Secret, CliError> {
    Secret::from_base64(text).ok_or(CliError::Input {
        message: "the account secret is not base64".into(),
        hint: "copy it as crs-cli create account printed it (crs-cli list account --reveal shows it again)",
    })
}

fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, CliError> {
    let bytes = read_input(path)?;
    let certificate = match CertificateDer::from_pem_slice(&bytes) {
        Ok(certificate) => certificate,
        Err(_) => CertificateDer::from(bytes),
    };
    identity::verify_ca(&certificate).map_err(|error| CliError::Input {
        message: format!("{}: {error}", path.display()),
        hint: "give the pool's CA certificate in PEM or DER: pool-ca.pem in the data folder of a node",
    })?;
    Ok(certificate)
}

fn read_uris(path: &Path) -> Result<Vec<Uri>, CliError> {
    let bytes = read_input(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            Uri::parse(line).map_err(|error| CliError::Input {
                message: format!("{}:{number}: {error}", path.display()),
                hint: "put one number on each line",
            })
        })
        .collect()
}

fn read_input(path: &Path) -> Result<Vec<u8>, CliError> {
    let size = fs::metadata(path).map_err(|error| io_error(path, error))?.len();
    if size > INPUT_MAX {
        return Err(CliError::Input {
            message: format!("{} has {size} bytes, at most {INPUT_MAX} are read", path.display()),
            hint: "check that it is the right file",
        });
    }
    Ok(fs::read(path).map_err(|error| io_error(path, error))?)
}
