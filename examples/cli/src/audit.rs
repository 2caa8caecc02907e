//! `audit verify`: an exported audit log, held against its own hashes and seals.

use crate::Surroundings;
use crate::args::AuditVerifyArgs;
use crate::failure::Failure;
use counterfoil_core::audit::verify::{Finding, Summary, Verifier};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

/// Most findings that are listed: a file that is not an export at all has one in every line.
const FINDINGS_MAX: u64 = 100;
/// Most bytes of a line. Entries have a few hundred, and never as much as a request's body.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// `counterfoil audit verify`.
pub(crate) fn verify(args: &AuditVerifyArgs, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let mut file;
    let (name, input): (String, &mut dyn Read) = if args.file.as_os_str() == "-" {
        ("the input".to_owned(), &mut *surroundings.stdin)
    } else {
        let name = args.file.display().to_string();
        file = File::open(&args.file).map_err(|error| unreadable(&name, &error))?;
        (name, &mut file)
    };
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let mut output = BufWriter::new(&mut *surroundings.stdout);
    let mut verifier = Verifier::new(args.anchor.clone());
    let mut count = 0;
    let mut line = Vec::new();
    while let Some(whole) = next_line(&mut input, &mut line).map_err(|error| unreadable(&name, &error))? {
        let found = if whole { verifier.read(&line) } else { verifier.skip_long() };
        list(&found, &mut count, &mut output)?;
    }
    let (found, summary) = verifier.finish();
    list(&found, &mut count, &mut output)?;
    if count > FINDINGS_MAX {
        writeln!(output, "… and {} more", count - FINDINGS_MAX).map_err(Failure::output)?;
    }
    if count == 0 {
        tell(&summary, &mut output).map_err(Failure::output)?;
    }
    output.flush().map_err(Failure::output)?;
    if count == 0 { Ok(()) } else { Err(Failure::Findings(count)) }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::usage(format!("{name} cannot be read: {error}"))
}

fn list(found: &[Finding], count: &mut u64, output: &mut dyn Write) -> Result<(), Failure> {
    for Finding { line, what } in found {
        *count += 1;
        if *count <= FINDINGS_MAX {
            writeln!(output, "line {line}: {what}").map_err(Failure::output)?;
        }
    }
    Ok(())
}

fn tell(summary: &Summary, output: &mut dyn Write) -> io::Result<()> {
    writeln!(output, "{} is as it was written.", summary.recorder)?;
    let earlier = match summary.begun_earlier {
        0 => String::new(),
        earlier => format!(" ({earlier} with entries in earlier months)"),
    };
    writeln!(output, "objects:   {}{earlier}", summary.objects)?;
    writeln!(output, "entries:   {}", summary.entries)?;
    writeln!(output, "seals:     {}", summary.seals)?;
    if let (Some(from), Some(to)) = (summary.from, summary.to) {
        writeln!(output, "from:      {from}")?;
        writeln!(output, "to:        {to}")?;
    }
    writeln!(output, "unsealed:  {}", summary.unsealed)?;
    if let Some(hash) = &summary.last_seal {
        writeln!(output, "last seal: {hash}")?;
    }
    Ok(())
}

/// Reads the next line into `line`, without its line end: `Some(true)`; `Some(false)` for one that was too long and
/// skipped, `None` at the end.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let (mut begun, mut whole) = (false, true);
    loop {
        let piece = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            piece => piece?,
        };
        if piece.is_empty() {
            return Ok(begun.then_some(whole));
        }
        begun = true;
        let stop = piece.iter().position(|byte| *byte == b'\n');
        let content = piece.get(..stop.unwrap_or(piece.len())).unwrap_or_default();
        whole &= line.len() + content.len() <= LINE_BYTES_MAX;
        if whole {
            line.extend_from_slice(content);
        }
        let used = content.len() + usize::from(stop.is_some());
        input.consume(used);
        if stop.is_some() {
            return Ok(Some(whole));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_length() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let text = [b"a\n\n".as_slice(), &long, b"\nb"].concat();
        for capacity in [1, 3, 64 * 1024] {
            let mut input = BufReader::with_capacity(capacity, text.as_slice());
            let mut line = Vec::new();
            let mut read = Vec::new();
            while let Some(whole) = next_line(&mut input, &mut line).unwrap() {
                read.push((whole, line.clone()));
            }
            assert_eq!(read.len(), 4);
            assert_eq!(
                (&read[0], &read[1], &read[3]),
                (&(true, b"a".to_vec()), &(true, vec![]), &(true, b"b".to_vec()))
            );
            assert!(!read[2].0);
        }
    }
}
