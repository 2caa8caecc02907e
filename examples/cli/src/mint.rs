//! `mint`: codes from a campaign's counter, written as fast as they are made.

use crate::Surroundings;
use crate::args::{Format, MintArgs};
use crate::failure::Failure;
use crate::output::{Output, Readers};
use crate::printing::{Order, order};
use counterfoil_core::code::Profile;
use counterfoil_core::keys::{CampaignKeys, Minted};
use counterfoil_core::words;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// A piece of output. Large enough that writing it costs nothing beside making it.
const PIECE_BYTES: usize = 256 * 1024;
/// More than any one record.
const RECORD_BYTES_MAX: usize = 128;
/// How often progress is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// `counterfoil mint`.
pub(crate) fn run(args: &MintArgs, surroundings: &mut Surroundings<'_>) -> Result<(), Failure> {
    let (order, keys) = order(args, surroundings)?;
    refuse_impossible(&order, &keys)?;
    let mut progress = Progress::new(&order, surroundings.stderr_is_terminal);
    progress.announce(surroundings.stderr);
    let mut output = Output::new(args.output.as_deref(), surroundings.stdout, Readers::Owner)?;
    let made = write_codes(&order, args.format, &keys, &mut output, |made| progress.show(made, surroundings.stderr));
    let done = made.and_then(|last_seq| output.finish().map(|()| last_seq));
    progress.end(done.as_ref().ok().copied(), surroundings.stderr);
    done.map(|_| ())
}

/// Refuses what cannot be minted, before anything is written.
fn refuse_impossible(order: &Order, keys: &CampaignKeys) -> Result<(), Failure> {
    let Order { profile, epoch, campaign, .. } = *order;
    let space = u64::from(profile.serial_space());
    let (from, count) = (u64::from(order.from), u64::from(order.count));
    let (name, remain) = (profile.name(), space.saturating_sub(from));
    if count > remain {
        return Err(Failure::usage(format!(
            "past the end of the serial space: {name} has {space} serials in a campaign's whole life, from seq {from} on {remain} remain, and {count} codes were asked for"
        )));
    }
    if words::beginning_offends(profile, epoch, campaign) {
        return Err(Failure::usage(format!(
            "campaign {campaign} in epoch {epoch} of {name} begins every code with symbols that spell an offensive word, so none can be minted: choose another number",
        )));
    }
    // Skipped words can use up a narrow rest. Only where the usual reserve does not fit is it worth counting.
    if count + count / 25 + 64 > remain {
        let possible = keys.mint_codes(order.from, order.count).count();
        if u64::try_from(possible).is_ok_and(|possible| possible < count) {
            return Err(Failure::usage(format!(
                "past the end of the serial space: from seq {from} on {name} has {remain} serials left, which give {possible} codes (the others would spell offensive words), and {count} were asked for"
            )));
        }
    }
    Ok(())
}

/// Writes every code and answers the last seq used. `on_piece` hears how many have been made.
fn write_codes(
    order: &Order,
    format: Format,
    keys: &CampaignKeys,
    output: &mut Output<'_>,
    mut on_piece: impl FnMut(u32),
) -> Result<u32, Failure> {
    let mut piece = Vec::with_capacity(PIECE_BYTES + RECORD_BYTES_MAX);
    if format == Format::Csv {
        piece.extend_from_slice(b"seq,code\n");
    }
    let tag_digits = keys.profile().tag_bits() / 4;
    let mut made = 0;
    let mut last_seq = order.from;
    for minted in keys.mint_codes(order.from, order.count) {
        if minted.seq >= order.end {
            return Err(Failure::usage(format!(
                "the batch ends before seq {}: {made} of its {} codes fit into it; it belongs to other keys, or its file was changed",
                order.end, order.count
            )));
        }
        match format {
            Format::Text => push_text(&mut piece, &minted),
            Format::Csv => push_csv(&mut piece, &minted),
            Format::Jsonl => push_jsonl(&mut piece, &minted, tag_digits),
        }
        made += 1;
        last_seq = minted.seq;
        if piece.len() >= PIECE_BYTES {
            output.write(&piece)?;
            piece.clear();
            on_piece(made);
        }
    }
    output.write(&piece)?;
    Ok(last_seq)
}

fn push_text(piece: &mut Vec<u8>, minted: &Minted) {
    piece.extend_from_slice(minted.code.canonical().as_bytes());
    piece.push(b'\n');
}

