//! Measures how long the update file of a large domain takes to make and to open:
//! `cargo run --release -p crs-cms --example large_domain -- 50000`.

use crs_cms::{Domain, DomainError, Server, Settings, update};
use crs_keys::update::{Pin, open};
use crs_types::rng::OsRng;
use crs_types::{AccountId, Clock, Period, Secret, SystemClock, Uri};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let users: usize = std::env::args().nth(1).as_deref().unwrap_or("50000").parse()?;
    let temp = tempfile::tempdir()?;
    let clock = SystemClock::new();
    let now = clock.now();
    let secret = Secret::generate(&mut OsRng, 32);
    let settings = Settings {
        account: AccountId::parse("large")?,
        secret: secret.clone(),
        server: Server { addresses: Vec::new(), trust: None },
    };
    let mut domain = Domain::create(temp.path(), settings, &mut OsRng, now)?;
    (0..users).try_for_each(|n| -> Result<(), DomainError> {
        let uri = Uri::parse(&format!("+4670{n:07}"));
        uri.map_or(Ok(()), |uri| domain.add_user(uri, true))
    })?;
    let started = clock.mono();
    let created = update::create(&mut domain, Period::at(now), now, &|_| {})?;
    let made = clock.mono();
    let opened = open(&created.file, &secret, domain.account(), Pin::FirstUse)?;
    println!(
        "{} users: {} MB, made in {:?}, opened in {:?}",
        opened.update.users.len(),
        created.file.len() / 1_000_000,
        made.since(started),
        clock.mono().since(made),
    );
    Ok(())
}
