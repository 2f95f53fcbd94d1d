//! Places in a transaction where a test lets the process die.
//!
//! Owns the variable that names one, in debug builds; in a release build nothing of it is there. Called by the parent
//! before and after each producer call.

use crate::sink::transaction::Call;

/// `before:Commit:3`: before or after, the call, and the epoch (this one, or the first after it).
#[cfg(debug_assertions)]
const VARIABLE: &str = "NOROSHI_TEST_CRASH";

/// Dies here, at once and without cleaning up, when the variable names this place.
#[cfg(debug_assertions)]
pub(super) fn point(after: bool, call: Call, epoch: u64) {
    use std::sync::LazyLock;

    static WANTED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let (place, epoch) = text.rsplit_once(':')?;
        Some((place.to_owned(), epoch.parse().ok()?))
    });
    let Some((place, from)) = &*WANTED else { return };
    let here = format!("{}:{call:?}", if after { "after" } else { "before" });
    if epoch >= *from && *place == here {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn point(_after: bool, _call: Call, _epoch: u64) {}
