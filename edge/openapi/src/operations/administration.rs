//! What administrators set up, and one member as they see them.

use super::{LOCATION, REPLAYED, VERSIONED};
use crate::call::{Api, Key};
use counterfoil_core::wire::{
    ApiKeyResource, FulfilmentBody, GiveBody, LedgerRow, MemberExport, MemberResource, NewApiKey, NewPool,
    NewRewardDefinition, Page, PoolResource, ProfileBody, QuarantinedCode, ReasonBody, Redemption, ReleaseBody, Reward,
    RewardDefinition, Settings, UploadAnswer, Wallet,
};
use serde_json::json;

pub(super) fn all(api: &mut Api) {
    settings(api);
    definitions(api);
    pools(api);
    members(api);
    member_rewards(api);
    api_keys(api);
}

fn settings(api: &mut Api) {
    let tag = "Keys and access";
    api.call("GET", "/v1/settings", (tag, "settings"), "The merchant's settings").answer::<Settings>(
        200,
        "As they are in force.",
        &["ETag"],
    );
    api.call("PATCH", "/v1/settings", (tag, "changeSettings"), "Change settings")
        .about("null puts a setting back to its default.")
        .if_match()
        .patch::<Settings>("SettingsPatch", &[("country", json!({ "country": "DE", "attempts_per_day": 5 }))])
        .answer::<Settings>(200, "As they are from now on.", &["ETag"]);
}

fn definitions(api: &mut Api) {
    let tag = "Reward definitions";
    api.call("POST", "/v1/reward-definitions", (tag, "defineReward"), "Define a reward")
        .key(Key::Optional)
        .body::<NewRewardDefinition>(&[
            (
                "credit",
                json!({ "reward_id": "five-euros", "name": "5 euros", "type": "credit", "value": { "currency": "EUR", "amount_minor": 500 } }),
            ),
            (
                "for points",
                json!({ "reward_id": "mug", "name": "Mug", "type": "external", "value": { "reference": "SKU-7" }, "points_cost": 120 }),
            ),
        ])
        .answer::<RewardDefinition>(201, "The definition.", LOCATION)
        .problems(&["already_exists"]);
    api.call("GET", "/v1/reward-definitions", (tag, "listRewardDefinitions"), "All definitions").pages().answer::<Page<
        RewardDefinition,
    >>(
        200,
        "A page.",
        &[],
    );
    api.call("GET", "/v1/reward-definitions/{reward_id}", (tag, "readRewardDefinition"), "One definition")
        .answer::<RewardDefinition>(200, "The version that counts now.", &["ETag"]);
    api.call("PATCH", "/v1/reward-definitions/{reward_id}", (tag, "changeRewardDefinition"), "Change a definition")
        .about("A new version, which counts for redemptions after it. What was given stays as it was.")
        .if_match()
        .patch::<NewRewardDefinition>("RewardDefinitionPatch", &[("price", json!({ "points_cost": 100 }))])
        .answer::<RewardDefinition>(200, "The new version.", &["ETag"])
        .problems(&["illegal_move"]);
}

fn pools(api: &mut Api) {
    let tag = "Pools";
    api.call("POST", "/v1/pools", (tag, "createPool"), "Create a pool")
        .key(Key::Optional)
        .body::<NewPool>(&[("cinema", json!({ "pool_id": "cinema", "name": "Cinema vouchers", "alert_below": 100 }))])
        .answer::<PoolResource>(201, "The pool.", &["Location", "ETag", "Idempotent-Replayed"])
        .problems(&["already_exists"]);
    api.call("GET", "/v1/pools", (tag, "listPools"), "All pools").pages().answer::<Page<PoolResource>>(
        200,
        "A page.",
        &[],
    );
    api.call("GET", "/v1/pools/{pool_id}", (tag, "readPool"), "One pool and its stock").answer::<PoolResource>(
        200,
        "As it is now.",
        &["ETag"],
    );
    api.call("PATCH", "/v1/pools/{pool_id}", (tag, "changePool"), "Change a pool")
        .if_match()
        .patch::<NewPool>("PoolPatch", &[("threshold", json!({ "alert_below": 20 }))])
        .answer::<PoolResource>(200, "The pool.", &["ETag"])
        .problems(&["illegal_move"]);
    api.call("POST", "/v1/pools/{pool_id}/codes", (tag, "uploadCodes"), "Import promo codes")
        .about(
            "One code a line, or CSV with a column `code`; 16 MiB at most. What is there already counts as duplicate.",
        )
        .key(Key::Optional)
        .text_body(&["text/plain", "text/csv"], "CINEMA-1\nCINEMA-2\n")
        .answer::<UploadAnswer>(200, "What was taken.", REPLAYED);
    api.call("GET", "/v1/pools/{pool_id}/quarantine", (tag, "listQuarantine"), "Promo codes that were taken back")
        .pages()
        .answer::<Page<QuarantinedCode>>(200, "A page.", &[]);
    api.call(
        "POST",
        "/v1/pools/{pool_id}/quarantine/release",
        (tag, "releaseQuarantine"),
        "Let them be handed out again",
    )
    .key(Key::Optional)
    .body::<ReleaseBody>(&[
        ("some", json!({ "codes": ["CINEMA-1"], "reason": "never shown" })),
        ("all", json!({ "all": true, "reason": "a test" })),
    ])
    .answer::<PoolResource>(200, "The pool.", VERSIONED);
}

