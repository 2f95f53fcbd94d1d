//! Secrets: where they are read from, and a value that cannot be printed.
//!
//! Owns the two places a secret may come from (a file, an environment variable), the reading, and the masking.
//! Which settings are secrets is declared in `config::broker`; clients are built in `config::kafka`, the only
//! caller that exposes a value.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, codes};

/// A secret larger than this is refused: no password or token needs it, a wrong path might.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where a secret is read from: `{ file = "/run/secrets/kafka" }` or `{ env = "KAFKA_PASSWORD" }`. It is never
/// written into the configuration. It is read each time a client is built, so a changed file takes effect
/// without a restart of the process. Trailing line breaks are cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Secret {
    /// The path of a file that holds nothing but the secret.
    File(PathBuf),
    /// The name of an environment variable that holds the secret.
    Env(String),
}

impl Secret {
    /// Reads the secret; `key` is the setting's name for the message. C003 when it cannot be read, is empty,
    /// too large or no text.
    pub fn read(&self, key: &str) -> Result<SecretValue, Diagnostic> {
        self.read_from(key, |name| std::env::var(name).ok())
    }

    pub(super) fn read_from(
        &self,
        key: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<SecretValue, Diagnostic> {
        let failed = |what: String| Diagnostic::new(codes::C003, format!("`{key}`: {what}"));
        let text = match self {
            Self::Env(name) => lookup(name).ok_or_else(|| {
                failed(format!("the environment variable `{name}` is not set, or is no text"))
                    .help("set the variable for this process, or name a file with { file = \"…\" }")
            })?,
            Self::File(path) => {
                let shown = path.display();
                let file = std::fs::File::open(path)
                    .map_err(|error| failed(format!("cannot open {shown}: {error}")))?;
                let mut bytes = Vec::new();
                file.take(SECRET_BYTES_MAX + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|error| failed(format!("cannot read {shown}: {error}")))?;
                // The error of a failed conversion carries the bytes: it is dropped on purpose.
                String::from_utf8(bytes).map_err(|_| failed(format!("{shown} is not UTF-8")))?
            }
        };
        if text.len() as u64 > SECRET_BYTES_MAX {
            return Err(failed(format!("more than {SECRET_BYTES_MAX} bytes are no secret")));
        }
        let trimmed = text.trim_end_matches(['\r', '\n']);
        if trimmed.is_empty() {
            return Err(failed("the secret is empty".into()));
        }
        if trimmed.contains('\0') {
            return Err(failed("the secret contains a zero byte".into()));
        }
        Ok(SecretValue(trimmed.to_owned()))
    }
}

/// A secret that was read. It has no `Serialize`, and `Debug` and `Display` print a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

impl SecretValue {
    /// The secret itself, for the client library.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-7f3a";

    #[test]
    fn a_secret_is_read_trimmed_and_masked() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("password");
        for (content, expect) in [
            ("canary-7f3a\n", Some(CANARY)),
            ("canary-7f3a\r\n\n", Some(CANARY)),
            (" canary-7f3a ", Some(" canary-7f3a ")),
            ("\n", None),
            ("a\0b", None),
        ] {
            std::fs::write(&path, content).expect("write");
            let from_file = Secret::File(path.clone()).read("kafka.sasl.password");
            let from_env = Secret::Env("P".into())
                .read_from("kafka.sasl.password", |name| (name == "P").then(|| content.to_owned()));
            for read in [from_file, from_env] {
                assert_eq!(read.as_ref().ok().map(SecretValue::expose), expect, "{content:?}");
                assert!(!format!("{read:?}").contains("canary"), "{content:?}");
                if let Ok(value) = read {
                    assert_eq!(format!("{value} {value:?}"), "*** ***");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_without_its_content() {
        let folder = tempfile::tempdir().expect("folder");
        let binary = folder.path().join("binary");
        std::fs::write(&binary, b"canary\xff").expect("write");
        let large = folder.path().join("large");
        std::fs::write(&large, "canary".repeat(20_000)).expect("write");
        for (secret, expect) in [
            (Secret::File(folder.path().join("none")), "cannot open"),
            (Secret::File(binary), "is not UTF-8"),
            (Secret::File(large), "more than 65536 bytes"),
            (Secret::Env("NOROSHI_TEST_NOT_SET".into()), "is not set"),
        ] {
            let error = secret.read("kafka.sasl.password").expect_err("refused");
            assert_eq!(error.code.id, "C003");
            let text = format!("{error} {error:?}");
            assert!(text.contains(expect) && text.contains("`kafka.sasl.password`"), "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
    }
}
