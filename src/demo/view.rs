//! What a person sees while a command runs: alerts as they come, a line with the figures, a summary at the end.
//!
//! Owns the view and how its text looks. It measures nothing and has no clock: whoever calls it brings the figures
//! and the time. Bytes of events are made printable before they reach a terminal. Called by `noroshi demo`, and by
//! other commands that run for long.
//!
//! On a terminal alerts scroll above a status line; elsewhere (a file, a pipe, a container's log) there is a line for
//! each alert and a line of figures every [`STATUS_EVERY`]. Both go to the error stream, so that the output stays
//! free for results.

mod summary;
#[cfg(test)]
mod tests;
mod text;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

pub use summary::Summary;
use text::{LEVEL_COLUMNS, Paint};

use super::clock::{Form, Stamp};
use crate::printable;
use crate::rules::meta::RuleLevel;

/// Without a terminal, a line of figures is written at most this often.
pub const STATUS_EVERY: Duration = Duration::from_secs(2);
/// On a terminal, at most so many alerts are shown between two calls of [`View::progress`]; the rest is counted in
/// a line. People cannot read more, and drawing would hold up the work.
pub const ALERTS_SHOWN_AT_ONCE_MAX: u64 = 40;

/// The rate is taken over at least this long.
const RATE_OVER: Duration = Duration::from_secs(1);
/// Columns for an organisation's id.
const ORG_COLUMNS: usize = 10;
/// Columns for a rule's title.
const TITLE_COLUMNS: usize = 80;
/// Columns for what an alert is about.
const ENTITY_COLUMNS: usize = 60;

/// How far the work is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Records read.
    pub records: u64,
    /// Records there are, when that is known.
    pub records_total: Option<u64>,
    /// Events made of them.
    pub events: u64,
    /// Records that could not be read.
    pub rejects: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Records that wait in Kafka.
    pub lag: Option<u64>,
    /// Epochs committed; 0 where there are none.
    pub epochs: u64,
    /// How long the last commit took.
    pub last_commit: Option<Duration>,
    /// Time since the start.
    pub elapsed: Duration,
}

/// An alert in one line.
#[derive(Debug, Clone)]
pub struct AlertLine {
    /// When it happened, in milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: i64,
    /// The rule's level.
    pub level: RuleLevel,
    /// The organisation.
    pub org_id: String,
    /// The rule's title.
    pub title: String,
    /// What it is about: host, account, address. Comes from events, so nothing about it is trusted.
    pub entity: String,
}

impl AlertLine {
    /// The line. Times are UTC.
    fn render(&self, paint: Paint) -> String {
        let level = printable::fit(text::level_name(self.level), LEVEL_COLUMNS);
        format!(
            "{} {} {} {}  {}",
            paint.dim(&of_day(self.time_ms)),
            paint.level(self.level, &level),
            printable::fit(&self.org_id, ORG_COLUMNS),
            paint.bold(&printable::line(&self.title, TITLE_COLUMNS)),
            printable::line(&self.entity, ENTITY_COLUMNS),
        )
        .trim_end()
        .to_owned()
    }
}

/// The view of one run.
pub struct View {
    surface: Surface,
    paint: Paint,
    rate: Rate,
    last: Option<Progress>,
    shown: u64,
    unshown: u64,
}

enum Surface {
    Live { bars: MultiProgress, bar: ProgressBar },
    Plain { out: Box<dyn Write + Send>, last_status: Option<Duration> },
}

impl View {
    /// A view under a title. `colour` is the caller's decision (`NO_COLOR`, `--colour`); `live` asks for the status
    /// line, which there only is when the error stream is a terminal.
    pub fn start(title: &str, colour: bool, live: bool) -> Self {
        if !(live && std::io::stderr().is_terminal()) {
            return Self::plain(title, colour, Box::new(std::io::stderr()));
        }
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let bar = bars.add(ProgressBar::no_length());
        bar.set_style(style("{spinner} {wide_msg}"));
        let surface = Surface::Live { bars, bar };
        Self::with(surface, title, colour)
    }

    /// A view that writes lines, whatever `out` is.
    pub fn plain(title: &str, colour: bool, out: Box<dyn Write + Send>) -> Self {
        Self::with(Surface::Plain { out, last_status: None }, title, colour)
    }

    fn with(surface: Surface, title: &str, colour: bool) -> Self {
        let paint = Paint { colour };
        let rate = Rate::default();
        let mut view = Self { surface, paint, rate, last: None, shown: 0, unshown: 0 };
        view.line(&paint.bold(&printable::line(title, usize::MAX)));
        view
    }

