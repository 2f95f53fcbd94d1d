//! Rules, tables and pipeline while the process runs: a changed set is read, checked, compiled and offered to the
//! lanes, or refused with its reasons while the old one goes on.
//!
//! Owns the thread that does so, beside the way of the data, and what it says in log, metrics and `/status`. When a
//! set is complete enough to be taken is `settling`'s, when a lane exchanges it `cycle`'s (I-8). Started by
//! `cli::run`.

mod look;
mod settling;

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use look::Looker;
use settling::{Settling, Turn};

use super::definition::Pipeline;
use super::lane::Stop;
use super::load::{self, Sound};
use super::service::ServiceError;
use super::slot::Slot;
use super::watch::Observed;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, codes};
use crate::observe::health::ReloadStatus;
use crate::observe::metrics::Reload as Counted;
use crate::record::wall_clock;
use crate::rules::{RuleLimits, RuleSet};

/// Looks at files that change follow each other this fast, or as fast as the interval when that is shorter.
const SETTLE: Duration = Duration::from_secs(1);
/// Problems of a refused set that are logged and shown; the others are counted.
const PROBLEMS_MAX: usize = 20;
/// Warnings that are remembered, so that they are not logged again with each reload.
const WARNINGS_MAX: usize = 1_000;

/// Wakes the thread: SIGHUP asks for a look at once.
#[derive(Clone, Default)]
pub struct Wake(Arc<(Mutex<bool>, Condvar)>);

