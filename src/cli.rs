//! The command line: one file a command, this one for what they share.
//!
//! Owns arguments, help, exit codes, and how problems reach a person or a machine. Commands put the other
//! modules together; nobody calls them but `main`.

mod cases;
mod check;
mod completions;
mod costs;
mod demo;
mod dlq;
mod exit;
mod explain;
mod output;
mod place;
mod provenance;
mod run;
mod scan;
mod sigma;
mod signals;
mod test;
mod topics;
mod values;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use exit::{CliError, Outcome};
use output::Terminal;
use signals::Signals;

const AFTER_HELP: &str = "\
Examples:
  noroshi demo                                     alerts on synthetic telemetry, no Kafka needed
  noroshi check rules/                             all problems of all rules, each at its place
  noroshi scan --rules rules/ --source windows-json --org ministry events.ndjson.gz
  noroshi run --pipeline pipelines/demo --set kafka.bootstrap_servers=localhost:9092

Exit codes:
  0  done; nothing wrong
  1  problems were found: check, test and explain; dlq show found nothing, dlq replay refused some
  2  wrong arguments, configuration, pipeline or rules
  3  Kafka cannot be reached, refuses, or failed for good
  4  another process has taken over a lane's identity
  5  the deadline for stopping passed; uncommitted records will be read again
  6  standard output could not be written (a full disk): what was to be printed is not complete
  7  the group's offsets are not what this process has committed: find out who moved them";

/// Detects signs of attacks in telemetry: SQL rules over Kafka, alerts exactly once.
#[derive(Debug, Parser)]
#[command(name = "noroshi", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
struct Cli {
    /// When to use colour. `auto`: at a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, default_value_t = output::Colour::Auto)]
    colour: output::Colour,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show alerts on synthetic telemetry, with a Kafka inside the process.
    Demo(demo::DemoArgs),
    /// Run a pipeline: telemetry from Kafka, alerts to Kafka.
    Run(run::RunArgs),
    /// Search files or standard input with the same engine, without Kafka.
    Scan(scan::ScanArgs),
    /// Find all problems in rules, pipelines, schemas and configuration.
    Check(check::CheckArgs),
    /// Say what a rule looks for and what it costs; with an event, why it fires or does not.
    Explain(explain::ExplainArgs),
    /// Run the tests inside rules and the case folders of pipelines.
    Test(test::TestArgs),
    /// Look at Sigma rules: which of them can find anything, and what they are in SQL.
    Sigma(sigma::SigmaArgs),
    /// List the topics that a pipeline needs; create them.
    Topics(topics::TopicsArgs),
    /// Show rejects, and send them in again.
    Dlq(dlq::DlqArgs),
    /// Print completions for a shell.
    Completions(completions::CompletionsArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    // First of all: whoever starts a service may stop it at any time.
    let heard = signals::is_service(std::env::args_os().skip(1)).then(Signals::of_service);
    let parsed = Cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(told) => return tell(&told),
    };
    let terminal = Terminal::new(cli.colour);
    let result = match cli.command {
        Command::Demo(args) => demo::main(&args, &terminal),
        Command::Run(args) => run::main(&args, &terminal, heard.unwrap_or_else(Signals::of_service)),
        Command::Scan(args) => scan::main(&args, &terminal),
        Command::Check(args) => check::main(&args, &terminal),
        Command::Explain(args) => explain::main(&args, &terminal),
        Command::Test(args) => test::main(&args, &terminal),
        Command::Sigma(args) => sigma::main(&args, &terminal),
        Command::Topics(args) => topics::main(&args, &terminal),
        Command::Dlq(args) => dlq::main(&args, &terminal),
        Command::Completions(args) => completions::main(&args, &mut Cli::command()),
    };
    // What lies in the buffer is lost in silence otherwise.
    let result =
        result.and_then(|outcome| read_or_not(std::io::stdout().flush().map_err(CliError::from), outcome));
    match result {
        Ok(outcome) => outcome.code(),
        Err(error) => terminal.fail(&error).code(),
    }
}

/// What a command has found does not depend on whether somebody reads all of it.
fn read_or_not(written: Result<(), CliError>, found: Outcome) -> Result<Outcome, CliError> {
    match written {
        Ok(()) | Err(CliError::BrokenPipe) => Ok(found),
        Err(error) => Err(error),
    }
}

/// Help, the version, or what is wrong with the arguments.
fn tell(told: &clap::Error) -> ExitCode {
    match told.print().and_then(|()| std::io::stdout().flush()) {
        Ok(()) => ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(2)),
        Err(error) => Terminal::new(output::Colour::Never).fail(&error.into()).code(),
    }
}
