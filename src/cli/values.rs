//! `--values`: what Sigma's placeholders stand for, where no pipeline says it, or instead of what it says.
//!
//! Owns the argument. The files are `rules::sigma`'s to read. Called by all commands that load rules without running them.

use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, codes};
use crate::rules::Selection;

/// The argument, shared by commands.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ValuesArg {
    /// A folder with what %placeholders% of Sigma rules stand for: Servers.txt for %Servers%, a value a line, `*` and `?` as
    /// wildcards, `#` before remarks. Goes before a pipeline's own `values`.
    #[arg(long = "values", value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl ValuesArg {
    /// Puts the folder into the choice of rules; what is wrong when there is none.
    pub fn put_into(&self, selection: &mut Selection) -> Result<(), Diagnostic> {
        let Some(folder) = &self.folder else { return Ok(()) };
        if !folder.is_dir() {
            let message = format!("--values: {} is no folder", folder.display());
            let help = "make it, with a file NAME.txt for each placeholder %NAME%";
            return Err(Diagnostic::new(codes::G016, message).help(help));
        }
        selection.values = Some(folder.clone());
        Ok(())
    }
}
