//! Tokens for OAUTHBEARER.
//!
//! Owns the reading of the token file, the claims that Kafka's client must know (lifetime, principal), and the
//! unsigned tokens for experiments. Called by `config::kafka`, which hands the token to the client library. Whether a token is genuine is the broker's to judge.

use serde::Deserialize;

use super::Config;
use super::secret::Secret;
use crate::diagnostic::{Diagnostic, codes};

/// Setting named in messages.
const KEY: &str = "kafka.sasl.oauthbearer.token_file";

/// A token and what the client library wants to know about it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The token itself: a secret.
    pub token: String,
    /// The principal.
    pub principal: String,
    /// When it expires, in milliseconds since 1970.
    pub lifetime_ms: i64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("token", &"***")
            .field("principal", &self.principal)
            .field("lifetime_ms", &self.lifetime_ms)
            .finish()
    }
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    sub: Option<String>,
}

/// The token to use now (milliseconds since 1970). C003 when the file cannot be read, holds no JWT, or an expired
/// one.
pub fn token(config: &Config, now_ms: i64) -> Result<Token, Diagnostic> {
    let oauth = &config.kafka.sasl.oauthbearer;
    if oauth.unsecured {
        let principal = oauth.principal.clone().unwrap_or_default();
        return Ok(unsecured(principal, now_ms, i64::from(oauth.unsecured_lifetime_s)));
    }
    let failed = |what: &str| Diagnostic::new(codes::C003, format!("`{KEY}`: {what}"));
    let Some(path) = &oauth.token_file else { return Err(failed("no token is configured")) };
    let read = Secret::File(path.clone()).read(KEY)?;
    let token = read.expose().trim();
    let claims = claims(token).ok_or_else(|| failed("the file holds no JSON Web Token"))?;
    let Some(expires) = claims.exp.filter(|seconds| seconds.is_finite() && *seconds > 0.0) else {
        return Err(failed("the token has no `exp` claim, so nobody knows when to read it again"));
    };
    // Beyond 2^53 ms (the year 287396) floating point is no longer exact, and nobody minds.
    let lifetime_ms = (expires * 1_000.0).min(9.0e15) as i64;
    if lifetime_ms <= now_ms {
        return Err(failed("the token has expired").help("what writes the file has stopped renewing it"));
    }
    let principal = oauth.principal.clone().or(claims.sub).filter(|name| !name.contains('\0'));
    let Some(principal) = principal else {
        return Err(failed("the token has no `sub` claim").help("set kafka.sasl.oauthbearer.principal"));
    };
    Ok(Token { token: token.to_owned(), principal, lifetime_ms })
}

fn unsecured(principal: String, now_ms: i64, lifetime_s: i64) -> Token {
    let issued = now_ms.div_euclid(1_000);
    let expires = issued.saturating_add(lifetime_s);
    let claims = serde_json::json!({ "sub": principal, "iat": issued, "exp": expires });
    let token = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(claims.to_string().as_bytes()));
    Token { token, principal, lifetime_ms: expires.saturating_mul(1_000) }
}

fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    serde_json::from_slice(&decode(claims)?).ok()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 in its URL form without padding (RFC 4648 §5).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| (group << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            let six = (group >> (18 - 6 * at)) & 63;
            text.extend(ALPHABET.get(six as usize).map(|letter| char::from(*letter)));
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        if chunk.len() == 1 {
            return None;
        }
        let mut group = 0u32;
        for letter in chunk {
            let six = ALPHABET.iter().position(|known| known == letter)?;
            group = (group << 6) | u32::try_from(six).ok()?;
        }
        group <<= 6 * (4 - chunk.len());
        let [_, whole @ ..] = group.to_be_bytes();
        bytes.extend_from_slice(whole.get(..chunk.len() - 1)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn with_file(content: &str) -> Result<Token, Diagnostic> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("token");
        std::fs::write(&path, content).expect("write");
        let mut config = Config::default();
        config.kafka.sasl.oauthbearer.token_file = Some(path);
        token(&config, NOW_MS)
    }

    fn jwt(claims: &str) -> String {
        format!("{}.{}.c2lnbmF0dXJl\n", encode(b"{}"), encode(claims.as_bytes()))
    }

    #[test]
    fn the_file_gives_token_principal_and_lifetime() {
        let text = jwt(r#"{"sub":"noroshi@例え","exp":1700000600,"aud":["kafka"]}"#);
        let token = with_file(&text).expect("token");
        assert_eq!(token.token, text.trim());
        assert_eq!(token.principal, "noroshi@例え");
        assert_eq!(token.lifetime_ms, 1_700_000_600_000);
        assert!(!format!("{token:?}").contains(text.trim()));
    }

    #[test]
    fn bad_tokens_are_refused_without_being_shown() {
        for (text, expect) in [
            ("canary".to_owned(), "no JSON Web Token"),
            ("canary.canary!.x".to_owned(), "no JSON Web Token"),
            (jwt(r#"{"sub":"canary"}"#), "no `exp` claim"),
            (jwt(r#"{"sub":"canary","exp":1700000000}"#), "has expired"),
            (jwt(r#"{"exp":1700000600}"#), "no `sub` claim"),
            (String::new(), "is empty"),
        ] {
            let error = with_file(&text).expect_err(expect);
            assert_eq!(error.code.id, "C003");
            assert!(error.message.contains(expect), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn an_unsecured_token_is_a_token_like_others() {
        let mut config = Config::default();
        config.kafka.sasl.oauthbearer.unsecured = true;
        config.kafka.sasl.oauthbearer.principal = Some("tester".into());
        let token = token(&config, NOW_MS).expect("token");
        assert_eq!((token.principal.as_str(), token.lifetime_ms), ("tester", NOW_MS + 3_600_000));
        let claims = claims(&token.token).expect("claims");
        assert_eq!((claims.sub.as_deref(), claims.exp), (Some("tester"), Some(1_700_003_600.0)));
        assert_eq!(token.token.split('.').next(), Some("eyJhbGciOiJub25lIn0"));
    }

    #[test]
    fn base64_goes_both_ways() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xfb\xff", "-_8")]
        {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Some(bytes));
        }
        assert_eq!(decode("A"), None);
        assert_eq!(decode("a+b/"), None);
    }
}