fn push_csv(piece: &mut Vec<u8>, minted: &Minted) {
    push_number(piece, minted.seq);
    piece.push(b',');
    push_text(piece, minted);
}

fn push_jsonl(piece: &mut Vec<u8>, minted: &Minted, tag_digits: u32) {
    piece.extend_from_slice(b"{\"seq\":");
    push_number(piece, minted.seq);
    piece.extend_from_slice(b",\"serial\":");
    push_number(piece, minted.code.serial());
    piece.extend_from_slice(b",\"tag_hex\":\"");
    push_hex(piece, minted.code.tag(), tag_digits);
    piece.extend_from_slice(b"\",\"code\":\"");
    piece.extend_from_slice(minted.code.canonical().as_bytes());
    piece.extend_from_slice(b"\"}\n");
}

fn push_number(piece: &mut Vec<u8>, number: u32) {
    piece.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The lowest `digits` hexadecimal digits, padded with zeros.
fn push_hex(piece: &mut Vec<u8>, number: u64, digits: u32) {
    piece.extend((0..digits).rev().map(|place| {
        let [nibble, ..] = (number >> (place * 4) & 15).to_le_bytes();
        if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
    }));
}

/// What a person at a terminal is told. Elsewhere it says nothing.
struct Progress {
    shown: bool,
    count: u32,
    from: u32,
    profile: Profile,
    started: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    fn new(order: &Order, shown: bool) -> Self {
        let Order { count, from, profile, .. } = *order;
        Self { shown, count, from, profile, started: Instant::now(), drawn: None }
    }

    /// How many serials remain, and the odds that one guess hits an issued code.
    fn announce(&self, terminal: &mut dyn std::io::Write) {
        if !self.shown {
            return;
        }
        let (from, count, space) =
            (u64::from(self.from), u64::from(self.count), u64::from(self.profile.serial_space()));
        let issued = from + count;
        let odds = guess_odds_log2(self.profile, issued);
        // What cannot be told is not worth failing for.
        let _ = writeln!(
            terminal,
            "{} serials remain in the campaign before this mint, at least {} after it.\nOdds that one guess hits an issued code, with {issued} issued: 2^{odds:.1}.",
            space - from,
            space.saturating_sub(issued + count / 25 + 64),
        );
    }

    fn show(&mut self, made: u32, terminal: &mut dyn std::io::Write) {
        let now = Instant::now();
        if !self.shown || self.drawn.is_some_and(|drawn| now - drawn < REDRAW_EVERY) {
            return;
        }
        self.drawn = Some(now);
        let percent = u64::from(made) * 100 / u64::from(self.count);
        let rate = f64::from(made) / now.duration_since(self.started).as_secs_f64().max(1e-9);
        let mut line = String::new();
        let _ = write!(line, "\r\u{1b}[2K{made} of {} codes, {percent} %, {:.1} million/s", self.count, rate / 1e6);
        let _ = terminal.write_all(line.as_bytes()).and_then(|()| terminal.flush());
    }

    fn end(&self, last_seq: Option<u32>, terminal: &mut dyn std::io::Write) {
        if !self.shown {
            return;
        }
        let clear = if self.drawn.is_some() { "\r\u{1b}[2K" } else { "" };
        let _ = match last_seq {
            Some(last) => writeln!(
                terminal,
                "{clear}{} codes minted, seqs {} to {last}; the next mint starts at --from {}.",
                self.count,
                self.from,
                u64::from(last) + 1
            ),
            None => write!(terminal, "{clear}"),
        };
    }
}

/// log₂ of 2^-t × issued / 2^(serial bits).
fn guess_odds_log2(profile: Profile, issued: u64) -> f64 {
    let issued = u32::try_from(issued).map_or(f64::from(u32::MAX), f64::from);
    issued.log2() - f64::from(profile.serial_bits()) - f64::from(profile.tag_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_of_the_format_document() {
        for (profile, issued, odds) in [(Profile::S16, 10_000, "-34.7"), (Profile::S20, 1_000_000, "-44.1")] {
            assert_eq!(format!("{:.1}", guess_odds_log2(profile, issued)), odds);
        }
    }

    #[test]
    fn digits_are_padded() {
        let mut piece = Vec::new();
        push_hex(&mut piece, 0x09_c167_0a91, 10);
        piece.push(b' ');
        push_hex(&mut piece, 0, 7);
        push_number(&mut piece, 0);
        assert_eq!(piece, b"09c1670a91 00000000");
    }
}
