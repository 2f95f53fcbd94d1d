//! The `noroshi` program: arguments in, exit code out. Everything else is `noroshi::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    noroshi::cli::main()
}
