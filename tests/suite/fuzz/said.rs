//! What holds for every diagnostic, whatever the text that it is about.

use noroshi::diagnostic::{Diagnostic, codes};

/// Each has a code of the list, a message, and a place inside its file; renders; and steers no terminal. `placed` also
/// asks for a place.
pub fn sound(found: &[Diagnostic], placed: bool) {
    for diagnostic in found {
        assert!(codes::ALL.contains(&diagnostic.code), "unlisted: {diagnostic:?}");
        assert!(!diagnostic.message.is_empty(), "no message: {diagnostic:?}");
        let shown = diagnostic.render(false);
        let steering = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!shown.contains(steering), "{shown:?}");
        let json = diagnostic.to_json();
        let Some(location) = &diagnostic.location else {
            assert!(!placed, "no place: {diagnostic:?}");
            continue;
        };
        let (text, span) = (&location.file.text, &location.span);
        let inside = span.start <= span.end && span.end <= text.len();
        assert!(inside, "{span:?} is not in {} bytes: {diagnostic}", text.len());
        for at in [span.start, span.end] {
            assert!(text.is_char_boundary(at), "{at} is inside a character: {diagnostic}");
            let (line, column) = location.file.line_column(at);
            assert_eq!(location.file.offset(line, column), at, "{line}:{column}: {diagnostic}");
        }
        assert!(json["line"].is_u64() && json["end_column"].is_u64(), "{json}");
    }
}
