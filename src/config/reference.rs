//! The reference page and the JSON Schema of the configuration, generated from the code.
//!
//! Owns the rendering. `docs/configuration.md` and `schemas/config.schema.json` are committed copies; a test
//! compares them and rewrites them when `NOROSHI_BLESS=1` is set. Also called by `cli` to print the schema.

use std::fmt::Write;

use serde_json::Value;

use super::kafka::{COMMON, CONSUMER, PRODUCER, Preset};
use super::keys::{self, Key, Kind};
use super::refused::REFUSED;

/// `schemas/config.schema.json`.
pub fn schema() -> String {
    keys::schema().page("Noroshi configuration")
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from src/config. To change this page, change the documentation there, then run
     NOROSHI_BLESS=1 cargo test config::reference -->

What a process needs to know beside its pipeline. Every setting has a default. Later layers win:

1. the defaults below,
2. a TOML file: the one that `--config` names, or else `noroshi.toml` in the current directory, if it exists,
3. environment variables: `NOROSHI__`, then the names joined by two underscores, for example
   `NOROSHI__KAFKA__BOOTSTRAP_SERVERS=kafka-0:9092,kafka-1:9092`,
4. `--set` on the command line, for example `--set kafka.bootstrap_servers=kafka-0:9092`.

A key that is not known is an error in each of them. The JSON Schema for editors is
[`schemas/config.schema.json`](../schemas/config.schema.json).

Secrets are never written into the configuration. A setting of the type *secret* takes `{ file = \"/run/secrets/x\" }`
or `{ env = \"VARIABLE\" }`; it is read when a client is built. From the environment and on the command line:
`NOROSHI__KAFKA__SASL__PASSWORD__FILE=/run/secrets/x`, `--set kafka.sasl.password.file=/run/secrets/x`.

A small file:

```toml
[kafka]
bootstrap_servers = [\"kafka-0.example.org:9093\"]
security_protocol = \"sasl_ssl\"

[kafka.tls]
ca_file = \"/etc/noroshi/ca.pem\"

[kafka.sasl]
mechanism = \"SCRAM-SHA-512\"
username = \"noroshi\"
password = { file = \"/run/secrets/kafka-password\" }

[log]
format = \"json\"
```
";

/// `docs/configuration.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    let (sections, keys) = keys::all();
    for section in sections.iter().filter(|section| !section.path.is_empty()) {
        let own: Vec<&Key> =
            keys.iter().filter(|key| key.path.split_last().is_some_and(|(_, p)| p == section.path)).collect();
        let _ = write!(page, "\n## `[{}]`\n\n{}\n", section.path.join("."), section.description);
        for key in own {
            let name = key.path.last().map_or("", String::as_str);
            let _ = write!(page, "\n**`{name}`** ({}", kind(key.kind));
            if !key.allowed.is_empty() {
                let _ = write!(page, ": {}", key.allowed);
            }
            let _ = write!(page, "; {})  \n{}\n", default(&key.default), key.description);
        }
    }
    page.push_str("\n## What Noroshi sets for librdkafka\n\nThese can be overridden under `properties`.\n");
    for (title, presets) in [("All clients", COMMON), ("Consumers", CONSUMER), ("Producers", PRODUCER)] {
        let _ = write!(page, "\n{title}:\n\n| property | value | why |\n|---|---|---|\n");
        for (name, value, why) in presets as &[Preset] {
            let _ = writeln!(page, "| `{name}` | `{value}` | {why} |");
        }
    }
    page.push_str(
        "\n## What is refused under `properties`\n\nSetting one of these is the error C001.\n\n| property | why |\n|---|---|\n",
    );
    for (names, reason) in REFUSED {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(page, "| {} | {reason} |", names.join(", "));
    }
    page
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "integer",
        Kind::Boolean => "boolean",
        Kind::List => "list of texts",
        Kind::Properties => "table of librdkafka properties",
        Kind::Secret => "secret",
    }
}

fn default(value: &Value) -> String {
    match value {
        Value::Null => "not set".into(),
        Value::Array(items) if items.is_empty() => "default empty".into(),
        Value::Object(items) if items.is_empty() => "default empty".into(),
        other => format!("default `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::committed::assert_committed;

    #[test]
    fn the_reference_page_is_current() {
        assert_committed("docs/configuration.md", &page());
    }

    #[test]
    fn the_schema_is_current() {
        assert_committed("schemas/config.schema.json", &schema());
    }

    #[test]
    fn the_example_of_the_page_is_a_valid_file() {
        let example = INTRODUCTION.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let file = crate::diagnostic::SourceFile::new("example.toml", example.expect("an example"));
        let read = crate::document::read_toml::<crate::config::Config>(&file);
        assert!(read.is_ok(), "{:?}", read.err());
    }
}
