//! `noroshi topics`: what a pipeline needs on the broker, and creating it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use super::exit::{CliError, Outcome};
use super::output::{Format, Terminal, plural};
use super::place::Place;
use crate::config::Config;
use crate::config::kafka::{self, TokenSource};
use crate::pipeline::definition::Pipeline;
use crate::sink::kafka::create::{TopicPlan, create};
use crate::source::kafka::preflight::{Preflight, TopicState};

/// List the topics that a pipeline needs; create them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a configured broker the list is printed without the state of each topic. With --create each topic is `created`
or `exists`; one that exists is left as it is, also when it has another number of partitions than --partitions asks for.
The exit code is 1 while one is missing, or may not be used.

Examples:
  noroshi topics --pipeline pipelines/demo
  noroshi topics --pipeline pipelines/demo --create --partitions 4 --set kafka.bootstrap_servers=localhost:9092")]
pub struct TopicsArgs {
    #[command(flatten)]
    place: Place,
    /// Create what is missing.
    #[arg(long)]
    create: bool,
    /// Partitions of topics that are created. Input topics: at least one for each lane of all processes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    /// Replicas of topics that are created; -1 takes the broker's default.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    replication_factor: i32,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Lists, and creates when asked.
pub fn main(args: &TopicsArgs, _terminal: &Terminal) -> Result<Outcome, CliError> {
    let config = args.place.config()?;
    let pipeline = Pipeline::load(&args.place.pipeline)?;
    let mut wanted: BTreeMap<String, (&'static str, String)> = BTreeMap::new();
    for source in &pipeline.sources {
        for topic in &source.topics {
            wanted.insert(topic.clone(), ("input", source.id.to_string()));
        }
    }
    for organisation in &pipeline.organisations {
        for (template, role) in [(&pipeline.alerts, "alerts"), (&pipeline.rejects, "rejects")] {
            wanted.insert(template.topic(&organisation.id), (role, String::new()));
        }
    }
    let online = args.create || !config.kafka.bootstrap_servers.is_empty();
    let mut states: BTreeMap<String, TopicState> = BTreeMap::new();
    let mut created: BTreeSet<String> = BTreeSet::new();
    if online {
        config.reachable()?;
        let client = kafka::admin(&config)?;
        let connect = || Preflight::connect(&client, TokenSource::new(&config), Duration::from_secs(10));
        let unreachable =
            |error: crate::source::kafka::preflight::PreflightError| CliError::kafka(error.to_string());
        let preflight = connect().map_err(unreachable)?;
        for topic in wanted.keys() {
            states.insert(topic.clone(), preflight.topic(topic).map_err(unreachable)?);
        }
        if args.create {
            let plans = plans(args, &config, &wanted, &states);
            created = create(&client, &TokenSource::new(&config), &plans)
                .map_err(|problems| CliError::kafka(problems.join("; ")))?;
            for plan in plans {
                let state = if created.contains(&plan.name) {
                    TopicState::Present(usize::try_from(plan.partitions).unwrap_or(0))
                } else {
                    // Somebody else has created it in the meantime.
                    preflight.topic(&plan.name).map_err(unreachable)?
                };
                states.insert(plan.name, state);
            }
        }
    }
    if !online {
        let why = "no broker is configured, so what there is of topics is unknown; --set kafka.bootstrap_servers=host:9092 asks one";
        let _ = writeln!(std::io::stderr().lock(), "noroshi: {why}");
    }
    let asked = args.create.then_some(args.partitions);
    let shown = wanted
        .keys()
        .map(|topic| (topic.as_str(), shown(states.get(topic).copied(), created.contains(topic), asked)));
    print(args.format, &wanted, &shown.collect())?;
    // A script that waits for the topics asks in vain as long as one is of no use.
    let lacking = states.values().any(|state| matches!(state, TopicState::Missing | TopicState::Forbidden));
    Ok(if lacking { Outcome::Problems } else { Outcome::Done })
}

/// The state of a topic in words. `asked` is how many partitions a topic that is created gets; none without
/// `--create`.
fn shown(state: Option<TopicState>, created: bool, asked: Option<i32>) -> String {
    match (state, asked) {
        (None, _) => "unknown".to_owned(),
        (Some(TopicState::Missing), _) => "missing".to_owned(),
        (Some(TopicState::Forbidden), _) => "no rights".to_owned(),
        (Some(TopicState::Present(partitions)), None) => plural(partitions, "partition"),
        (Some(TopicState::Present(partitions)), Some(_)) if created => {
            format!("created, {}", plural(partitions, "partition"))
        }
        (Some(TopicState::Present(partitions)), Some(asked)) => {
            let differs = usize::try_from(asked) != Ok(partitions);
            let not = if differs { format!(", not {asked}") } else { String::new() };
            format!("exists, {}{not}", plural(partitions, "partition"))
        }
    }
}

fn plans(
    args: &TopicsArgs,
    config: &Config,
    wanted: &BTreeMap<String, (&'static str, String)>,
    states: &BTreeMap<String, TopicState>,
) -> Vec<TopicPlan> {
    let missing = wanted.iter().filter(|(topic, _)| states.get(*topic) == Some(&TopicState::Missing));
    missing
        .map(|(topic, (role, _))| {
            let (partitions, replication) = (args.partitions, args.replication_factor);
            match *role {
                "input" => TopicPlan::input(topic, partitions, replication, config.limits.record_bytes_max),
                _ => TopicPlan::output(topic, partitions, replication, config.limits.message_bytes_max),
            }
        })
        .collect()
}

fn print(
    format: Format,
    wanted: &BTreeMap<String, (&'static str, String)>,
    states: &BTreeMap<&str, String>,
) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    let state = |topic: &str| states.get(topic).map_or("", String::as_str);
    if format == Format::Json {
        let topics: Vec<serde_json::Value> = wanted
            .iter()
            .map(|(topic, (role, source))| {
                serde_json::json!({ "topic": topic, "role": role, "source": source, "state": state(topic) })
            })
            .collect();
        writeln!(out, "{:#}", serde_json::Value::from(topics))?;
        return Ok(());
    }
    let width = wanted.keys().map(String::len).max().unwrap_or(0);
    let state_width = states.values().map(String::len).max().unwrap_or(0);
    for (topic, (role, source)) in wanted {
        let role = if source.is_empty() { (*role).to_owned() } else { format!("{role} of {source}") };
        writeln!(out, "{topic:width$}  {:state_width$}  {role}", state(topic))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_says_whether_it_was_created_or_there_before() {
        let there = |partitions| Some(TopicState::Present(partitions));
        for (state, created, asked, expect) in [
            (None, false, None, "unknown"),
            (there(4), false, None, "4 partitions"),
            (there(1), false, None, "1 partition"),
            (Some(TopicState::Missing), false, None, "missing"),
            (Some(TopicState::Forbidden), false, Some(4), "no rights"),
            (there(4), true, Some(4), "created, 4 partitions"),
            (there(4), false, Some(4), "exists, 4 partitions"),
            (there(2), false, Some(4), "exists, 2 partitions, not 4"),
        ] {
            assert_eq!(shown(state, created, asked), expect, "{state:?}, created {created}, asked {asked:?}");
        }
    }
}
