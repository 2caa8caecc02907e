//! One text per line, from input that nobody vouches for: bounded memory, any bytes.

use std::io::{self, Read, Write};

/// Most bytes of a line that can be a text: 64 scalar values of four bytes.
pub(crate) const TEXT_BYTES_MAX: usize = counterfoil_core::code::SCALARS_MAX * 4;

/// One line of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A text, without its line end.
    Text(&'a str),
    /// More bytes than any text can have. They were skipped, not kept.
    TooLong,
    /// Bytes that are not UTF-8.
    NotUtf8,
}

/// Reads lines, keeping no more than one piece of input and the longest possible text.
pub(crate) struct Lines<'a> {
    input: &'a mut dyn Read,
    piece: Vec<u8>,
    at: usize,
    end: usize,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(input: &'a mut dyn Read) -> Self {
        Self { input, piece: vec![0; 64 * 1024], at: 0, end: 0, line: Vec::with_capacity(TEXT_BYTES_MAX + 2) }
    }

    /// The next line, or `None` at the end of the input. `output` is flushed before waiting for more input, so
    /// that whoever is at the other end sees the answer to each line, and a large input is not slowed by it.
    pub(crate) fn next_line(&mut self, output: &mut dyn Write) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        // Room for a text and a carriage return; one byte more proves the line too long.
        let kept_max = TEXT_BYTES_MAX + 2;
        loop {
            if self.at == self.end {
                output.flush()?;
                self.at = 0;
                self.end = read(self.input, &mut self.piece)?;
                if self.end == 0 {
                    return Ok((!self.line.is_empty()).then(|| judge(&self.line)));
                }
            }
            let rest = self.piece.get(self.at..self.end).unwrap_or_default();
            let stop = rest.iter().position(|byte| *byte == b'\n');
            let content = rest.get(..stop.unwrap_or(rest.len())).unwrap_or_default();
            let room = kept_max - self.line.len();
            self.line.extend(content.iter().take(room));
            self.at += content.len();
            if stop.is_some() {
                self.at += 1;
                return Ok(Some(judge(&self.line)));
            }
        }
    }
}

fn read(input: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn judge(line: &[u8]) -> Line<'_> {
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    if text.len() > TEXT_BYTES_MAX {
        return Line::TooLong;
    }
    core::str::from_utf8(text).map_or(Line::NotUtf8, Line::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte at a time, or everything at once.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
            let take = self.1.min(self.0.len()).min(piece.len());
            let (now, later) = self.0.split_at(take);
            piece[..take].copy_from_slice(now);
            self.0 = later;
            Ok(take)
        }
    }

    fn check(input: &[u8], expected: &[Line<'_>]) {
        for step in [1, 7, usize::MAX] {
            let mut drip = Drip(input, step);
            let mut lines = Lines::new(&mut drip);
            for line in expected {
                assert_eq!(lines.next_line(&mut io::sink()).unwrap(), Some(*line));
            }
            assert_eq!(lines.next_line(&mut io::sink()).unwrap(), None);
        }
    }

    #[test]
    fn every_kind_of_line() {
        let longest = "\u{10000}".repeat(64);
        let (ends, over) = (format!("{longest}\r\n{longest}"), format!("{longest}x\ny"));
        check(b"", &[]);
        check(b"\n", &[Line::Text("")]);
        check(b"a\nb\r\n\nc", &[Line::Text("a"), Line::Text("b"), Line::Text(""), Line::Text("c")]);
        check(b"a\rb\n\xff\n\0\n", &[Line::Text("a\rb"), Line::NotUtf8, Line::Text("\0")]);
        check(ends.as_bytes(), &[Line::Text(&longest), Line::Text(&longest)]);
        check(over.as_bytes(), &[Line::TooLong, Line::Text("y")]);
        check(&[b'0'; 300_000], &[Line::TooLong]);
        check(&[vec![0xff; 300_000], b"\nz\n".to_vec()].concat(), &[Line::TooLong, Line::Text("z")]);
    }
}