fn members(api: &mut Api) {
    let tag = "Members";
    api.call("GET", "/v1/members", (tag, "findMembers"), "Find members by telephone number")
        .required_query(
            "phone",
            "In E.164, or national where the merchant has a country.",
            json!({ "type": "string", "minLength": 1, "maxLength": 64 }),
        )
        .answer::<Page<MemberResource>>(200, "One, or none.", &[]);
    api.call("PUT", "/v1/members/{id}", (tag, "putMember"), "Set what is known of a member")
        .about("Sets what it names and leaves the rest; null takes a telephone number away.")
        .body_or_none::<ProfileBody>(&[(
            "ann",
            json!({ "name": "Ann", "phone": "+4915112345678", "tier": "gold", "tags": ["newsletter"] }),
        )])
        .answer::<MemberResource>(200, "The member.", &[])
        .problems(&["phone_in_use"]);
    api.call("DELETE", "/v1/members/{id}", (tag, "eraseMember"), "Erase a member")
        .about(
            "Running redemptions end, the balance is forfeited by a ledger row, number and names go. What stays tells nobody who it was, \
             and keeps limits from beginning anew.",
        )
        .query("reason", "Why; or in the body.", super::any_text())
        .body_or_none::<ReasonBody>(&[("asked", json!({ "reason": "asked for it" }))])
        .gone();
    api.call("GET", "/v1/members/{id}/wallet", (tag, "memberWallet"), "A member's wallet").answer::<Wallet>(
        200,
        "As it is now.",
        &[],
    );
    api.call("GET", "/v1/members/{id}/ledger", (tag, "memberLedger"), "A member's ledger")
        .pages()
        .answer::<Page<LedgerRow>>(200, "A page, the latest first.", &[]);
    api.call("GET", "/v1/members/{id}/redemptions", (tag, "memberRedemptions"), "A member's redemptions")
        .pages()
        .query("status", "Only those in this status.", super::redemption_status())
        .query("campaign", "Only of this campaign.", super::campaign_number())
        .query("from", "Requested at or after.", super::instant())
        .query("to", "Requested before.", super::instant())
        .answer::<Page<Redemption>>(200, "A page, the latest first.", &[]);
    api.call("GET", "/v1/members/{id}/export", (tag, "exportMember"), "Everything kept of a member")
        .about("One document, for whoever asks for their own data.")
        .answer::<MemberExport>(200, "All of it.", &[]);
}

fn member_rewards(api: &mut Api) {
    let tag = "Members";
    super::member::lists_rewards(api.call(
        "GET",
        "/v1/members/{id}/rewards",
        (tag, "memberRewards"),
        "A member's rewards",
    ));
    api.call("POST", "/v1/members/{id}/rewards", (tag, "give"), "Give a reward")
        .key(Key::Required)
        .body::<GiveBody>(&[("sorry", json!({ "reward_id": "five-euros", "reason": "late delivery" }))])
        .answer::<Reward>(201, "The reward.", &["Location", "ETag", "Idempotent-Replayed"])
        .problems(&["insufficient_codes", "value_spent"]);
    for (path, name, summary) in [
        ("/v1/members/{id}/rewards/{rid}/claim", "claimFor", "Claim a reward for a member"),
        ("/v1/members/{id}/rewards/{rid}/activate", "activateFor", "Activate a reward for a member"),
        ("/v1/members/{id}/rewards/{rid}/retry", "retryReward", "Try to apply a reward again"),
    ] {
        api.call("POST", path, (tag, name), summary)
            .key(Key::Optional)
            .body_or_none::<ReasonBody>(&[("asked", json!({ "reason": "asked by telephone" }))])
            .answer::<Reward>(200, "As it stands now.", VERSIONED)
            .problems(&["illegal_move"]);
    }
    api.call("DELETE", "/v1/members/{id}/rewards/{rid}", (tag, "deleteReward"), "Take a reward back")
        .about("What it applied is taken back in the ledger. The reason is required, in the query or in the body.")
        .query("reason", "Why.", super::any_text())
        .body_or_none::<ReasonBody>(&[("mistake", json!({ "reason": "given by mistake" }))])
        .gone()
        .problems(&["illegal_move", "value_spent"]);
    api.call(
        "PATCH",
        "/v1/members/{id}/rewards/{rid}/fulfilment",
        (tag, "changeFulfilment"),
        "Change what the fulfiller said",
    )
    .takes("IfMatchOptional")
    .patch::<FulfilmentBody>("FulfilmentPatch", &[("note", json!({ "note": "sent again by post" }))])
    .answer::<Reward>(200, "The reward.", &["ETag"])
    .problems(&["version_mismatch"]);
}

fn api_keys(api: &mut Api) {
    let tag = "Keys and access";
    api.call("POST", "/v1/api-keys", (tag, "createApiKey"), "Make a service key")
        .about("Its value is in this answer and nowhere else.")
        .key(Key::Optional)
        .body::<NewApiKey>(&[("shop", json!({ "name": "Shop backend", "scopes": ["redeem", "orders", "read"] }))])
        .answer::<ApiKeyResource>(201, "The key; its value where this is not a repeat.", LOCATION)
        .problems(&["not_found"]);
    api.call("GET", "/v1/api-keys", (tag, "listApiKeys"), "All service keys").pages().answer::<Page<ApiKeyResource>>(
        200,
        "A page, without values.",
        &[],
    );
    api.call("GET", "/v1/api-keys/{key_id}", (tag, "readApiKey"), "One service key").answer::<ApiKeyResource>(
        200,
        "Without its value.",
        &[],
    );
    api.call("DELETE", "/v1/api-keys/{key_id}", (tag, "revokeApiKey"), "Revoke a service key").gone();
}
