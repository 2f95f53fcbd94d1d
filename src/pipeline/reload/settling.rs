//! When a changed set of files is taken: pure decisions on fingerprints.
//!
//! Owns the rules: what already runs is not taken again, what is still being written is not taken yet, what was
//! refused is not tried again until it changes, somebody asks, or the reason lay elsewhere. It knows neither files
//! nor a clock. Called by the parent with each look.

/// Milliseconds on any monotonic clock.
pub type Millis = u64;

/// A set that was refused for a reason outside of its files (a topic is missing) is tried again after this time.
pub const TRY_AGAIN_MS: Millis = 30_000;
/// Looks that each found something else, before it is said that the files keep changing.
const RESTLESS_LOOKS: u32 = 60;

/// What follows from a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing has changed, or it was refused before.
    Rest,
    /// Something has changed: look again soon whether it is complete.
    LookAgain,
    /// The same, for a long time already: say so.
    Restless,
    /// Read the files and try to run them.
    Take,
    /// The files are those that run; somebody asked.
    Unchanged,
    /// The files are again those that run, after others had been refused.
    Restored,
}

/// A set that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused {
    content: String,
    /// When it is tried again although its files are the same.
    again: Option<Millis>,
}

/// What is known of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settling {
    /// What runs.
    running: String,
    refused: Option<Refused>,
    /// What the last look found, when it was neither of these.
    seen: Option<String>,
    /// Looks in a row that found something new.
    restless: u32,
    /// Somebody asked and has no answer yet.
    asked: bool,
}

impl Settling {
    /// With the fingerprint of what runs.
    pub fn new(running: String) -> Self {
        Self { running, refused: None, seen: None, restless: 0, asked: false }
    }

    /// A look found this.
    pub fn look(&mut self, now: Millis, found: &str, asked: bool) -> Turn {
        self.asked |= asked;
        if found == self.running {
            self.settle();
            let asked = std::mem::take(&mut self.asked);
            return match self.refused.take() {
                Some(_) => Turn::Restored,
                None if asked => Turn::Unchanged,
                None => Turn::Rest,
            };
        }
        let refused = self.refused.as_ref().filter(|refused| refused.content == found);
        if let Some(refused) = refused
            && !self.asked
            && refused.again.is_none_or(|at| now < at)
        {
            self.settle();
            return Turn::Rest;
        }
        if self.seen.as_deref() == Some(found) {
            self.settle();
            return Turn::Take;
        }
        self.seen = Some(found.to_owned());
        self.restless += 1;
        if self.restless.is_multiple_of(RESTLESS_LOOKS) { Turn::Restless } else { Turn::LookAgain }
    }

    /// What was taken runs.
    pub fn runs(&mut self, content: String) {
        self.running = content;
        self.refused = None;
        self.asked = false;
    }

    /// What was taken was refused; with `elsewhere`, for a reason that is not in the files.
    pub fn refuse(&mut self, now: Millis, content: String, elsewhere: bool) {
        let again = elsewhere.then_some(now + TRY_AGAIN_MS);
        self.refused = Some(Refused { content, again });
        self.asked = false;
    }

    /// What was taken had changed again before it was read to its end; `found` is what is there now.
    pub fn moved(&mut self, found: String) {
        self.seen = Some(found);
    }

    /// Whether somebody waits for an answer: what was taken may have changed before there was one.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// Whether a look is due soon.
    pub fn is_restless(&self) -> bool {
        self.seen.is_some()
    }

