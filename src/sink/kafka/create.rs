//! Creating the topics that a pipeline needs, with settings that suit it.
//!
//! Owns the settings. Called by `cli::topics`.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{DefaultClientContext, OAuthToken};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::kafka::TokenSource;

/// What a batch of one record may hold beside its value, in bytes: key, headers and framing.
const ROOM_BYTES: u64 = 64 << 10;
/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Replicas; -1 is the broker's default.
    pub replication: i32,
    /// Topic settings.
    pub settings: Vec<(&'static str, String)>,
}

impl TopicPlan {
    /// An input topic: the broker's own clock, because shippers write event times into the record's timestamp and
    /// retention would then delete late events at once. It takes every record that is not rejected for its size.
    pub fn input(name: &str, partitions: i32, replication: i32, record_bytes_max: u64) -> Self {
        let settings = vec![
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", (record_bytes_max + ROOM_BYTES).to_string()),
        ];
        Self { name: name.to_owned(), partitions, replication, settings }
    }

    /// A topic of alerts or rejects.
    pub fn output(name: &str, partitions: i32, replication: i32, message_bytes_max: u64) -> Self {
        let settings = vec![("max.message.bytes", (message_bytes_max + ROOM_BYTES).to_string())];
        Self { name: name.to_owned(), partitions, replication, settings }
    }
}

/// Creates topics and names those that it has created; those that are there already are left as they are. Returns
/// the problems, one line each.
pub fn create(
    config: &ClientConfig,
    token: &TokenSource,
    plans: &[TopicPlan],
) -> Result<BTreeSet<String>, Vec<String>> {
    if plans.is_empty() {
        return Ok(BTreeSet::new());
    }
    let admin: AdminClient<DefaultClientContext> =
        config.create().map_err(|error| vec![format!("the Kafka client cannot be created: {error}")])?;
    if config.get("sasl.mechanisms") == Some("OAUTHBEARER") {
        give_token(&admin, token).map_err(|why| vec![format!("no token for creating topics: {why}")])?;
    }
    let topics: Vec<NewTopic<'_>> = plans
        .iter()
        .map(|plan| {
            let replication = TopicReplication::Fixed(plan.replication);
            let topic = NewTopic::new(&plan.name, plan.partitions, replication);
            plan.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let results = block_on(admin.create_topics(&topics, &options))
        .map_err(|error| vec![format!("creating topics: {error}")])?;
    let mut created = BTreeSet::new();
    let mut problems = Vec::new();
    for result in results {
        match result {
            Ok(topic) => {
                created.insert(topic);
            }
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => problems.push(format!("creating `{topic}`: {code}")),
        }
    }
    if problems.is_empty() { Ok(created) } else { Err(problems) }
}

/// Hands the token over directly: rdkafka's admin client never serves librdkafka's request for one, so that
/// its connections would wait for ever. One token lasts longer than this client.
fn give_token(
    admin: &AdminClient<DefaultClientContext>,
    token: &TokenSource,
) -> Result<(), Box<dyn std::error::Error>> {
    let OAuthToken { token, principal_name, lifetime_ms } = token.token()?;
    let (token, principal) = (CString::new(token)?, CString::new(principal_name)?);
    let mut reason = [0u8; 256];
    // SAFETY: the client lives as long as the borrow of `admin`; both strings are NUL-terminated and outlive the
    // call, which copies them; no extensions are given, so their count is 0; `reason` is as long as it says, and
    // librdkafka writes no further.
    let code = unsafe {
        rdkafka::bindings::rd_kafka_oauthbearer_set_token(
            admin.inner().native_ptr(),
            token.as_ptr(),
            lifetime_ms,
            principal.as_ptr(),
            std::ptr::null_mut(),
            0,
            reason.as_mut_ptr().cast(),
            reason.len(),
        )
    };
    if code == rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    let said = CStr::from_bytes_until_nul(&reason).map(CStr::to_string_lossy).unwrap_or_default();
    Err(said.into())
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The admin client's futures need no runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
