//! Streaming a batch: constant memory, the same codes for the same key, offensive words skipped.

use crate::answer::Answer;
use crate::calls::Reserved;
use crate::platform::Fault;
use counterfoil_core::keys::CampaignKeys;
use counterfoil_core::permute::PermutationTable;
use counterfoil_core::wire::BatchFormat;
use futures_util::stream;
use std::fmt::Write;
use std::rc::Rc;
use worker::{Headers, Response};

/// Codes in one chunk of the stream.
const CHUNK_CODES: u32 = 2_000;

/// Answers a reserved batch: its record when offline, else its codes.
pub(crate) fn respond(
    reserved: &Reserved,
    keys: Rc<CampaignKeys>,
    offline: bool,
    format: BatchFormat,
) -> Result<Response, Fault> {
    let batch = &reserved.batch;
    let mut headers = vec![
        ("Counterfoil-Batch", batch.batch_id.clone()),
        ("Counterfoil-Remaining", reserved.remaining.to_string()),
        ("Counterfoil-Odds", odds(reserved)),
    ];
    if reserved.replayed {
        headers.push(("Idempotent-Replayed", "true".to_owned()));
    }
    if offline {
        let location = format!("/v1/campaigns/{}/batches/{}", reserved.campaign, batch.batch_id);
        let answer = Answer::json(201, batch)?.header("Location", location);
        return headers.into_iter().fold(answer, |answer, (name, value)| answer.header(name, value)).into_response();
    }
    let (content_type, extension) = match format {
        BatchFormat::Csv => ("text/csv; charset=utf-8", "csv"),
        BatchFormat::Jsonl => ("application/x-ndjson", "jsonl"),
    };
    let all = Headers::new();
    for (name, value) in headers {
        all.set(name, &value)?;
    }
    all.set("Content-Type", content_type)?;
    all.set("Content-Disposition", &format!("attachment; filename=\"{}.{extension}\"", batch.batch_id))?;
    let press = Press {
        table: PermutationTable::new(keys.permutation()),
        keys,
        format,
        next: batch.from_seq,
        end: batch.to_seq,
        left: batch.count,
        begun: false,
    };
    let codes = stream::unfold(press, |mut press| async move {
        let chunk = press.chunk();
        chunk.map(|chunk| (chunk, press))
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

/// Where a stream stands.
struct Press {
    keys: Rc<CampaignKeys>,
    table: PermutationTable,
    format: BatchFormat,
    next: u32,
    end: u32,
    left: u32,
    begun: bool,
}

impl Press {
    /// The next chunk; `None` at the end. A range that runs out early breaks the stream off instead of ending
    /// it, so that a short file is never taken for a whole one.
    fn chunk(&mut self) -> Option<worker::Result<Vec<u8>>> {
        if self.left == 0 && self.begun {
            return None;
        }
        let mut text = String::new();
        if !self.begun && self.format == BatchFormat::Csv {
            text.push_str("seq,code\n");
        }
        self.begun = true;
        let wanted = self.left.min(CHUNK_CODES);
        let mut made = 0;
        while made < wanted {
            if self.next >= self.end {
                return Some(Err(worker::Error::RustError("the batch's range is too short".to_owned())));
            }
            let seq = self.next;
            self.next += 1;
            let Some(code) = self.keys.mint_by(&self.table, seq) else { continue };
            let code = code.canonical();
            let written = match self.format {
                BatchFormat::Csv => writeln!(text, "{seq},{code}"),
                BatchFormat::Jsonl => writeln!(text, "{{\"seq\":{seq},\"code\":\"{code}\"}}"),
            };
            if written.is_ok() {
                made += 1;
            }
        }
        self.left -= made;
        Some(Ok(text.into_bytes()))
    }
}
