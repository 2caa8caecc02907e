//! When everything has settled: whatever the limits leave can be taken, by somebody new, to the last use; and no more.

use crate::member::place;
use crate::message::{Answer, Party, Reply, Request};
use crate::oracle_limits::taken;
use crate::outcome::Violation;
use crate::scenario::Redeem;
use crate::step::Step;
use crate::world::World;
use counterfoil_core::alias::Alias;
use counterfoil_core::calendar::Calendar;
use counterfoil_core::code::Profile;
use counterfoil_core::protocol::shard::hides;
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::{Facts, Usage, evaluate, recognised};
use counterfoil_core::time::Utc;
use counterfoil_core::token::Attributes;
use counterfoil_core::wire::Method;
use std::rc::Rc;

const TRIES: u32 = 4;

impl World {
    /// Lets those who are new redeem one after the other.
    pub(crate) fn probe(self: &Rc<Self>, probes: Vec<(usize, Redeem)>) {
        let world = Rc::clone(self);
        self.spawn(Party::Outside(usize::MAX - 1), async move {
            for (campaign, redeem) in probes {
                world.probe_one(campaign, &redeem).await;
            }
            world.probing.set(false);
        });
    }

    async fn probe_one(self: &Rc<Self>, campaign: usize, redeem: &Redeem) {
        let Some(expected) = self.expected(redeem) else { return };
        for _ in 0..TRIES {
            self.oracle.borrow_mut().asked(&redeem.call, self.now());
            let request = Request::Redeem(self.read(&redeem.call));
            let answer = self.ask(Party::Member(redeem.member), Step::Redeem, request).await;
            let given = match &answer {
                Ok(Reply::Answer(Answer::Created(_))) => None,
                Ok(Reply::Answer(Answer::Refused(refusal))) => Some(refusal.code()),
                _ => {
                    self.delay(4_000).await;
                    continue;
                }
            };
            if let Ok(Reply::Answer(answer)) = &answer
                && let Err(violation) = self.oracle.borrow_mut().answered(self, redeem.member, &redeem.call, answer)
            {
                return self.violated(violation);
            }
            // Where the day has changed meanwhile it may be either.
            if self.is_plain(redeem) && given != expected {
                let what = format!("C{campaign}: {} is answered {given:?}, not {expected:?}", redeem.name);
                self.violated(Violation::new("usable", what));
            }
            return;
        }
        if self.nothing_parked() {
            let what = format!("C{campaign}: {} finds no answer, though nothing is broken", redeem.name);
            self.violated(Violation::new("usable", what));
        }
    }

    fn is_plain(&self, redeem: &Redeem) -> bool {
        let Some(code) = redeem.call.code else { return false };
        let rules = self.campaigns.get(place(code.campaign)).map(|disk| Rc::clone(&disk.safe().rules));
        let all = rules.is_some_and(|rules| {
            self.shards_of(place(code.campaign))
                .all(|(_, shard)| shard.rules.as_ref().is_none_or(|known| known.version == rules.version))
        });
        let day = |ms: i64| Calendar::at(self.now().plus_ms(ms), &Utc).today();
        all && day(-60_000) == day(0)
    }

    /// The first rule that refuses, by all that is known anywhere; the outer `None` where nobody can tell.
    #[allow(clippy::option_option, reason = "a refusal, none, or nothing to say")]
    fn expected(&self, redeem: &Redeem) -> Option<Option<&'static str>> {
        let code = redeem.call.code?;
        let campaign = place(code.campaign);
        let rules = Rc::clone(&self.campaigns.get(campaign)?.safe().rules);
        let facts = Facts {
            at: self.now(),
            seq: code.seq,
            epoch: code.epoch,
            profile: Profile::S20,
            epoch_revoked: self.epoch_revoked.get(),
            method: Method::Frontend,
            currency: None,
            attributes: Attributes::default(),
            roles: vec![],
            member_uses: 0,
            member_days: vec![],
            alias: code.alias.and_then(Alias::read),
        };
        if !recognised(Some(&rules), &facts) {
            return Some(Some("code_not_recognised"));
        }
        let calendar = Calendar::at(facts.at, &Utc);
        let left = rules
            .needs(&calendar)
            .into_iter()
            .map(|need| (need.meter, need.limit.saturating_sub(taken(self, campaign, &need.meter, &rules))));
        let usage = Usage { left: left.collect(), ..Usage::default() };
        let verdicts = evaluate(&rules, &calendar, &facts, None, &usage, |_| String::new());
        let refusal = verdicts.into_iter().find_map(|(_, refusal)| refusal);
        let told = |refusal: Refusal| {
            let hidden = hides(&rules, &facts, &refusal);
            if hidden { "code_not_recognised" } else { refusal.code() }
        };
        Some(refusal.map(told))
    }

    fn nothing_parked(&self) -> bool {
        let parked = |due: &crate::due::Due| due.items.values().any(|planned| planned.parked);
        !self.shards.iter().any(|disk| parked(&disk.safe().due))
            && !self.campaigns.iter().any(|disk| parked(&disk.safe().due))
            && !self.members.iter().any(|disk| parked(&disk.safe().due))
    }
}