    /// Shows the figures. Call it as often as you like; ten times a second is smooth.
    pub fn progress(&mut self, progress: &Progress) {
        self.rate.note(progress);
        self.flush_unshown();
        self.shown = 0;
        self.last = Some(progress.clone());
        let per_second = self.rate.per_second;
        match &mut self.surface {
            Surface::Live { bar, .. } => {
                if let Some(total) = progress.records_total
                    && bar.length() != Some(total)
                {
                    bar.set_length(total);
                    bar.set_style(style("{bar:20} {percent:>3}% {wide_msg}").progress_chars("█▌░"));
                }
                bar.set_position(progress.records);
                bar.set_message(live_status(progress, per_second));
            }
            Surface::Plain { last_status, .. } => {
                let due = last_status.is_none_or(|last| progress.elapsed >= last + STATUS_EVERY);
                if due {
                    *last_status = Some(progress.elapsed);
                    let line = self.paint.dim(&status(progress, per_second));
                    self.line(&line);
                }
            }
        }
    }

    /// Shows an alert.
    pub fn alert(&mut self, alert: &AlertLine) {
        if matches!(self.surface, Surface::Live { .. }) && self.shown >= ALERTS_SHOWN_AT_ONCE_MAX {
            self.unshown += 1;
            return;
        }
        self.shown += 1;
        let line = alert.render(self.paint);
        self.line(&line);
    }

    /// Takes the status line away and leaves the last figures.
    pub fn finish(mut self) {
        self.flush_unshown();
        if let Surface::Live { bar, .. } = &self.surface {
            bar.finish_and_clear();
        }
        if let Some(last) = self.last.take() {
            let line = self.paint.dim(&status(&last, Some(text::per_second(last.records, last.elapsed))));
            self.line(&line);
        }
    }

    fn flush_unshown(&mut self) {
        if self.unshown > 0 {
            let more = text::counted(self.unshown, "more alert", "more alerts");
            let line = self.paint.dim(&format!("         … and {more}, too many at once to show"));
            self.unshown = 0;
            self.line(&line);
        }
    }

    fn line(&mut self, line: &str) {
        // A view that nobody can see any more (a closed pipe) must not stop the work.
        let _ = match &mut self.surface {
            Surface::Live { bars, .. } => bars.println(line),
            Surface::Plain { out, .. } => writeln!(out, "{line}").and_then(|()| out.flush()),
        };
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; a wrong one costs the looks only.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// The time of day of a time in milliseconds, UTC.
fn of_day(time_ms: i64) -> String {
    Stamp { us: time_ms.saturating_mul(1_000), form: Form::OfDay }.to_string()
}

/// The figures in one line of a log; without the rate where it is not known yet.
fn status(progress: &Progress, per_second: Option<u64>) -> String {
    let mut parts = vec![match progress.records_total {
        Some(total) => {
            format!("{} of {}", text::grouped(progress.records), text::counted(total, "record", "records"))
        }
        None => text::counted(progress.records, "record", "records"),
    }];
    parts.extend(per_second.map(|rate| format!("{}/s", text::grouped(rate))));
    parts.push(text::counted(progress.alerts, "alert", "alerts"));
    parts.extend(rejects(progress));
    parts.extend(lag(progress));
    if progress.epochs > 0 {
        parts.push(text::counted(progress.epochs, "epoch", "epochs"));
    }
    parts.extend(last_commit(progress));
    parts.join(" · ")
}

/// The figures beside a bar. A narrow terminal cuts the line, so what matters most comes first.
fn live_status(progress: &Progress, per_second: Option<u64>) -> String {
    let mut parts = Vec::new();
    parts.extend(per_second.map(|rate| format!("{} records/s", text::grouped(rate))));
    parts.push(text::counted(progress.alerts, "alert", "alerts"));
    parts.extend(lag(progress));
    parts.extend(last_commit(progress));
    parts.extend(rejects(progress));
    parts.push(text::counted(progress.records, "record", "records"));
    parts.join(" · ")
}

fn rejects(progress: &Progress) -> Option<String> {
    (progress.rejects > 0).then(|| text::counted(progress.rejects, "reject", "rejects"))
}

fn lag(progress: &Progress) -> Option<String> {
    progress.lag.map(|lag| format!("lag {}", text::grouped(lag)))
}

fn last_commit(progress: &Progress) -> Option<String> {
    progress.last_commit.map(|commit| format!("last commit {}", text::spoken(commit)))
}

/// Records a second, over the last [`RATE_OVER`] or somewhat more; unknown until the first of that has passed.
#[derive(Debug, Default)]
struct Rate {
    since: (u64, Duration),
    per_second: Option<u64>,
}

impl Rate {
    fn note(&mut self, progress: &Progress) {
        let (records, elapsed) = self.since;
        let span = progress.elapsed.saturating_sub(elapsed);
        if span >= RATE_OVER {
            self.per_second = Some(text::per_second(progress.records.saturating_sub(records), span));
            self.since = (progress.records, progress.elapsed);
        }
    }
}
