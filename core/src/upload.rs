//! Reading an upload of promo codes, line by line: plain text with a code on each line, or CSV (RFC 4180).
//!
//! What cannot be a promo code is refused with its line's number; the other lines count. A file that is no text at all
//! is refused as a whole, before anything is taken from it.

use crate::limits::PROMO_CODE_CHARS_MAX;
use csv_core::{ReadFieldResult, Reader};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A field longer than this is no code, whatever it holds.
const FIELD_BYTES: usize = 4 * PROMO_CODE_CHARS_MAX + 256;
/// Names of the column with the codes.
const HEADERS: [&str; 2] = ["code", "promo_code"];

/// How an upload is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain`: a code on each line.
    Text,
    /// `text/csv`: codes in the column `code` or `promo_code`, where the first row names one; else in the first column.
    Csv,
}

impl Format {
    /// Of a `Content-Type`; `None` for what is not understood.
    #[must_use]
    pub fn of(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';');
        let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let other_charset = parts.filter_map(|part| part.split_once('=')).any(|(name, value)| {
            let value = value.trim().trim_matches('"');
            let unicode = ["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known));
            name.trim().eq_ignore_ascii_case("charset") && !unicode
        });
        match kind.as_str() {
            _ if other_charset => None,
            "text/plain" => Some(Self::Text),
            "text/csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// As in `Content-Type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Csv => "text/csv",
        }
    }
}

/// Why a line is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "RefusedLineReason"))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "RefusedLineReason"))]
pub enum Reason {
    /// Nothing but white space, or no such column.
    Blank,
    /// Characters that nobody can see or type.
    ControlCharacter,
    /// More than 128 characters.
    TooLong,
}

/// Why an upload is not read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotText {
    /// Not UTF-8.
    NotUtf8 {
        /// The first byte that is not, from 0.
        at: usize,
    },
    /// Holds a NUL: a binary file, or another encoding.
    Nul {
        /// Where, from 0.
        at: usize,
    },
}

impl core::fmt::Display for NotText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotUtf8 { at } => write!(f, "not UTF-8 at byte {at}"),
            Self::Nul { at } => write!(f, "not text: byte {at} is zero"),
        }
    }
}

/// The text of an upload, without a byte order mark.
///
/// # Errors
/// [`NotText`].
pub fn text(body: &[u8]) -> Result<&str, NotText> {
    if let Some(at) = body.iter().position(|byte| *byte == 0) {
        return Err(NotText::Nul { at });
    }
    let text = core::str::from_utf8(body).map_err(|error| NotText::NotUtf8 { at: error.valid_up_to() })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// One line of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// From 1; of a quoted field over several lines, the first.
    pub number: u64,
    /// The promo code, without white space around it.
    pub code: Result<Cow<'a, str>, Reason>,
}

/// The promo code of a field, without white space around it.
fn code_of(field: &str) -> Result<&str, Reason> {
    let code = field.trim();
    if code.is_empty() {
        Err(Reason::Blank)
    } else if code.chars().any(unseen) {
        Err(Reason::ControlCharacter)
    } else if code.chars().count() > PROMO_CODE_CHARS_MAX {
        Err(Reason::TooLong)
    } else {
        Ok(code)
    }
}

/// Controls, zero-width characters and those that turn the direction of writing: two codes that differ in them alone look
/// the same.
fn unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Where the line that `bytes` begin with ends, and where the next one begins: after `\n`, `\r\n` or `\r`.
fn line_end(bytes: &[u8]) -> (usize, usize) {
    match bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        None => (bytes.len(), bytes.len()),
        Some(end) => (end, end + break_at(bytes.get(end..).unwrap_or_default())),
    }
}

/// Bytes of the line break that `bytes` begin with; 0 where there is none.
fn break_at(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        [] | [_, ..] => 0,
    }
}

