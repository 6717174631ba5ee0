//! The process around the node: file mode mask, file limit, user.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Uid, User};

/// New files are for the service's user and group only.
pub fn set_umask() {
    umask(Mode::from_bits_truncate(0o027));
}

/// Raises the limit of open files to what the system allows; returns the limit.
pub fn raise_file_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

/// Refuses to run as another user than the configured one.
pub fn check_user(expected: Option<&str>) -> Result<(), String> {
    let Some(expected) = expected else { return Ok(()) };
    let uid = Uid::effective();
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    if name.as_deref() == Some(expected) {
        return Ok(());
    }
    let name = name.unwrap_or_else(|| uid.to_string());
    Err(format!(
        "the configuration says `user {expected}`, but this is {name}; start it as {expected}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_is_refused_by_name() {
        assert_eq!(check_user(None), Ok(()));
        let own = User::from_uid(Uid::effective()).unwrap().unwrap().name;
        assert_eq!(check_user(Some(&own)), Ok(()));
        let refusal = check_user(Some("nobody-of-this-name")).unwrap_err();
        assert!(
            refusal.contains("user nobody-of-this-name") && refusal.contains(&own),
            "{refusal}"
        );
    }

    #[test]
    fn the_file_limit_is_raised_to_the_hard_limit() {
        let limit = raise_file_limit();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, limit);
    }
}
