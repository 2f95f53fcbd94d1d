//! What a person at a terminal sees: progress, colour, and a terminal that is left as it was found.
//!
//! Owns a terminal: `script` of util-linux runs the program on a pseudo-terminal, and [`Screen`] does with the bytes
//! what a terminal does. Linux only: `script` takes other arguments elsewhere.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use super::cli::SHELL;
use super::process::{finish, until};

/// Columns: wide enough that nothing of ours is wrapped.
const COLUMNS: usize = 240;
/// More than this, and `scan` shows a bar.
const LONG_BYTES: usize = 5 << 20;

/// The program on a pseudo-terminal of its own.
struct Session {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Session {
    /// Starts it; `tail` is appended to the command as shell, for redirections.
    fn start(folder: &Path, words: &[&str], tail: &str, environment: &[(&str, &str)]) -> Self {
        let quoted = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
        // No echo: that of Ctrl-C pushes one drawing of a bar up, since a bar fills its line.
        let mut line =
            format!("stty -echo cols {COLUMNS} rows 50 && exec {}", quoted(env!("CARGO_BIN_EXE_noroshi")));
        for word in words {
            let _ = write!(line, " {}", quoted(word));
        }
        let mut command = Command::new("script");
        // Quiet, with the command's exit code, flushed at once; the transcript is what we read.
        command.args(["-qefc", &format!("{line} {tail}"), "/dev/null"]).current_dir(folder);
        plain(&mut command).env("SHELL", "/bin/sh").env("TERM", "xterm-256color");
        command.envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("`script` of util-linux (Debian: bsdutils) starts");
        let mut out = child.stdout.take().expect("a pipe");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4_096];
            while let Ok(length @ 1..) = out.read(&mut part) {
                sink.lock().expect("the other thread").extend_from_slice(&part[..length]);
            }
        });
        Self { child, shown, reader: Some(reader) }
    }

    /// All that was shown so far; a character of which a part is there stands as U+FFFD.
    fn shown(&self) -> String {
        text_of(&self.shown)
    }

    fn wait_for(&self, text: &str) {
        let seen = || self.shown().contains(text).then_some(());
        until(text, seen, || self.shown());
    }

    /// A key, as the terminal sends it.
    fn press(&mut self, key: u8) {
        self.child.stdin.as_mut().expect("a pipe").write_all(&[key]).expect("the terminal takes it");
    }

    /// Waits for the end; the exit status and all that was shown.
    fn end(mut self) -> (ExitStatus, String) {
        let shown = Arc::clone(&self.shown);
        let ended = || self.child.try_wait().expect("a child");
        let status = until("the program to end", ended, || text_of(&shown));
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reads to the end");
        }
        (status, self.shown())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text_of(shown: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&shown.lock().expect("the reader")).into_owned()
}

/// Nothing from this process's own surroundings decides about colour or width.
fn plain(command: &mut Command) -> &mut Command {
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TERM", "NOROSHI_INSTANCE"] {
        command.env_remove(name);
    }
    command
}

/// A terminal with endless scrollback.
#[derive(Default)]
struct Screen {
    lines: Vec<Vec<char>>,
    at: (usize, usize),
    cursor_hidden: bool,
    /// Sequences that set colours or weight.
    colours: usize,
    /// Sequences that move the cursor or clear.
    moves: usize,
}

impl Screen {
    /// What is there after all of `text`. An escape sequence that is not known here fails the test.
    fn after(text: &str) -> Self {
        let mut screen = Self::default();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\n' => screen.at.0 += 1,
                '\r' => screen.at.1 = 0,
                '\u{1b}' => {
                    assert_eq!(characters.next(), Some('['), "an unknown sequence in {text:?}");
                    let mut given = String::new();
                    let last = loop {
                        match characters.next() {
                            Some(c @ ('0'..='9' | ';' | '?')) => given.push(c),
                            Some(c) => break c,
                            None => panic!("a sequence without an end in {text:?}"),
                        }
                    };
                    screen.sequence(&given, last);
                }
                c => {
                    assert!(!c.is_control(), "{c:?} in {text:?}");
                    screen.put(c);
                }
            }
        }
        screen
    }

    fn line(&mut self) -> &mut Vec<char> {
        let row = self.at.0;
        if self.lines.len() <= row {
            self.lines.resize(row + 1, Vec::new());
        }
        &mut self.lines[row]
    }

    fn put(&mut self, character: char) {
        // A full line goes on in the next one.
        if self.at.1 == COLUMNS {
            self.at = (self.at.0 + 1, 0);
        }
        let column = self.at.1;
        let line = self.line();
        if line.len() <= column {
            line.resize(column + 1, ' ');
        }
        line[column] = character;
        self.at.1 += 1;
    }

    fn sequence(&mut self, given: &str, last: char) {
        let number = given.parse().unwrap_or(1);
        let column = self.at.1;
        self.moves += usize::from(matches!(last, 'A' | 'B' | 'G' | 'J' | 'K'));
        match (given, last) {
            (_, 'm') => self.colours += 1,
            ("?25", 'l') => self.cursor_hidden = true,
            ("?25", 'h') => self.cursor_hidden = false,
            (_, 'A') => self.at.0 = self.at.0.saturating_sub(number),
            (_, 'B') => self.at.0 += number,
            (_, 'G') => self.at.1 = number - 1,
            ("2", 'K') => self.line().clear(),
            ("" | "0", 'K') => self.line().truncate(column),
            ("" | "0", 'J') => {
                self.line().truncate(column);
                let row = self.at.0;
                self.lines.truncate(row + 1);
            }
            _ => panic!("an unknown sequence: ESC [ {given} {last}"),
        }
    }

    /// The lines, without spaces at their ends.
    fn text(&self) -> Vec<String> {
        let line = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_owned();
        self.lines.iter().map(line).collect()
    }

    /// The cursor can be seen, nothing of a bar is left, and the prompt will begin a line of its own.
    fn assert_left_in_order(&self) {
        assert!(!self.cursor_hidden, "the cursor stays hidden");
        let text = self.text();
        let bars: Vec<&String> = text.iter().filter(|line| line.contains(['█', '░'])).collect();
        assert!(bars.is_empty(), "of the bar is left: {bars:?}");
        assert_eq!(self.at.1, 0, "the last line is not ended: {:?}", text.last());
    }
}