fn breaks(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while !bytes.is_empty() {
        let (end, next) = line_end(bytes);
        count += u64::from(next > end);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    count
}

/// The lines of an upload, one at a time: nothing but the text itself is kept.
pub enum Lines<'a> {
    /// See [`Format::Text`].
    Text(TextLines<'a>),
    /// See [`Format::Csv`].
    Csv(Box<CsvLines<'a>>),
}

impl<'a> Lines<'a> {
    /// Of an upload's text.
    #[must_use]
    pub fn of(text: &'a str, format: Format) -> Self {
        match format {
            Format::Text => Self::Text(TextLines { rest: text, number: 1 }),
            Format::Csv => {
                Self::Csv(Box::new(CsvLines { reader: Reader::new(), rest: text.as_bytes(), number: 1, column: None }))
            }
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        match self {
            Self::Text(lines) => lines.next(),
            Self::Csv(lines) => lines.next(),
        }
    }
}

/// See [`Lines::Text`].
#[derive(Clone, Debug)]
pub struct TextLines<'a> {
    rest: &'a str,
    number: u64,
}

impl<'a> TextLines<'a> {
    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (end, next) = line_end(self.rest.as_bytes());
        let (line, rest) = (self.rest.get(..end)?, self.rest.get(next..)?);
        let number = self.number;
        (self.rest, self.number) = (rest, number + 1);
        Some(Line { number, code: code_of(line).map(Cow::Borrowed) })
    }
}

/// See [`Lines::Csv`].
pub struct CsvLines<'a> {
    reader: Reader,
    rest: &'a [u8],
    number: u64,
    /// Where the codes are; unknown before the first row.
    column: Option<usize>,
}