impl Wake {
    /// Asks for a look.
    pub fn ask(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits until somebody asks, at most this long; whether somebody did.
    fn wait(&self, most: Option<Duration>) -> bool {
        let (asked, changed) = &*self.0;
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked = match most {
            Some(most) => {
                let waited = changed.wait_timeout_while(asked, most, |asked| !*asked);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => changed.wait_while(asked, |asked| !*asked).unwrap_or_else(PoisonError::into_inner),
        };
        std::mem::take(&mut *asked)
    }
}

/// The files of a pipeline as they were when it was read at the start.
pub struct Looked {
    looker: Looker,
    content: String,
}

impl Looked {
    /// The fingerprint.
    pub fn content(&self) -> &str {
        &self.content
    }
}

/// Reads a pipeline folder for the start. The look comes first: a change during the reading is noticed later.
pub fn start(path: &Path, limits: &RuleLimits) -> Result<(Looked, Sound), Vec<Diagnostic>> {
    let mut looker = Looker::new(path, limits.clone());
    let content = looker.look(SystemTime::now());
    Ok((Looked { looker, content }, load::load(path, limits)?))
}

/// Asks the broker whether it has what a changed pipeline needs in addition: the running one, the new one.
pub type Admit = Box<dyn FnMut(&Pipeline, &Pipeline) -> Result<(), ServiceError> + Send>;

/// Follows the files of one pipeline.
pub struct Reload {
    limits: RuleLimits,
    interval: Option<Duration>,
    looker: Looker,
    settling: Settling,
    slot: Arc<Slot>,
    observed: Observed,
    admit: Admit,
    began: Instant,
    /// Warnings that were told.
    warned: HashSet<String>,
    /// The last refusal as it was told: the same is not told again while it is tried again, unless somebody asked.
    told: Vec<String>,
}

/// A set that may not run.
struct Refusal {
    problems: Vec<Diagnostic>,
    /// The reason is not in the files.
    elsewhere: bool,
}

impl From<Vec<Diagnostic>> for Refusal {
    fn from(problems: Vec<Diagnostic>) -> Self {
        Self { problems, elsewhere: false }
    }
}

impl Reload {
    /// For a pipeline that was read at the start and is the slot's first; `warnings` were told then.
    pub fn new(
        looked: Looked,
        warnings: &[Diagnostic],
        config: &Config,
        slot: Arc<Slot>,
        observed: Observed,
        admit: Admit,
    ) -> Self {
        Self {
            limits: RuleLimits::from(&config.limits),
            interval: Some(config.reload.interval_ms).filter(|ms| *ms > 0).map(Duration::from_millis),
            looker: looked.looker,
            settling: Settling::new(looked.content),
            slot,
            observed,
            admit,
            began: Instant::now(),
            warned: warnings.iter().map(Diagnostic::to_string).take(WARNINGS_MAX).collect(),
            told: Vec::new(),
        }
    }

    /// Follows the files on a thread of its own until the process is asked to stop.
    pub fn spawn(mut self, wake: Wake, stop: Stop) -> std::io::Result<()> {
        let body = move || {
            while stop.asked() == 0 {
                let asked = wake.wait(self.pause());
                if stop.asked() == 0 {
                    if asked {
                        // Who asks has perhaps changed something that lanes wait for.
                        self.slot.retry();
                    }
                    self.turn(asked);
                }
            }
        };
        std::thread::Builder::new().name("reload".into()).spawn(body).map(drop)
    }

    /// Time until the next look; without end when only a signal asks for one.
    fn pause(&self) -> Option<Duration> {
        let settle = self.interval.map_or(SETTLE, |interval| interval.min(SETTLE));
        if self.settling.is_restless() { Some(settle) } else { self.interval }
    }

    /// One look, and what follows from it.
    fn turn(&mut self, asked: bool) {
        let content = self.looker.look(SystemTime::now());
        match self.settling.look(self.now(), &content, asked) {
            Turn::Rest | Turn::LookAgain => {}
            Turn::Restless => {
                tracing::warn!("The files keep changing: none of their states is taken until they rest.");
            }
            Turn::Take => self.take(content),
            Turn::Unchanged => {
                tracing::info!(content, "The files are those that run: nothing to reload.");
                self.report(Counted::Unchanged, &content, &[]);
            }
            Turn::Restored => {
                tracing::info!(content, "The files are those that run again: nothing to reload.");
                self.told.clear();
                self.report(Counted::Unchanged, &content, &[]);
            }
        }
    }

    /// Reads a set that has come to rest, and offers or refuses it; unless it has changed meanwhile.
    fn take(&mut self, content: String) {
        let read = catch_unwind(AssertUnwindSafe(|| self.read())).unwrap_or_else(|_| {
            Err(vec![Diagnostic::new(codes::Q025, "reading the files failed unexpectedly")].into())
        });
        let found = self.looker.look(SystemTime::now());
        if found != content {
            return self.settling.moved(found);
        }
        match read {
            Ok(sound) => self.offer(content, sound),
            Err(refusal) => self.refuse(content, &refusal),
        }
    }

    fn read(&mut self) -> Result<Sound, Refusal> {
        let sound = load::load(self.looker.path(), &self.limits)?;
        let running = self.slot.newest().compiled;
        let (old, new) = (&running.pipeline, &sound.compiled.pipeline);
        if old.name != new.name {
            let message = format!(
                "the pipeline is now called `{}`, and runs as `{}`: its name is part of the consumer group and of the \
                 transactional ids",
                new.name, old.name
            );
            let help =
                "give it its old name, or restart: a new group begins where each source's `start` says";
            return Err(vec![Diagnostic::new(codes::P008, message).help(help)].into());
        }
        (self.admit)(old, new).map_err(|error| Refusal {
            problems: vec![Diagnostic::new(codes::P009, error.to_string())],
            elsewhere: true,
        })?;
        Ok(sound)
    }

    fn offer(&mut self, content: String, sound: Sound) {
        let new = sound.warnings.iter().chain(&sound.unfed).map(Diagnostic::to_string);
        let new: HashSet<String> = new.take(WARNINGS_MAX).collect();
        for warning in new.difference(&self.warned) {
            tracing::warn!(warning = warning.as_str(), "A warning about the changed files.");
        }
        self.warned = new;
        let old = self.slot.newest();
        let changes = Changes::between(&old.compiled.rules, &sound.compiled.rules);
        self.observed.foresees(&sound.compiled);
        let newest = self.slot.offer(Arc::new(sound.compiled), &content, wall_clock());
        tracing::info!(
            from = old.compiled.rules.version(),
            to = newest.compiled.rules.version(),
            generation = newest.number,
            content,
            rules = newest.compiled.rules.rules().len(),
            added = changes.added,
            removed = changes.removed,
            changed = changes.changed,
            "The changed files are sound: each lane runs them from its next epoch on."
        );
        self.told.clear();
        self.report(Counted::Loaded, &content, &[]);
        self.settling.runs(content);
    }

    fn refuse(&mut self, content: String, refusal: &Refusal) {
        let problems: Vec<&Diagnostic> =
            refusal.problems.iter().filter(|problem| problem.is_error()).collect();
        let texts: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
        let is_new = texts != self.told;
        if is_new || self.settling.is_asked() {
            let running = self.slot.newest();
            tracing::error!(
                content,
                problems = texts.len(),
                still = running.compiled.rules.version(),
                "The changed files are refused; what ran before goes on."
            );
            for problem in texts.iter().take(PROBLEMS_MAX) {
                tracing::error!(problem = problem.as_str(), "A problem of the changed files.");
            }
            if texts.len() > PROBLEMS_MAX {
                let more = texts.len() - PROBLEMS_MAX;
                tracing::error!(more, "More problems; `noroshi check` shows all.");
            }
        }
        if is_new {
            let first = texts.first().map_or("", String::as_str);
            self.observed.health.error("reload_refused", first);
            self.told = texts;
        }
        self.report(Counted::Refused, &content, &problems);
        self.settling.refuse(self.now(), content, refusal.elsewhere);
    }

    fn report(&self, outcome: Counted, content: &str, problems: &[&Diagnostic]) {
        self.observed.metrics.reload(outcome);
        self.observed.health.reload(ReloadStatus {
            time_ms: wall_clock().div_euclid(1_000),
            outcome: outcome.as_str(),
            content: content.to_owned(),
            problems_total: problems.len() as u64,
            problems: problems.iter().take(PROBLEMS_MAX).map(|problem| problem.to_json()).collect(),
        });
    }

    fn now(&self) -> settling::Millis {
        settling::Millis::try_from(self.began.elapsed().as_millis()).unwrap_or(settling::Millis::MAX)
    }
}

/// How many rules one set has that the other does not have so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Changes {
    added: usize,
    removed: usize,
    changed: usize,
}

impl Changes {
    fn between(old: &RuleSet, new: &RuleSet) -> Self {
        let versions = |set: &'_ RuleSet| -> BTreeMap<String, String> {
            set.rules().iter().map(|rule| (rule.meta.id.clone(), rule.version.clone())).collect()
        };
        let (old, new) = (versions(old), versions(new));
        let common = || new.iter().filter_map(|(id, version)| Some((old.get(id)?, version)));
        Self {
            added: new.len() - common().count(),
            removed: old.len() - common().count(),
            changed: common().filter(|(before, after)| before != after).count(),
        }
    }
}

#[cfg(test)]
#[path = "reload/tests.rs"]
mod tests;