/// A folder with the rule and a file of which each 20th event is found.
fn long() -> (tempfile::TempDir, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("shell.sql"), SHELL).expect("writes");
    let event = |program: &str| {
        format!(
            "{{\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"EventID\":1,\"UtcTime\":\"2026-10-03 01:00:00.123\",\
             \"Hostname\":\"ws1\",\"Image\":\"C:\\\\Windows\\\\{program}.exe\"}}\n"
        )
    };
    let part = event("explorer").repeat(19) + &event("cmd");
    let parts = LONG_BYTES / part.len() + 1;
    std::fs::write(folder.path().join("long.ndjson"), part.repeat(parts)).expect("writes");
    (folder, parts)
}

const SCAN: &[&str] =
    &["scan", "--rules", "shell.sql", "--source", "windows-json", "--org", "power", "long.ndjson"];

#[test]
fn a_scan_shows_a_bar_at_a_terminal_and_takes_it_away() {
    let (folder, alerts) = long();
    // (what stays on the terminal, environment, whether there is a bar, rows of the table on the screen)
    for (tail, environment, bar, rows) in [
        ("", &[][..], true, alerts),
        ("> matches", &[], true, 0),
        ("> matches", &[("NO_COLOR", "1")], true, 0),
        ("2> report", &[], false, alerts),
        ("", &[("TERM", "dumb")], false, 0),
    ] {
        let (status, shown) = Session::start(folder.path(), SCAN, tail, environment).end();
        let case = format!("{tail:?} {environment:?}");
        assert_eq!(status.code(), Some(0), "{case}: {shown}");
        let screen = Screen::after(&shown);
        screen.assert_left_in_order();
        assert_eq!(shown.contains('█') && shown.contains("MiB/s"), bar, "{case}: {shown}");
        assert_eq!(screen.moves > 0, bar, "{case}");
        assert_eq!(screen.colours, 0, "{case}: the bar and the table have no colour");
        if !bar {
            assert!(!shown.contains('\x1b'), "{case}: {shown:?}");
        }
        let text = screen.text();
        let found = text.iter().filter(|line| line.starts_with("high  ")).count();
        assert_eq!(found, rows, "{case}: each row begins a line:\n{}", text.join("\n"));
        let report = text.iter().filter(|line| line.contains(" records, ")).count();
        assert_eq!(report, usize::from(!tail.starts_with("2>")), "{case}: {text:?}");
    }
    let mut piped = Command::new(env!("CARGO_BIN_EXE_noroshi"));
    let done = finish(plain(&mut piped).args(SCAN).current_dir(folder.path()).stdin(Stdio::null()));
    assert_eq!((done.code, done.out.lines().count()), (Some(0), alerts), "{}", done.err);
    assert!(!done.out.contains('\x1b') && !done.err.contains('\x1b'), "{}", done.err);
}

const DEMO: &[&str] = &["demo", "--records", "600"];

#[test]
fn the_demo_draws_and_colours_at_a_terminal_only() {
    let folder = tempfile::tempdir().expect("a folder");
    for (environment, draws, colours) in
        [(&[][..], true, true), (&[("NO_COLOR", "1")], true, false), (&[("TERM", "dumb")], false, false)]
    {
        let (status, shown) = Session::start(folder.path(), DEMO, "", environment).end();
        assert_eq!(status.code(), Some(0), "{environment:?}: {shown}");
        let screen = Screen::after(&shown);
        screen.assert_left_in_order();
        assert_eq!(screen.moves > 0 && shown.contains('░'), draws, "{environment:?}: {shown:?}");
        assert_eq!(screen.colours > 0, colours, "{environment:?}: {shown:?}");
        assert_eq!(shown.contains('\x1b'), draws || colours, "{environment:?}: {shown:?}");
        let text = screen.text();
        assert!(text[0].starts_with("Noroshi demo: "), "{text:#?}");
        for part in ["600 of 600 records", "Where to go next"] {
            assert!(text.iter().any(|line| line.contains(part)), "{environment:?}: {part}: {text:#?}");
        }
    }
    let mut piped = Command::new(env!("CARGO_BIN_EXE_noroshi"));
    let done = finish(plain(&mut piped).args(DEMO).stdin(Stdio::null()));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(!done.out.contains('\x1b') && !done.err.contains('\x1b'), "{}{}", done.out, done.err);
}

#[test]
fn ctrl_c_ends_the_demo_with_its_summary_and_leaves_the_terminal_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = ["demo", "--records", "1000000", "--rate", "500"];
    let mut session = Session::start(folder.path(), &words, "", &[]);
    // The bar is there, and something has been read.
    session.wait_for("last commit");
    session.press(3);
    let (status, shown) = session.end();
    assert_eq!(status.code(), Some(0), "{shown}");
    let screen = Screen::after(&shown);
    screen.assert_left_in_order();
    let text = screen.text();
    assert!(text.iter().any(|line| line.starts_with("Read ")), "{text:#?}");
    assert!(text.iter().any(|line| line == "Where to go next"), "{text:#?}");
}
