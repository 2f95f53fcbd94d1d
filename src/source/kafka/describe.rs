//! Which topic stands behind a name: its id, and how many partitions it has.
//!
//! Owns the calls to librdkafka's admin interface for it, which rdkafka does not wrap: this is one of the two places
//! with `unsafe` (the other gives a token to `topics --create`). Topic ids are the only thing by which a topic that was
//! made anew differs for sure, and librdkafka goes on at the old offset in silence. What follows is `source::troubles`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaRespErr as Code;

use crate::source::audit::TopicId;
use crate::source::troubles::Found;

/// Sixteen zero bytes: the topic has no id.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// A question under way. It must be gone before the client that it was asked of.
pub(super) struct Describing {
    queue: NonNull<sys::rd_kafka_queue_t>,
}

/// What is known of each topic that was asked for, or why nothing is.
pub(super) type Described = Result<BTreeMap<String, Found>, String>;

impl Describing {
    /// Asks, and gives the broker so long to answer; `None` when there is nothing to ask.
    pub(super) fn ask<C: ClientContext>(
        client: &Client<C>,
        topics: &BTreeSet<String>,
        patience: Duration,
    ) -> Option<Self> {
        // A name with a zero byte is no topic's.
        let texts: Vec<CString> =
            topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
        if texts.is_empty() {
            return None;
        }
        let mut names: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        let client = client.native_ptr();
        // SAFETY: the client lives as long as the borrow of it. `names` and the `texts` that it points to outlive the
        // call that copies them. Options and collection are copied by the request and destroyed here, once. The queue
        // is kept until the answer is there or nobody waits for it; the request holds a reference of its own.
        unsafe {
            let queue = NonNull::new(sys::rd_kafka_queue_new(client))?;
            let options = sys::rd_kafka_AdminOptions_new(
                client,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            );
            let mut why = [0u8; 128];
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                milliseconds(patience),
                why.as_mut_ptr().cast(),
                why.len(),
            );
            let collection = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            sys::rd_kafka_DescribeTopics(client, collection, options, queue.as_ptr());
            sys::rd_kafka_TopicCollection_destroy(collection);
            sys::rd_kafka_AdminOptions_destroy(options);
            Some(Self { queue })
        }
    }

    /// The answer, if it comes within `timeout`; it comes once.
    pub(super) fn answer(&mut self, timeout: Duration) -> Option<Described> {
        // SAFETY: the queue lives as long as `self`. The event is ours until it is destroyed, once, after all that
        // borrows from it has been copied.
        unsafe {
            let event = NonNull::new(sys::rd_kafka_queue_poll(self.queue.as_ptr(), milliseconds(timeout)))?;
            let described = read(event);
            sys::rd_kafka_event_destroy(event.as_ptr());
            Some(described)
        }
    }
}

impl Drop for Describing {
    fn drop(&mut self) {
        // SAFETY: the queue was made with the question and is given back once; an answer that comes later finds it closed.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// Asks and waits for the answer.
pub(super) fn describe<C: ClientContext>(
    client: &Client<C>,
    topics: &BTreeSet<String>,
    patience: Duration,
) -> Described {
    let Some(mut describing) = Describing::ask(client, topics, patience) else { return Ok(BTreeMap::new()) };
    // librdkafka itself answers when the broker does not; a second more than it waits.
    let answer = describing.answer(patience + Duration::from_secs(1));
    answer.unwrap_or_else(|| Err("no answer".to_owned()))
}

/// Copies an answer out of its event.
///
/// # Safety
///
/// The event lives, and nobody else reads it.
unsafe fn read(event: NonNull<sys::rd_kafka_event_t>) -> Described {
    // SAFETY: what the event and its parts hand out lives as long as the event; each pointer is checked before it is
    // followed, and each list is as long as librdkafka says.
    unsafe {
        let code = sys::rd_kafka_event_error(event.as_ptr());
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            let why = text(sys::rd_kafka_event_error_string(event.as_ptr()));
            return Err(why.unwrap_or_else(|| format!("{code:?}")));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        if result.is_null() {
            return Err("an answer to something else".to_owned());
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let mut described = BTreeMap::new();
        for at in 0..if topics.is_null() { 0 } else { count } {
            let topic = *topics.add(at);
            if let Some(name) = text(sys::rd_kafka_TopicDescription_name(topic)) {
                described.insert(name, found(topic));
            }
        }
        Ok(described)
    }
}

/// What the broker says of one topic.
///
/// # Safety
///
/// The description lives.
unsafe fn found(topic: *const sys::rd_kafka_TopicDescription_t) -> Found {
    // SAFETY: as for the event that it is part of. The code of no error is that of success.
    unsafe {
        let error = sys::rd_kafka_TopicDescription_error(topic);
        let code =
            if error.is_null() { Code::RD_KAFKA_RESP_ERR_NO_ERROR } else { sys::rd_kafka_error_code(error) };
        match code {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => {}
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => return Found::Missing,
            _ => return Found::Unknown,
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let id = if id.is_null() { None } else { text(sys::rd_kafka_Uuid_base64str(id)) };
        // Kafka's tools write it so that it may stand in an address.
        let id = id.filter(|id| id != NO_ID).map(|id| id.replace('+', "-").replace('/', "_"));
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        Found::Present {
            id: id.map(|id| TopicId(Arc::from(id))),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
        }
    }
}

/// # Safety
///
/// Null, or a text that ends with a zero byte and lives.
unsafe fn text(from: *const c_char) -> Option<String> {
    // SAFETY: as the caller says.
    (!from.is_null()).then(|| unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned())
}

fn milliseconds(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}
