//! A refusal while records are still being enqueued, as the client meets it.
//!
//! Owns what becomes of the records around those that are refused. It mirrors `sink::kafka::produce`: the transaction has
//! failed in the background, so the client takes no more records (`State`), what waits is purged, what is under way is
//! waited for, and the first refusal is the cause.

use std::sync::Arc;

use super::super::LaneId;
use super::super::broker::Request;
use super::super::state::State;
use crate::sink::Cause;

/// How often the client does not say which topic it was, in a thousand: the line of its log comes too late.
const NAMELESS: u64 = 60;

impl State {
    /// The broker refuses records. Those that were sent with them still arrive; the others were not enqueued yet, or are
    /// purged.
    pub(super) fn refused(&mut self, lane: LaneId, cause: Cause) {
        let nameless = matches!(cause, Cause::Topic(_)) && self.rng.per_mille(NAMELESS);
        let sink = &mut self.lives[lane].sink;
        let first = !std::mem::replace(&mut sink.refused, true);
        // Records that never arrived: their sequence goes on with a new epoch.
        sink.in_doubt = true;
        let Some(calling) = &mut sink.calling else { return };
        if let Cause::Topic(denied) = &cause {
            // A topic that is not in the transaction gets nothing; the request itself stays, to be ended below.
            let mut behind = calling.requests.split_off(1);
            behind.retain(|request| topic(request) != Some(denied));
            calling.requests.append(&mut behind);
        }
        let behind = calling.requests.len() - 1;
        if first {
            let sent = self.rng.index(behind + 1);
            calling.requests.truncate(1 + sent);
            sink.cause = (!nameless).then_some(cause);
            if nameless {
                self.cover("refused without a name");
            }
            if sent > 0 {
                self.cover("sent beside what is refused");
            }
            if sent < behind {
                self.cover("refused while others are enqueued");
            }
        }
        self.done(lane);
    }
}

fn topic(request: &Request) -> Option<&Arc<str>> {
    match request {
        Request::AddTopic { topic, .. } | Request::Produce { topic, .. } => Some(topic),
        _ => None,
    }
}
