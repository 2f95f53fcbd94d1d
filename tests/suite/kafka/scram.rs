//! SCRAM credentials of a user, changed and taken away while a test runs.
//!
//! Owns one request of Kafka's protocol, written by hand: the client library has no call for it, and the broker's own tool
//! takes seconds to start.

use std::io::{Read, Write};
use std::net::TcpStream;

use sha2::{Digest as _, Sha512};

use super::{Broker, Login, STEP_MAX};

const ALTER: i16 = 51;
const SHA_512: u8 = 2;
/// The least that brokers take.
const ITERATIONS: u32 = 4_096;
const SALT: &[u8] = b"a salt for tests";
/// Of SHA-512, in bytes.
const BLOCK: usize = 128;

impl Broker {
    /// From here on this is the user's password for SCRAM-SHA-512; connections that stand go on.
    pub fn set_password(&self, login: &Login) {
        let mut upsertion = Vec::new();
        compact(&mut upsertion, login.user.as_bytes());
        upsertion.push(SHA_512);
        upsertion.extend(ITERATIONS.to_be_bytes());
        compact(&mut upsertion, SALT);
        compact(&mut upsertion, &salted(login.password.as_bytes()));
        upsertion.push(0);
        self.alter(&[&[1, 2], &upsertion[..]].concat());
    }

    /// Takes the user's credentials for SCRAM-SHA-512 away.
    pub fn forget_password(&self, user: &str) {
        let mut deletion = vec![2];
        compact(&mut deletion, user.as_bytes());
        deletion.extend([SHA_512, 0, 1]);
        self.alter(&deletion);
    }

    /// `lists` are the deletions and the upsertions, each with its length and one.
    fn alter(&self, lists: &[u8]) {
        let mut request = Vec::new();
        request.extend(ALTER.to_be_bytes());
        request.extend(0_i16.to_be_bytes());
        request.extend(1_i32.to_be_bytes());
        // No client id; an end of tagged fields after the header and after the body.
        request.extend((-1_i16).to_be_bytes());
        request.push(0);
        request.extend(lists);
        request.push(0);
        let mut stream = TcpStream::connect(&self.plaintext).expect("the broker accepts");
        stream.set_read_timeout(Some(STEP_MAX)).expect("a timeout");
        stream.write_all(&i32::try_from(request.len()).expect("small").to_be_bytes()).expect("writes");
        stream.write_all(&request).expect("writes");
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("an answer");
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        stream.read_exact(&mut answer).expect("a whole answer");
        // Correlation id, tags, throttle time, the length of the list, the user, then the error.
        let at = 11 + usize::from(answer[10]) - 1;
        let error = i16::from_be_bytes([answer[at], answer[at + 1]]);
        assert_eq!((answer[9], error), (2, 0), "{}", String::from_utf8_lossy(&answer));
    }
}

/// Bytes with their length and one; none of ours are longer than a varint of one byte.
fn compact(into: &mut Vec<u8>, bytes: &[u8]) {
    into.push(u8::try_from(bytes.len() + 1).ok().filter(|length| *length < 128).expect("short"));
    into.extend(bytes);
}

/// RFC 5802, `Hi`.
fn salted(password: &[u8]) -> Vec<u8> {
    let mut last = keyed(password, &[SALT, &1_u32.to_be_bytes()].concat());
    let mut all = last.clone();
    for _ in 1..ITERATIONS {
        last = keyed(password, &last);
        all.iter_mut().zip(&last).for_each(|(all, last)| *all ^= last);
    }
    all
}

/// HMAC-SHA-512.
fn keyed(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| -> Vec<u8> {
        (0..BLOCK).map(|at| key.get(at).copied().unwrap_or_default() ^ with).collect()
    };
    let inner = Sha512::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha512::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}
