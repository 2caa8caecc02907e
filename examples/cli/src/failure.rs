//! Why the program ends without having done what it was asked to.

use std::fmt;
use std::io;

/// An end before the work was done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Flags or input that cannot be right. The text says what, and what would be right.
    Usage(String),
    /// Reading or writing failed: which, and why.
    Io(String, io::Error),
    /// What was looked into is not as it should be: how many findings the output has.
    Findings(u64),
    /// Whoever read the output stopped reading: a quiet end, as with `head`.
    ReaderLeft,
    /// The person interrupted the work; nothing of it is left.
    Interrupted,
}

impl Failure {
    /// Wrong flags or input.
    pub(crate) fn usage(problem: impl fmt::Display) -> Self {
        Self::Usage(problem.to_string())
    }

    /// A failed write to the standard output.
    pub(crate) fn output(error: io::Error) -> Self {
        Self::write("the output", error)
    }

    /// A failed write to the place of that name.
    pub(crate) fn write(place: impl fmt::Display, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderLeft;
        }
        Self::Io(format!("{place} cannot be written"), error)
    }

    /// The sentence for the error output, where there is something to say.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Usage(problem) => Some(problem.clone()),
            Self::Io(what, error) => Some(format!("{what}: {error}")),
            Self::Findings(1) => Some("1 finding: this is not as it was written".to_owned()),
            Self::Findings(count) => Some(format!("{count} findings: this is not as it was written")),
            Self::Interrupted => Some("interrupted; nothing was written".to_owned()),
            Self::ReaderLeft => None,
        }
    }

    /// The exit status.
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::ReaderLeft => 0,
            Self::Io(..) | Self::Findings(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
        }
    }
}
