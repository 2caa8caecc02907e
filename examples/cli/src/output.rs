//! Where results go: the standard output, or a file that appears whole or not at all.

use crate::failure::Failure;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Codes are worth what they redeem: the owner alone.
    Owner,
    /// As the system has it for new files.
    Everyone,
}

/// A destination of results.
pub(crate) enum Output<'a> {
    /// The standard output.
    Stream(&'a mut dyn Write),
    /// A device or a pipe that was named as the output: nothing to rename over.
    Special(File, PathBuf),
    /// A file beside the one that was named, renamed to it when all is written.
    Partial(Partial),
}

impl<'a> Output<'a> {
    /// The file of that name, or the standard output.
    pub(crate) fn new(path: Option<&Path>, stdout: &'a mut dyn Write, readers: Readers) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stream(stdout)) };
        let refused = |error: io::Error| Failure::usage(format!("{} cannot be written: {error}", path.display()));
        match fs::metadata(path) {
            Ok(known) if known.is_dir() => Err(Failure::usage(format!("{} is a folder", path.display()))),
            // Renaming over a device or a pipe would replace it for everyone.
            Ok(known) if !known.is_file() => {
                let file = OpenOptions::new().write(true).open(path).map_err(refused)?;
                Ok(Self::Special(file, path.to_owned()))
            }
            Ok(_) => {
                // A link goes on pointing at the file that it names.
                Partial::beside(fs::canonicalize(path).map_err(refused)?, readers).map(Self::Partial).map_err(refused)
            }
            Err(_) => Partial::beside(path.to_owned(), readers).map(Self::Partial).map_err(refused),
        }
    }

    /// Writes a piece.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stream(stream) => stream.write_all(bytes).map_err(Failure::output),
            Self::Special(file, path) => file.write_all(bytes).map_err(|error| failed(path, error)),
            Self::Partial(partial) => {
                if partial.interrupted.load(Ordering::Relaxed) {
                    return Err(Failure::Interrupted);
                }
                partial.file.write_all(bytes).map_err(|error| failed(&partial.target, error))
            }
        }
    }

    /// Ends the output: only now a file gets its name.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Stream(stream) => stream.flush().map_err(Failure::output),
            Self::Special(mut file, path) => file.flush().map_err(|error| failed(&path, error)),
            Self::Partial(partial) => partial.finish(),
        }
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::write(path.display(), error)
}

/// A file in the making. Dropped unfinished, it removes itself.
pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
    finished: bool,
    interrupted: Arc<AtomicBool>,
}

impl Partial {
    fn beside(target: PathBuf, readers: Readers) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut partial_name = std::ffi::OsString::from(".");
        partial_name.push(name);
        partial_name.push(format!(".{}.partial", std::process::id()));
        let path = target.with_file_name(partial_name);
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if readers == Readers::Owner {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = readers;
        let file = options.open(&path)?;
        Ok(Self { file, path, target, finished: false, interrupted })
    }

    fn finish(mut self) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        // On the disk before it has its name, so that a power cut cannot leave an empty file of that name.
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, &self.target))
            .map_err(|error| failed(&self.target, error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Nobody is left to tell; the name shows what it is.
            let _ = fs::remove_file(&self.path);
        }
    }
}
