//! Scripts for tab completion.
//!
//! In bash the program itself says what may stand at the cursor (`crs-cli complete`), so accounts
//! and numbers are there too and nothing can be out of date. The generator of clap_complete 4.6
//! mixes up the names of its cases when the program's name has a hyphen.

use clap::Command;
use clap_complete::Shell;

/// The script to load into a shell.
pub(crate) fn script(shell: Shell, mut command: Command) -> String {
    if shell == Shell::Bash {
        return BASH.to_owned();
    }
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command, "crs-cli", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Status 0 of `complete` means that names of files may stand there when it prints nothing.
const BASH: &str = r#"_crs_cli() {
    local IFS=$'\n'
    COMPREPLY=($("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)) ||
        compopt +o default +o bashdefault 2>/dev/null
    return 0
}
complete -F _crs_cli -o bashdefault -o default crs-cli
"#;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_shell_gets_a_script() {
        for shell in [Shell::Zsh, Shell::Fish] {
            let text = script(shell, Cli::command());
            for word in ["sharedSecret", "blacklist", "health-check", "relays"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
        assert!(script(Shell::Bash, Cli::command()).contains("complete -F _crs_cli"));
    }
}
