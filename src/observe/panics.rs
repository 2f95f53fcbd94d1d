//! Panics that are caught: what is told of them.
//!
//! Owns [`caught`] and the process's panic hook. A panic's message may quote what it stumbled over, and that may be
//! telemetry; so of a panic that is caught only its place in the program is kept, and nothing is printed. All other
//! panics are told as ever. Called by `pipeline::engine` and `detect`.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// What ran has panicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stage of the program panicked{}", .place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default())]
pub struct Panicked {
    /// `file:line` in the program, when it is known.
    pub place: Option<String>,
}

thread_local! {
    /// How many calls of [`caught`] this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs something that may panic. What it has changed by then is the caller's to put right: hence no demand that it
/// be unwind-safe.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    install();
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(run));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|_| Panicked { place: PLACE.take() })
}

/// Puts the hook before the one that is there, once.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if DEPTH.get() == 0 {
                return others(info);
            }
            let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            PLACE.set(place);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_tells_its_place_and_nothing_of_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        let secret: &[u8] = b"password";
        let line = line!() + 1;
        let told = caught(|| assert!(secret.is_empty(), "{secret:?}")).expect_err("it panics").to_string();
        assert_eq!(told, format!("a stage of the program panicked at {}:{line}", file!()));
        // Inside of another, and after one.
        let inner = caught(|| caught(|| secret[99]).is_err());
        assert_eq!(inner, Ok(true));
        assert_eq!(DEPTH.get(), 0);
    }
}
