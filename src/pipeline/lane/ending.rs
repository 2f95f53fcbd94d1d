//! How a lane ends for what its source says: the exit code tells operators whether to start it again.

use crate::pipeline::cycle::Exit;
use crate::source::SourceError;

/// The lane's end.
pub(super) fn exit_of(error: &SourceError) -> Exit {
    let why = error.to_string();
    match error {
        SourceError::NoStart { .. } => Exit::Undeclared(why),
        SourceError::Contradiction { .. } => Exit::Contradicted(why),
        _ => Exit::Failed(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_would_make_worse_is_told_apart() {
        let (topic, partition) = ("in.power".to_owned(), 3);
        let what = "offset 6 was committed, and nothing is committed now".to_owned();
        let error = SourceError::Contradiction { topic, partition, what };
        assert_eq!(exit_of(&error), Exit::Contradicted(error.to_string()));
        let error = SourceError::Kafka { what: "reading", why: "timed out".to_owned() };
        assert_eq!(exit_of(&error), Exit::Failed(error.to_string()));
    }
}
