//! Streaming a batch: constant memory, the same codes for the same key, offensive words skipped.

use crate::answer::Answer;
use crate::calls::{CampaignOp, Reserved};
use crate::objects::{Objects, within};
use crate::platform::Fault;
use counterfoil_core::keys::{CampaignKeys, MintCodes};
use counterfoil_core::wire::BatchFormat;
use futures_util::stream;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen_futures::spawn_local;
use worker::{Env, Headers, Response};

/// Codes in one chunk of the stream …
const CHUNK_CODES: u32 = 4_000;
/// … and room for their lines.
const CHUNK_BYTES: usize = 64 * CHUNK_CODES as usize;
/// Codes after which the Campaign is told how far the stream has come.
const TELL_CODES: u32 = 250_000;
/// Longest wait for the Campaign at the end of a stream.
const CAMPAIGN_WAIT: Duration = Duration::from_secs(2);
/// Digits of a seq.
const DIGITS: usize = 10;

/// How a batch is wanted.
pub(crate) struct Wanted {
    pub(crate) offline: bool,
    pub(crate) format: BatchFormat,
    /// Only codes after this seq: the stream goes on.
    pub(crate) after_seq: Option<u32>,
}

/// Answers a reserved batch: its record when offline, else its codes. `campaign` is the name of the Campaign's object.
pub(crate) fn respond(
    reserved: &Reserved,
    keys: Rc<CampaignKeys>,
    wanted: &Wanted,
    campaign: String,
    env: &Env,
) -> Result<Response, Fault> {
    let batch = &reserved.batch;
    let mut headers = vec![
        ("Counterfoil-Batch", batch.batch_id.clone()),
        ("Counterfoil-Count", batch.count.to_string()),
        ("Counterfoil-Remaining", reserved.remaining.to_string()),
        ("Counterfoil-Odds", odds(reserved)),
    ];
    if reserved.replayed {
        headers.push(("Idempotent-Replayed", "true".to_owned()));
    }
    if wanted.offline {
        let location = format!("/v1/campaigns/{}/batches/{}", reserved.campaign, batch.batch_id);
        let answer = Answer::json(201, batch)?.header("Location", location);
        return headers.into_iter().fold(answer, |answer, (name, value)| answer.header(name, value)).into_response();
    }
    let (content_type, extension) = match wanted.format {
        BatchFormat::Csv => ("text/csv; charset=utf-8", "csv"),
        BatchFormat::Jsonl => ("application/x-ndjson", "jsonl"),
    };
    let all = Headers::new();
    for (name, value) in headers {
        all.set(name, &value)?;
    }
    all.set("Content-Type", content_type)?;
    all.set("Content-Disposition", &format!("attachment; filename=\"{}.{extension}\"", batch.batch_id))?;
    let progress = Progress { env: env.clone(), campaign, batch_id: batch.batch_id.clone() };
    let press = Press::new(reserved, keys, wanted);
    let codes = stream::unfold((press, progress), |(mut press, progress)| async move {
        let chunk = press.next_chunk();
        if let Some(place) = press.news() {
            if press.is_done() {
                progress.tell_last(place).await;
            } else {
                progress.tell(place);
            }
        }
        chunk.map(|chunk| (chunk, (press, progress)))
    });
    Ok(Response::from_stream(codes)?.with_status(201).with_headers(all))
}

/// Odds of one guess hitting an issued code: 2^-t × issued / 2^serial bits, as a power of two.
fn odds(reserved: &Reserved) -> String {
    let (tag_bits, serial_bits) = (reserved.profile.tag_bits(), reserved.profile.serial_bits());
    #[allow(clippy::cast_precision_loss, reason = "issued codes are far below 2⁵³")]
    let issued = (reserved.issued.max(1) as f64).log2();
    format!("2^-{:.1}", f64::from(tag_bits + serial_bits) - issued)
}

/// Tells the Campaign how far a stream has come.
struct Progress {
    env: Env,
    /// The object's name.
    campaign: String,
    batch_id: String,
}

impl Progress {
    fn op(&self, (seq, count): (u32, u32)) -> CampaignOp {
        CampaignOp::Delivered { batch_id: self.batch_id.clone(), count, seq }
    }

    /// Beside the stream, which waits for nobody. What gets lost is told by the next.
    fn tell(&self, place: (u32, u32)) {
        let (env, campaign, op) = (self.env.clone(), self.campaign.clone(), self.op(place));
        spawn_local(async move {
            if let Err(fault) = Objects(&env).campaign(&campaign, &op).await {
                fault.log("progress_untold");
            }
        });
    }

