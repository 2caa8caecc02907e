//! What a CodeShard sees of a code without taking anything: previews, explanations, who uses it.

use crate::answer::Answer;
use crate::calls::{Kept, PreviewAnswer, Uses};
use crate::config::Config;
use crate::platform::Fault;
use crate::shard::Inner;
use crate::shard_store::ShardStore;
use crate::sql::{first, query};
use counterfoil_core::explain::hidden;
use counterfoil_core::ids::{Mref, Rid};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::{Facts, Rules, Usage, evaluate, issued_range, recognised};
use counterfoil_core::time::Instant;
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{
    CampaignKind, Preview, PreviewCampaign, PreviewReward, PreviewRule, RewardDefinition, Verdict,
};
use serde::{Deserialize, Serialize};

/// Uses of one code that are shown.
pub(crate) const USES_SHOWN: u32 = 100;

/// Answer to [`ShardOp::Look`](crate::calls::ShardOp::Look); absent where the code is not recognised.
#[derive(Serialize, Deserialize)]
pub(crate) struct LookAnswer {
    pub(crate) looked: Option<Looked>,
}

/// What the rules say to a code.
#[derive(Serialize, Deserialize)]
pub(crate) struct Looked {
    pub(crate) name: String,
    pub(crate) kind: CampaignKind,
    pub(crate) shards: u32,
    pub(crate) ends_at: Option<Instant>,
    pub(crate) reward: RewardDefinition,
    pub(crate) quantity: u32,
    /// The batch that it was minted with; absent for a word that was entered.
    pub(crate) batch_id: Option<String>,
    /// Rules 4 to 16 in order, each with its refusal where it fails.
    pub(crate) verdicts: Vec<(String, Option<Refusal>)>,
    /// Whoever entered it learns only that it is not known.
    pub(crate) hidden: bool,
}

impl Inner {
    /// Everything that a redemption would be judged by.
    async fn look(&self, facts: &Facts, mref: &Mref) -> Result<Option<Looked>, Fault> {
        let Some(rules) = self.rules().filter(|rules| recognised(Some(rules), facts)) else { return Ok(None) };
        let calendar = self.calendar(&rules, facts.at);
        let left = self.left(&rules, &calendar).await?;
        // What a checkout has used in the meantime is not held any more.
        self.close_settled();
        let config = Config::of(&self.env)?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let usage = Usage { left, ..self.store().look((&[], &[]), facts, mref, Some(&rules), None)?.usage };
        let verdicts = evaluate(&rules, &calendar, facts, None, &usage, |rid| names.redemption(rid));
        let Rules { name, kind, shards, ends_at, reward, quantity, .. } = rules.as_ref().clone();
        let batch_id =
            issued_range(&rules, facts).filter(|_| facts.alias.is_none()).map(|range| range.batch_id.clone());
        let hidden = hidden(&rules, facts, &verdicts);
        let verdicts = verdicts.into_iter().map(|(rule, refusal)| (rule.to_owned(), refusal)).collect();
        Ok(Some(Looked { name, kind, shards, ends_at, reward, quantity, batch_id, verdicts, hidden }))
    }

    /// Answers what the rules say, where this shard keeps the code's uses.
    pub(crate) async fn answer_look(&self, facts: &Facts, mref: &Mref) -> Result<Answer, Fault> {
        self.know(facts).await?;
        let kept = match self.elsewhere(facts.seq, mref) {
            Some(shard) => Kept::Elsewhere { shard },
            None => Kept::Here(LookAnswer { looked: self.look(facts, mref).await? }),
        };
        Answer::json(200, &kept)
    }

    /// The same as a member sees it.
    pub(crate) async fn answer_preview(&self, facts: &Facts, mref: &Mref) -> Result<Answer, Fault> {
        self.know(facts).await?;
        let kept = match self.elsewhere(facts.seq, mref) {
            Some(shard) => Kept::Elsewhere { shard },
            None => {
                let looked = self.look(facts, mref).await?.filter(|looked| !looked.hidden);
                Kept::Here(PreviewAnswer { preview: looked.map(preview) })
            }
        };
        Answer::json(200, &kept)
    }

    /// Whose uses a code has here.
    pub(crate) fn uses(&self, seq: u32) -> Result<Uses, Fault> {
        self.close_settled();
        self.store().uses_of(seq)
    }
}

impl ShardStore<'_> {
    fn uses_of(&self, seq: u32) -> Result<Uses, Fault> {
        let rows = query(self.0, "SELECT rid FROM uses WHERE seq = ? LIMIT ?", &[seq.into(), USES_SHOWN.into()])?;
        let held = first(self.0, "SELECT min(until) FROM held WHERE seq = ?", &[seq.into()])?;
        Ok(Uses {
            rids: rows.iter().filter_map(|row| Rid::from_bytes(&row.blob(0))).collect(),
            held_until: held.filter(|row| !row.is_null(0)).map(|row| Instant(row.integer(0))),
        })
    }
}

fn preview(looked: Looked) -> Preview {
    let Looked { name, ends_at, reward, verdicts, .. } = looked;
    let refusal = verdicts.iter().find_map(|(_, refusal)| refusal.clone());
    let listed = verdicts.into_iter().map(|(rule, refusal)| PreviewRule {
        rule,
        passed: refusal.is_none(),
        detail: refusal.map(|refusal| refusal.detail()),
    });
    let known = PreviewRule { rule: "code_not_recognised".to_owned(), passed: true, detail: None };
    Preview {
        would: if refusal.is_none() { Verdict::Redeem } else { Verdict::Refuse },
        refusal,
        reward: PreviewReward { name: reward.name, kind: reward.kind, value: reward.value },
        campaign: PreviewCampaign { name, ends_at },
        rules: std::iter::once(known).chain(listed).collect(),
    }
}
