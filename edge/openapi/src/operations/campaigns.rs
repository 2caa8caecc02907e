//! Campaigns, their codes and keys.

use super::{LOCATION, REPLAYED, VERSIONED};
use crate::call::{Api, Key};
use counterfoil_core::wire::{
    BatchResource, CampaignResource, ExplainBody, Explanation, InspectBody, Inspection, KeyRing, NewBatch, NewCampaign,
    Page, PrintKey, RecallBody, RecallResource, RequiredReasonBody, RotateBody,
};
use serde_json::json;

const CHANGED: &str = "In force everywhere.";
const CHANGING: &str =
    "Committed, and not in force everywhere yet: `in_force` is false, and the next read shows when it is.";

pub(super) fn all(api: &mut Api) {
    campaigns(api);
    codes(api);
    keys(api);
}

fn campaigns(api: &mut Api) {
    let tag = "Campaigns";
    api.call("POST", "/v1/campaigns", (tag, "createCampaign"), "Create a campaign")
        .about("It begins as a draft. Any status but `ended` may mint. `profile`, `kind` and `reward_id` freeze at the first mint.")
        .key(Key::Optional)
        .body::<NewCampaign>(&[
            (
                "unique",
                json!({
                    "name": "Spring letter", "kind": "unique", "reward_id": "five-euros", "time_zone": "Europe/Berlin",
                    "starts_on": "2027-03-01", "ends_on": "2027-05-31", "limits": { "total": 10_000 },
                }),
            ),
            (
                "shared",
                json!({
                    "name": "Welcome", "kind": "shared", "reward_id": "welcome-points", "aliases": ["WELCOME10"],
                    "limits": { "total": 5_000, "windows": [{ "per": "day", "total": 500 }] },
                    "eligibility": { "tiers": ["gold", "silver"], "tags_none": ["staff"] },
                }),
            ),
        ])
        .answer::<CampaignResource>(201, "The campaign.", &["Location", "ETag", "Idempotent-Replayed"])
        .problems(&["already_exists"]);
    api.call("GET", "/v1/campaigns", (tag, "listCampaigns"), "All campaigns").pages().answer::<Page<CampaignResource>>(
        200,
        "A page.",
        &[],
    );
    api.call("GET", "/v1/campaigns/{campaign}", (tag, "readCampaign"), "One campaign").answer::<CampaignResource>(
        200,
        "As it stands now, with the exact instants of its dates.",
        &["ETag"],
    );
    api.call("PATCH", "/v1/campaigns/{campaign}", (tag, "changeCampaign"), "Change a campaign")
        .if_match()
        .patch::<NewCampaign>(
            "CampaignPatch",
            &[("later", json!({ "ends_on": "2027-06-30", "limits": { "total": null } }))],
        )
        .answer::<CampaignResource>(200, CHANGED, &["ETag"])
        .answer::<CampaignResource>(202, CHANGING, &["ETag"])
        .problems(&["illegal_move", "already_exists"]);
    for (path, name, summary) in [
        ("/v1/campaigns/{campaign}/activate", "activateCampaign", "Let its codes be redeemed"),
        ("/v1/campaigns/{campaign}/pause", "pauseCampaign", "Stop it for now"),
        ("/v1/campaigns/{campaign}/end", "endCampaign", "End it for ever"),
    ] {
        api.call("POST", path, (tag, name), summary)
            .key(Key::Optional)
            .empty_body()
            .answer::<CampaignResource>(200, CHANGED, VERSIONED)
            .answer::<CampaignResource>(202, CHANGING, VERSIONED)
            .problems(&["illegal_move", "already_exists"]);
    }
    api.call("POST", "/v1/campaigns/{campaign}/breaker/reset", (tag, "resetBreaker"), "Close its breaker")
        .about("For after somebody has looked at who was guessing. Counting begins anew.")
        .key(Key::Optional)
        .body::<RequiredReasonBody>(&[("looked", json!({ "reason": "a partner's faulty scanner" }))])
        .answer::<CampaignResource>(200, "The campaign.", VERSIONED);
}

