//! The files that TLS needs: whether they are there, and hold what they should in PEM.
//!
//! librdkafka names neither the setting nor the file when it cannot use one. Owns D001 and C006 of these files. What
//! is in a certificate, and whether a key fits it, is left to OpenSSL. Called by `config::kafka`.

use std::io::Read;
use std::path::Path;

use crate::diagnostic::{Diagnostic, codes};

/// Of a file larger than this, only so many bytes are looked at: a system's bundle of authorities has half a MiB.
const LOOKED_AT_BYTES_MAX: u64 = 16 << 20;

/// What a file should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// At least one certificate.
    Certificate,
    /// A private key.
    Key,
}

impl Content {
    /// Whether the label of a block says so, as OpenSSL takes them.
    fn is(self, label: &str) -> bool {
        match self {
            Self::Certificate => ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"].contains(&label),
            Self::Key => label.ends_with("PRIVATE KEY"),
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
        }
    }
}

/// Looks at the file of the setting `key`. Nothing of what it holds is in the fault.
pub fn look(key: &str, path: &Path, content: Content) -> Result<(), Diagnostic> {
    let fault = |code, what: String| Err(Diagnostic::new(code, format!("`{key}`: {what}")));
    let opened = std::fs::File::open(path).and_then(|file| Ok((file.metadata()?.is_file(), file)));
    let file = match opened {
        Ok((true, file)) => file,
        Ok((false, _)) => return fault(codes::D001, format!("{} is no file", path.display())),
        Err(error) => return fault(codes::D001, format!("cannot open {}: {error}", path.display())),
    };
    let mut bytes = Vec::new();
    if let Err(error) = file.take(LOOKED_AT_BYTES_MAX).read_to_end(&mut bytes) {
        return fault(codes::D001, format!("cannot read {}: {error}", path.display()));
    }
    let text = String::from_utf8_lossy(&bytes);
    let labels = labels(&text);
    if labels.iter().any(|label| content.is(label)) {
        return Ok(());
    }
    let wanted = content.shown();
    let message = format!("{} holds no {wanted} in PEM", path.display());
    let other = match content {
        Content::Certificate => Content::Key,
        Content::Key => Content::Certificate,
    };
    let help = if bytes.is_empty() {
        "the file is empty".to_owned()
    } else if labels.iter().any(|label| other.is(label)) {
        format!("it holds a {}: two settings may have changed places", other.shown())
    } else if bytes.starts_with(&[0x30]) {
        // The tag of an ASN.1 sequence, with which certificates, keys and PKCS #12 begin.
        "it looks like DER or PKCS #12: `openssl x509`, `openssl pkey` and `openssl pkcs12` make PEM of it"
            .to_owned()
    } else {
        format!("it should hold a block from `-----BEGIN … {}-----` to its END", wanted.to_uppercase())
    };
    fault(codes::C006, message).map_err(|diagnostic| diagnostic.help(help))
}

/// The labels of all blocks that begin and end.
fn labels(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open = None;
    for line in text.lines().map(str::trim_end) {
        let named = |begin: &str| line.strip_prefix(begin)?.strip_suffix("-----");
        if let Some(label) = named("-----BEGIN ") {
            open = Some((label, false));
        } else if let Some(label) = named("-----END ") {
            found.extend(open.take().filter(|(begun, filled)| *begun == label && *filled).map(|_| label));
        } else if let Some((_, filled)) = &mut open {
            *filled |= !line.is_empty();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_it_should() {
        use Content::{Certificate, Key};
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("tls");
        let block = |label: &str| format!("-----BEGIN {label}-----\nQ0FOQVJZ\n-----END {label}-----\n");
        let (certificate, key) = (block("CERTIFICATE"), block("PRIVATE KEY"));
        for (text, content, expect) in [
            (certificate.clone(), Certificate, None),
            (format!("subject=CN = x\n\n{key}{certificate}"), Certificate, None),
            (certificate.replace('\n', "\r\n"), Certificate, None),
            (block("TRUSTED CERTIFICATE"), Certificate, None),
            (key.clone(), Key, None),
            (block("ENCRYPTED PRIVATE KEY"), Key, None),
            (block("RSA PRIVATE KEY"), Key, None),
            (String::new(), Certificate, Some("the file is empty")),
            ("Q0FOQVJZ".into(), Certificate, Some("BEGIN … CERTIFICATE")),
            ("Q0FOQVJZ".into(), Key, Some("BEGIN … PRIVATE KEY")),
            (key.clone(), Certificate, Some("it holds a private key")),
            (certificate.clone(), Key, Some("it holds a certificate")),
            (block("CERTIFICATE REQUEST"), Certificate, Some("BEGIN … CERTIFICATE")),
            (certificate.replace("-----END", "----END"), Certificate, Some("BEGIN … CERTIFICATE")),
            (certificate.replace("Q0FOQVJZ\n", ""), Certificate, Some("BEGIN … CERTIFICATE")),
            ("0\u{82}\u{1}".into(), Certificate, Some("looks like DER")),
        ] {
            std::fs::write(&path, &text).expect("write");
            match (look("kafka.tls.ca_file", &path, content), expect) {
                (Ok(()), None) => {}
                (Err(found), Some(part)) => {
                    let shown = found.to_string();
                    let said = [part, "`kafka.tls.ca_file`", &path.to_string_lossy(), "[C006]"];
                    assert!(said.iter().all(|part| shown.contains(part)), "{text}: {shown}");
                    assert!(!shown.contains("Q0FO"), "{shown}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