    /// Before the last codes leave: whoever has them all finds the record complete.
    async fn tell_last(&self, place: (u32, u32)) {
        let (objects, op) = (Objects(&self.env), self.op(place));
        if let Err(fault) = within(CAMPAIGN_WAIT, "the campaign", objects.campaign(&self.campaign, &op)).await {
            fault.log("progress_untold");
        }
    }
}

/// Where a stream stands.
struct Press {
    codes: MintCodes<Rc<CampaignKeys>>,
    format: BatchFormat,
    /// Seqs from here on are not the batch's.
    end: u32,
    /// Codes of the batch.
    count: u32,
    /// Those that were made so far, left-out ones included, and the seq of the last.
    made: u32,
    last: u32,
    /// Those that the Campaign was told of.
    told: u32,
    /// Codes with seqs below it are left out.
    first: u32,
    begun: bool,
    broken: bool,
}

impl Press {
    fn new(reserved: &Reserved, keys: Rc<CampaignKeys>, wanted: &Wanted) -> Self {
        let batch = &reserved.batch;
        let (from, made) = reserved.place.map_or((batch.from_seq, 0), |(seq, made)| (seq + 1, made));
        Self {
            codes: MintCodes::new(keys, from, batch.count.saturating_sub(made)),
            format: wanted.format,
            end: batch.to_seq,
            count: batch.count,
            made,
            last: from,
            told: made,
            first: wanted.after_seq.map_or(0, |after| after + 1),
            begun: wanted.after_seq.is_some(),
            broken: false,
        }
    }

    fn is_done(&self) -> bool {
        self.made == self.count
    }

    /// The place that the Campaign should hear of.
    fn news(&mut self) -> Option<(u32, u32)> {
        let due = self.made >= self.told.saturating_add(TELL_CODES) || self.is_done() && self.told < self.made;
        due.then(|| {
            self.told = self.made;
            (self.last, self.made)
        })
    }

    /// The next chunk that holds something; `None` at the end.
    fn next_chunk(&mut self) -> Option<worker::Result<Vec<u8>>> {
        loop {
            match self.chunk() {
                Some(Ok(text)) if text.is_empty() => {}
                chunk => return chunk,
            }
        }
    }

    /// The next codes, those that are left out among them; `None` at the end. A range that runs out early breaks the stream off instead of ending
    /// it, so that a short file is never taken for a whole one.
    fn chunk(&mut self) -> Option<worker::Result<Vec<u8>>> {
        if self.broken || self.is_done() && self.begun {
            return None;
        }
        let mut text = Vec::with_capacity(CHUNK_BYTES);
        if !self.begun && self.format == BatchFormat::Csv {
            text.extend_from_slice(b"seq,code\n");
        }
        self.begun = true;
        for _ in 0..CHUNK_CODES {
            if self.is_done() {
                break;
            }
            let Some(minted) = self.codes.next().filter(|minted| minted.seq < self.end) else {
                self.broken = true;
                return Some(Err(worker::Error::RustError("the batch's range is too short".to_owned())));
            };
            self.made += 1;
            self.last = minted.seq;
            if minted.seq >= self.first {
                line(&mut text, self.format, minted.seq, minted.code.canonical().as_bytes());
            }
        }
        Some(Ok(text))
    }
}

/// One code, without a formatter and without an allocation of its own.
fn line(text: &mut Vec<u8>, format: BatchFormat, seq: u32, code: &[u8]) {
    match format {
        BatchFormat::Csv => {
            number(text, seq);
            text.push(b',');
            text.extend_from_slice(code);
            text.push(b'\n');
        }
        BatchFormat::Jsonl => {
            text.extend_from_slice(b"{\"seq\":");
            number(text, seq);
            text.extend_from_slice(b",\"code\":\"");
            text.extend_from_slice(code);
            text.extend_from_slice(b"\"}\n");
        }
    }
}

fn number(text: &mut Vec<u8>, mut number: u32) {
    let mut digits = [0; DIGITS];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        length += 1;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(digits.get(DIGITS - length..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (format, seq, expected) in [
            (BatchFormat::Csv, 0, "0,AB-C\n"),
            (BatchFormat::Csv, 16_777_215, "16777215,AB-C\n"),
            (BatchFormat::Csv, u32::MAX, "4294967295,AB-C\n"),
            (BatchFormat::Jsonl, 10, "{\"seq\":10,\"code\":\"AB-C\"}\n"),
        ] {
            let mut text = vec![];
            line(&mut text, format, seq, b"AB-C");
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
    }
}
