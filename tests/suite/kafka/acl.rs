//! Rights on the broker, given and taken while a test runs.
//!
//! Owns two requests of Kafka's protocol, written by hand: the client library has no call for them, and the broker's own
//! tool takes seconds to start.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Broker, STEP_MAX};

const CREATE: i16 = 30;
const DELETE: i16 = 31;
/// The last version without tagged fields.
const VERSION: i16 = 1;
const OPERATION_ALL: u8 = 2;
const DENY: u8 = 2;
const ALLOW: u8 = 3;

/// What rights are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// All topics whose names begin so.
    Topics(&'a str),
    /// A consumer group.
    Group(&'a str),
    /// All transactional ids that begin so.
    TransactionalIds(&'a str),
}

impl Resource<'_> {
    /// Kind, name, and whether the name is whole or a beginning.
    fn encode(self, into: &mut Vec<u8>) {
        let (kind, name, pattern) = match self {
            Self::Topic(name) => (2, name, 3),
            Self::Topics(name) => (2, name, 4),
            Self::Group(name) => (3, name, 3),
            Self::TransactionalIds(name) => (5, name, 4),
        };
        into.push(kind);
        text(into, name);
        into.push(pattern);
    }
}

impl Broker {
    /// Allows a user everything with a resource.
    pub fn allow(&self, user: &str, resource: Resource<'_>) {
        self.acl(CREATE, user, resource, ALLOW);
    }

    /// Forbids a user everything with a resource, whatever else allows it.
    pub fn deny(&self, user: &str, resource: Resource<'_>) {
        self.acl(CREATE, user, resource, DENY);
    }

    /// Takes a [`deny`](Self::deny) back.
    pub fn no_longer_deny(&self, user: &str, resource: Resource<'_>) {
        self.acl(DELETE, user, resource, DENY);
    }

    fn acl(&self, api: i16, user: &str, resource: Resource<'_>, permission: u8) {
        let mut request = Vec::new();
        request.extend(api.to_be_bytes());
        request.extend(VERSION.to_be_bytes());
        request.extend(1_i32.to_be_bytes());
        text(&mut request, "test");
        request.extend(1_i32.to_be_bytes());
        resource.encode(&mut request);
        text(&mut request, &format!("User:{user}"));
        text(&mut request, "*");
        request.extend([OPERATION_ALL, permission]);
        let mut stream = TcpStream::connect(&self.plaintext).expect("the broker accepts");
        stream.set_read_timeout(Some(STEP_MAX)).expect("a timeout");
        stream.write_all(&size(request.len()).to_be_bytes()).expect("writes");
        stream.write_all(&request).expect("writes");
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("an answer");
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        stream.read_exact(&mut answer).expect("a whole answer");
        // Correlation id, throttle time, one result; its first field is the error. A deletion tells what it matched.
        let error = i16::from_be_bytes([answer[12], answer[13]]);
        let told = String::from_utf8_lossy(&answer[14..]).into_owned();
        assert_eq!(error, 0, "{resource:?}: {told}");
        assert!(api == CREATE || told.contains(user), "{resource:?}: nothing was taken back: {told}");
    }
}

fn text(into: &mut Vec<u8>, text: &str) {
    into.extend(i16::try_from(text.len()).expect("short").to_be_bytes());
    into.extend(text.as_bytes());
}

fn size(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("small")
}
