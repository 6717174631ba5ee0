//! The `crs-cms` command.

fn main() -> std::process::ExitCode {
    crs_cms::cli::main()
}