fn codes(api: &mut Api) {
    let tag = "Campaigns";
    let batch =
        &["Counterfoil-Batch", "Counterfoil-Count", "Counterfoil-Remaining", "Counterfoil-Odds", "Idempotent-Replayed"];
    let line = json!({
        "type": "string",
        "description": "CSV with the header line `seq,code`; as NDJSON, one `{\"seq\": 0, \"code\": \"…\"}` a line.",
    });
    let mut call = api
        .call("POST", "/v1/campaigns/{campaign}/batches", (tag, "mint"), "Mint codes")
        .about(
            "The codes are streamed, any number of them. The same key gives the same codes again; a stream that broke goes on with \
             `after_seq`, the last one that arrived. With `offline: true` nothing is streamed: the places are reserved, and the companion \
             `counterfoil` mints exactly that range.",
        )
        .key(Key::Optional)
        .query("after_seq", "Go on after this place: with the same key and body, of a stream that broke.", json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }))
        .body::<NewBatch>(&[
            ("mailing", json!({ "count": 1000, "label": "March letter", "reference": "PO-77" })),
            ("print shop", json!({ "count": 1_000_000, "offline": true, "expires_on": "2027-12-31" })),
        ]);
    let resource = call.schema_of::<BatchResource>();
    call.answers(
        201,
        "The codes; with `offline`, the batch.",
        batch,
        &[("text/csv", line.clone()), ("application/x-ndjson", line), ("application/json", resource)],
    )
    .problems(&["illegal_move", "already_exists", "idempotency_key_required"]);
    api.call("GET", "/v1/campaigns/{campaign}/batches", (tag, "listBatches"), "Its batches, the latest first")
        .pages()
        .answer::<Page<BatchResource>>(200, "A page.", &[]);
    api.call("GET", "/v1/campaigns/{campaign}/batches/{batch_id}", (tag, "readBatch"), "One batch")
        .answer::<BatchResource>(200, "As it stands now.", &[]);
    api.call("POST", "/v1/campaigns/{campaign}/recalls", (tag, "recall"), "Withdraw codes")
        .about("A range of places, a batch, or everything minted so far with the aliases.")
        .key(Key::Optional)
        .body::<RecallBody>(&[
            ("range", json!({ "from_seq": 0, "to_seq": 500, "reason": "a parcel was lost" })),
            ("all", json!({ "all": true, "reason": "misprint" })),
        ])
        .answer::<RecallResource>(201, "The recall.", LOCATION)
        .problems(&["illegal_move"]);
    api.call("GET", "/v1/campaigns/{campaign}/recalls", (tag, "listRecalls"), "Its recalls, the latest first")
        .pages()
        .answer::<Page<RecallResource>>(200, "A page.", &[]);
    api.call("GET", "/v1/campaigns/{campaign}/recalls/{recall_id}", (tag, "readRecall"), "One recall")
        .answer::<RecallResource>(200, "As it stands now.", &[]);
    api.call("POST", "/v1/campaigns/{campaign}/print-key", (tag, "exportPrintKey"), "The keys for a print shop, once")
        .about(
            "Whoever has them can mint this campaign's codes of this epoch, and no others. Never cached, audited, and refused where \
             codes of this epoch were delivered already. From then on this epoch is minted offline only.",
        )
        .key(Key::Optional)
        .body::<RequiredReasonBody>(&[("print", json!({ "reason": "printed by Example Ltd" }))])
        .answer::<PrintKey>(200, "The keys.", REPLAYED)
        .problems(&["illegal_move"]);
    api.call("POST", "/v1/codes/inspect", (tag, "inspect"), "Everything known of one code")
        .body::<InspectBody>(&[("code", json!({ "code": "0000-PMHX-FT5V-PPXF-4FNQ" }))])
        .answer::<Inspection>(200, "What it is, and what became of it.", &[])
        .problems(&["malformed_code"]);
    api.call("POST", "/v1/explain", (tag, "explain"), "Why a redemption would be refused, at any instant")
        .about("Every rule in order of precedence. Nothing is counted or changed.")
        .body::<ExplainBody>(&[(
            "next month",
            json!({ "code": "WELCOME10", "member_id": "ann", "at": "2027-01-01T00:00:00Z", "as": { "tier": "gold" } }),
        )])
        .answer::<Explanation>(200, "What it would come to.", &[])
        .problems(&["not_found"]);
}

fn keys(api: &mut Api) {
    let tag = "Keys and access";
    api.call("GET", "/v1/keys", (tag, "keys"), "Key epochs").answer::<KeyRing>(
        200,
        "Every epoch that has a root.",
        &[],
    );
    api.call("POST", "/v1/keys/rotate", (tag, "rotateKeys"), "Mint with another epoch")
        .about("Codes of earlier epochs go on being redeemed.")
        .key(Key::Optional)
        .body_or_none::<RotateBody>(&[("next", json!({})), ("named", json!({ "epoch": 2, "reason": "yearly" }))])
        .answer::<KeyRing>(202, "The epochs as they stand.", REPLAYED)
        .problems(&["illegal_move"]);
    api.call("POST", "/v1/keys/{epoch}/revoke", (tag, "revokeEpoch"), "Let no code of an epoch be redeemed any more")
        .about("For a root that became known. A repeat answers how far it has come.")
        .key(Key::Optional)
        .body::<RequiredReasonBody>(&[("leak", json!({ "reason": "the root was found in a log" }))])
        .answer::<KeyRing>(202, "The epochs, with how many campaigns have it in force.", REPLAYED)
        .problems(&["illegal_move"]);
}
