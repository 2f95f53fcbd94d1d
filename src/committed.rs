//! Committed copies of what the code generates: reference pages, JSON Schemas, goldens.
//!
//! Owns the comparison and its rewriting with `NOROSHI_BLESS=1`. Compiled for tests only; the tests in
//! `tests/suite` take this same file.

use std::path::Path;

/// Compares a generated text with its committed copy (a path below the crate's root), or rewrites the copy.
pub(crate) fn assert_committed(path: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("NOROSHI_BLESS").is_some_and(|value| value == "1") {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("the copy's folder can be made");
        }
        std::fs::write(&path, generated).expect("the copy can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed == generated {
        return;
    }
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (committed.lines().collect(), generated.lines().collect());
    let same = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let line = |lines: &[&str]| (*lines.get(same).unwrap_or(&"(the end)")).to_owned();
    panic!(
        "{} is out of date; NOROSHI_BLESS=1 rewrites it, then read the difference\n  line {}\n  committed: {}\n  generated: {}",
        path.display(),
        same + 1,
        line(&ours),
        line(&theirs),
    );
}