    fn settle(&mut self) {
        self.seen = None;
        self.restless = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Turn::{LookAgain, Rest, Restless, Restored, Take, Unchanged};
    use super::*;

    enum Step {
        /// At this time this was found; and what must follow.
        Look(Millis, &'static str, Turn),
        /// The same, and somebody asked.
        Ask(Millis, &'static str, Turn),
        Runs(&'static str),
        Refuse(Millis, &'static str, bool),
        Moved(&'static str),
    }
    use Step::{Ask, Look, Moved, Refuse, Runs};

    #[test]
    fn what_follows_from_each_look() {
        for (what, steps) in [
            (
                "nothing changes",
                vec![Look(0, "a", Rest), Look(1, "a", Rest), Ask(2, "a", Unchanged), Look(3, "a", Rest)],
            ),
            (
                "a change is taken once two looks agree",
                vec![Look(0, "b", LookAgain), Look(1, "b", Take), Runs("b"), Look(2, "b", Rest)],
            ),
            (
                "a set that is being written is not taken",
                vec![
                    Look(0, "b", LookAgain),
                    Look(1, "c", LookAgain),
                    Look(2, "d", LookAgain),
                    Look(3, "d", Take),
                    Moved("e"),
                    Look(4, "e", Take),
                ],
            ),
            (
                "a change that is taken back is none",
                vec![Look(0, "b", LookAgain), Look(1, "a", Rest), Look(2, "b", LookAgain)],
            ),
            (
                "what was refused is not tried again",
                vec![
                    Look(0, "b", LookAgain),
                    Look(1, "b", Take),
                    Refuse(1, "b", false),
                    Look(2, "b", Rest),
                    Look(99_999, "b", Rest),
                    Look(100_000, "c", LookAgain),
                    Look(100_001, "c", Take),
                    Runs("c"),
                    Look(100_002, "b", LookAgain),
                ],
            ),
            (
                "unless somebody asks",
                vec![
                    Look(0, "b", LookAgain),
                    Look(1, "b", Take),
                    Refuse(1, "b", false),
                    Ask(2, "b", LookAgain),
                    Look(3, "b", Take),
                    Refuse(3, "b", false),
                    Look(4, "b", Rest),
                ],
            ),
            (
                "and who asks gets an answer, also when the files change meanwhile",
                vec![
                    Look(0, "b", LookAgain),
                    Look(1, "b", Take),
                    Refuse(1, "b", false),
                    Ask(2, "b", LookAgain),
                    Look(3, "b", Take),
                    Moved("c"),
                    Look(4, "b", LookAgain),
                    Look(5, "b", Take),
                    Refuse(5, "b", false),
                    Look(6, "b", Rest),
                ],
            ),
            (
                "or the reason lies elsewhere",
                vec![
                    Look(0, "b", LookAgain),
                    Look(1, "b", Take),
                    Refuse(1, "b", true),
                    Look(TRY_AGAIN_MS, "b", Rest),
                    Look(TRY_AGAIN_MS + 1, "b", LookAgain),
                    Look(TRY_AGAIN_MS + 2, "b", Take),
                    Runs("b"),
                ],
            ),
            (
                "a rollback to what runs ends the refusal",
                vec![
                    Look(0, "b", LookAgain),
                    Look(1, "b", Take),
                    Refuse(1, "b", false),
                    Look(2, "a", Restored),
                    Look(3, "a", Rest),
                ],
            ),
        ] {
            let mut settling = Settling::new("a".into());
            for (at, step) in steps.into_iter().enumerate() {
                match step {
                    Look(now, found, expect) => {
                        assert_eq!(settling.look(now, found, false), expect, "{what}: step {at}");
                    }
                    Ask(now, found, expect) => {
                        assert_eq!(settling.look(now, found, true), expect, "{what}: step {at}");
                    }
                    Runs(content) => settling.runs(content.into()),
                    Refuse(now, content, elsewhere) => settling.refuse(now, content.into(), elsewhere),
                    Moved(found) => settling.moved(found.into()),
                }
            }
        }
    }

    #[test]
    fn files_that_never_come_to_rest_are_told_of_now_and_then() {
        let mut settling = Settling::new("a".into());
        let turns: Vec<Turn> =
            (0..2 * u64::from(RESTLESS_LOOKS)).map(|at| settling.look(at, &at.to_string(), false)).collect();
        let told: Vec<usize> =
            turns.iter().enumerate().filter(|(_, turn)| **turn == Restless).map(|(at, _)| at + 1).collect();
        assert_eq!(told, [RESTLESS_LOOKS as usize, 2 * RESTLESS_LOOKS as usize]);
        assert!(settling.is_restless());
    }
}
