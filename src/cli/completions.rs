//! `noroshi completions`.

use clap_complete::Shell;

use super::exit::{CliError, Outcome};

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  noroshi completions bash > /etc/bash_completion.d/noroshi")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes to standard output.
pub fn main(args: &CompletionsArgs, command: &mut clap::Command) -> Result<Outcome, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "noroshi", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?;
    Ok(Outcome::Done)
}
