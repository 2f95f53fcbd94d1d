//! The configuration: any text is one, or is refused with places inside it; a secret that stands in it is refused and shown
//! nowhere.
//!
//! An input is a file; behind a line `--set` the pairs of that option, behind a line `--environment` variables.

use noroshi::config::{Config, LoadOptions};
use noroshi::diagnostic::{Diagnostic, SourceFile};

use super::said;

const SECRET: &str = "canary-9b1d";
/// A text up to this length gets the secret in all ways.
const ALL_WAYS_BYTES_MAX: usize = 64;

/// Ways to write a secret where it must not be: at the beginning or the end of the file, or beside it.
enum Place {
    First(&'static str),
    Last(&'static str),
    Set(&'static str),
    Variable(&'static str),
}

const PLACES: &[Place] = &[
    Place::Last("[kafka.sasl]\npassword = \"canary-9b1d\"\n"),
    Place::Last("[kafka.sasl]\npassword = canary-9b1d\n"),
    Place::Last("[kafka.producer.properties]\n'sasl.password' = 'canary-9b1d'\n"),
    Place::Last("[kafka.consumer.properties]\n\"ssl.key.password\" = canary-9b1d"),
    Place::Last("kafka = { sasl = { password = 'canary-9b1d' } }\n"),
    Place::Last("[kafka.tls]\nkey_password = { value = 'canary-9b1d' }\n"),
    Place::Last("[kafka.sasl.password]\nvalue = 'canary-9b1d'\n"),
    Place::Last("[kafka.sasl]\npassword = '''\ncanary-9b1d"),
    Place::Last("[kafka.tls]\nkey_password = [\n'canary-9b1d' ;\n"),
    Place::First("kafka.sasl.password = 'canary-9b1d'\n"),
    Place::First("[kafka.sasl]\nusername = 'me'\npassword = '''canary-9b1d'''\n"),
    Place::First("[kafka.tls]\nkey_password = ['canary-9b1d']\n"),
    Place::First("[kafka.consumer.properties]\nsasl.oauthbearer.client.secret = 'canary-9b1d'\n"),
    Place::Set("kafka.sasl.password=canary-9b1d"),
    Place::Set("kafka.tls.key_password=canary-9b1d"),
    Place::Variable("NOROSHI__KAFKA__SASL__PASSWORD"),
    Place::Variable("NOROSHI__KAFKA__CONSUMER__PROPERTIES__SASL_PASSWORD"),
];

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, environment) = text.split_once("\n--environment\n").unwrap_or((text, ""));
    let (text, set) = text.split_once("\n--set\n").unwrap_or((text, ""));
    let variable = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        (format!("NOROSHI__{name}"), value.to_owned())
    };
    let options = LoadOptions {
        set: set.lines().map(str::to_owned).collect(),
        environment: environment.lines().map(variable).collect(),
        ..LoadOptions::default()
    };
    match Config::from_file(&SourceFile::new("noroshi.toml", text), &options) {
        Ok(config) => said::sound(&config.warnings(), false),
        Err(found) => {
            assert!(!found.is_empty(), "refused without a word");
            said::sound(&found, set.is_empty() && environment.is_empty());
            lengths(&found, text);
        }
    }
    if !data.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) {
        // All ways take long: with a longer text one of them.
        let all = text.len() <= ALL_WAYS_BYTES_MAX;
        for (_, place) in PLACES.iter().enumerate().filter(|(at, _)| all || *at == data.len() % PLACES.len())
        {
            secret(place, text, options.clone());
        }
    }
}

/// The masked copy that diagnostics point into has the file's length, or places would be wrong.
fn lengths(found: &[Diagnostic], text: &str) {
    for location in found.iter().filter_map(|diagnostic| diagnostic.location.as_ref()) {
        assert_eq!(location.file.text.len(), text.len(), "{}", location.file.text);
    }
}

fn secret(place: &Place, text: &str, mut options: LoadOptions) {
    let text = match place {
        Place::First(first) => format!("{first}{text}"),
        Place::Last(last) => format!("{text}\n{last}"),
        Place::Set(pair) => {
            options.set.push((*pair).to_owned());
            text.to_owned()
        }
        Place::Variable(name) => {
            options.environment.push(((*name).to_owned(), SECRET.to_owned()));
            text.to_owned()
        }
    };
    let result = Config::from_file(&SourceFile::new("noroshi.toml", text.as_str()), &options);
    let Err(found) = result else { panic!("a secret in the configuration was taken:\n{text}") };
    for diagnostic in &found {
        let shown = format!(
            "{}{diagnostic}{}{:?}",
            diagnostic.render(false),
            diagnostic.to_json(),
            diagnostic.message
        );
        assert!(!shown.contains(SECRET), "{shown}\n{text}");
    }
}