impl<'a> CsvLines<'a> {
    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let number = self.number;
            // The reader would pass over blank lines in silence.
            let blank = break_at(self.rest);
            if blank > 0 {
                self.skip(blank);
                return Some(Line { number, code: Err(Reason::Blank) });
            }
            let first_row = self.column.is_none();
            let (header, field) = self.row(self.column.unwrap_or_default());
            if first_row {
                self.column = Some(header.unwrap_or_default());
                if header.is_some() {
                    continue;
                }
            }
            let code = field.and_then(|field| code_of(&field).map(|code| Cow::Owned(code.to_owned())));
            return Some(Line { number, code });
        }
    }

    fn skip(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, &[]));
        (self.rest, self.number) = (rest, self.number + breaks(passed));
    }

    /// Reads a row. Answers which of its fields is named as codes are, and the field of a column.
    fn row(&mut self, column: usize) -> (Option<usize>, Result<String, Reason>) {
        let (mut header, mut wanted) = (None, Err(Reason::Blank));
        let (mut index, mut passed) = (0, 0);
        let (mut buffer, mut filled, mut overlong) = ([0; FIELD_BYTES], 0, false);
        loop {
            let input = self.rest.get(passed..).unwrap_or_default();
            let output = buffer.get_mut(filled..).unwrap_or_default();
            let (result, read, written) = self.reader.read_field(input, output);
            passed += read;
            filled += written;
            let row_over = match result {
                // Asked again with nothing, the reader ends the row.
                ReadFieldResult::InputEmpty => continue,
                ReadFieldResult::OutputFull => {
                    (filled, overlong) = (0, true);
                    continue;
                }
                ReadFieldResult::Field { record_end } => record_end,
                ReadFieldResult::End => break,
            };
            let field = core::str::from_utf8(buffer.get(..filled).unwrap_or_default()).unwrap_or_default();
            if !overlong && HEADERS.iter().any(|name| field.trim().eq_ignore_ascii_case(name)) {
                header = header.or(Some(index));
            }
            if index == column {
                wanted = if overlong { Err(Reason::TooLong) } else { Ok(field.to_owned()) };
            }
            (index, filled, overlong) = (index + 1, 0, false);
            if row_over {
                break;
            }
        }
        // A row ends with the first byte of its line break.
        let torn = passed.checked_sub(1).and_then(|last| self.rest.get(last..)).is_some_and(|end| break_at(end) == 2);
        self.skip(passed + usize::from(torn));
        (header, wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(format: Format, body: &str) -> Vec<(u64, Result<String, Reason>)> {
        let text = text(body.as_bytes()).unwrap();
        Lines::of(text, format).map(|line| (line.number, line.code.map(Cow::into_owned))).collect()
    }

    #[track_caller]
    fn check(format: Format, body: &str, expected: &[(u64, Result<&str, Reason>)]) {
        let expected: Vec<_> = expected.iter().map(|(line, code)| (*line, code.map(str::to_owned))).collect();
        assert_eq!(read(format, body), expected, "{body:?}");
    }

    #[test]
    fn text_has_a_code_on_each_line() {
        let check = |body: &str, expected: &[(u64, Result<&str, Reason>)]| check(Format::Text, body, expected);
        let long = "x".repeat(129);
        check("", &[]);
        check("A", &[(1, Ok("A"))]);
        check("A\n", &[(1, Ok("A"))]);
        check("A\r\nB\rC\n", &[(1, Ok("A")), (2, Ok("B")), (3, Ok("C"))]);
        check(" A \t\n\n  \nB", &[(1, Ok("A")), (2, Err(Reason::Blank)), (3, Err(Reason::Blank)), (4, Ok("B"))]);
        check("\u{feff}A\n\u{a0}\n", &[(1, Ok("A")), (2, Err(Reason::Blank))]);
        check(
            "A\tB\nA B\nC\u{200b}\n",
            &[(1, Err(Reason::ControlCharacter)), (2, Ok("A B")), (3, Err(Reason::ControlCharacter))],
        );
        check(&format!("{long}\n{}", &long[..128]), &[(1, Err(Reason::TooLong)), (2, Ok(&long[..128]))]);
        check(&"é".repeat(128), &[(1, Ok(&"é".repeat(128)))]);
        check("a,b\n\"q\"", &[(1, Ok("a,b")), (2, Ok("\"q\""))]);
    }

    #[test]
    fn csv_has_its_codes_in_a_column() {
        let check = |body: &str, expected: &[(u64, Result<&str, Reason>)]| check(Format::Csv, body, expected);
        let long = "x".repeat(5_000);
        check("", &[]);
        check("A,1\nB,2", &[(1, Ok("A")), (2, Ok("B"))]);
        check("code\nA\n", &[(2, Ok("A"))]);
        check("code\n", &[]);
        check("n, Promo_Code ,x\n1,A,y\n2,,y\n3\n", &[(2, Ok("A")), (3, Err(Reason::Blank)), (4, Err(Reason::Blank))]);
        check("\"a \"\"b\"\", c\",d\r\ne", &[(1, Ok("a \"b\", c")), (2, Ok("e"))]);
        check("A\r\n\r\n\nB\r\n", &[(1, Ok("A")), (2, Err(Reason::Blank)), (3, Err(Reason::Blank)), (4, Ok("B"))]);
        check(
            "\n\ncode\r\rA",
            &[(1, Err(Reason::Blank)), (2, Err(Reason::Blank)), (4, Err(Reason::Blank)), (5, Ok("A"))],
        );
        check("\"A\nB\",1\r\nC", &[(1, Err(Reason::ControlCharacter)), (3, Ok("C"))]);
        check("\u{feff}code,x\nA,1", &[(2, Ok("A"))]);
        check(&format!("A,{long}\n{long},B\nC"), &[(1, Ok("A")), (2, Err(Reason::TooLong)), (3, Ok("C"))]);
        check("A\n\"B\nC", &[(1, Ok("A")), (2, Err(Reason::ControlCharacter))]);
    }

    #[test]
    fn what_is_no_text_is_refused_whole() {
        for (body, expected) in [
            (&b"A\n\xff"[..], NotText::NotUtf8 { at: 2 }),
            (b"A\0B\xff", NotText::Nul { at: 1 }),
            (b"\xff\xfeA\0", NotText::Nul { at: 3 }),
        ] {
            assert_eq!(text(body), Err(expected));
        }
    }

    #[test]
    fn formats_by_content_type() {
        for (content_type, expected) in [
            ("text/plain", Some(Format::Text)),
            ("Text/CSV; charset=UTF-8", Some(Format::Csv)),
            ("text/csv; header=present; charset=\"utf-8\"", Some(Format::Csv)),
            ("text/csv; charset=iso-8859-1", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(Format::of(content_type), expected, "{content_type}");
        }
    }

    proptest! {
        /// However it is quoted and broken into lines, CSV gives the codes that were written.
        #[test]
        fn written_csv_reads_back(
            codes in prop::collection::vec("[A-Z\",;é][A-Z0-9\",; é-]{0,20}[A-Z0-9]", 0..40),
            ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            last in any::<bool>(),
        ) {
            let mut body = "id,code".to_owned();
            for (index, code) in codes.iter().enumerate() {
                body += &format!("{ending}{index},\"{}\"", code.replace('"', "\"\""));
            }
            if last {
                body += ending;
            }
            let expected: Vec<_> = codes.iter().enumerate().map(|(i, code)| (i as u64 + 2, Ok(code.clone()))).collect();
            prop_assert_eq!(read(Format::Csv, &body), expected);
        }

        /// Any text at all is read to its end, and every line is counted.
        #[test]
        fn every_line_is_told(body in "[\\PC\\r\\n\",\u{0}-\u{1f}]{0,200}") {
            let body = body.replace(['\0', '\u{feff}'], "");
            let lines = read(Format::Text, &body);
            let unfinished = u64::from(!body.is_empty() && !body.ends_with(['\n', '\r']));
            prop_assert_eq!(lines.len() as u64, breaks(body.as_bytes()) + unfinished);
            let numbers: Vec<u64> = read(Format::Csv, &body).iter().map(|(number, _)| *number).collect();
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
