//! Scripts for tab completion: the static words from the command tree, and in bash the accounts
//! and numbers that the node knows.

use clap::Command;
use clap_complete::Shell;

/// The script to load into a shell.
pub(crate) fn script(shell: Shell, mut command: Command) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command, "crs-cli", &mut bytes);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if shell == Shell::Bash {
        text.push_str(BASH_LIVE);
    }
    text
}

/// Adds live values to the words of the generated function, and takes its placeholders away.
const BASH_LIVE: &str = r#"
_crs_cli_live() {
    _crs-cli "$@"
    local word kept=()
    for word in "${COMPREPLY[@]}"; do
        [[ $word == [\<\[]* ]] || kept+=("$word")
    done
    COMPREPLY=("${kept[@]}")
    [[ ${COMP_WORDS[COMP_CWORD]} == -* ]] && return 0
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    while IFS= read -r word; do
        [[ -n $word ]] && COMPREPLY+=("$word")
    done < <("${COMP_WORDS[0]}" complete -- "${words[@]}" 2>/dev/null)
    return 0
}
complete -F _crs_cli_live -o bashdefault -o default crs-cli
"#;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_elements() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = script(shell, Cli::command());
            for word in ["sharedSecret", "blacklist", "health-check", "relays"] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
        assert!(script(Shell::Bash, Cli::command()).contains("crs_cli_live"));
    }
}
