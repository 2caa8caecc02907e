//! Each object's one alarm, which the platform fires late, twice, or never.

use crate::event::Event;
use crate::message::Party;
use crate::step::{Fault as Kind, Step};
use crate::world::{Actor, World};
use counterfoil_core::time::Instant;
use std::rc::Rc;

/// Longest time that the platform lets an alarm run.
const ALARM_RUN_MAX_MS: i64 = 900_000;

impl World {
    pub(crate) const fn alarm_step(party: Party) -> Step {
        match party {
            Party::Member(_) | Party::Recorder(_) | Party::Fulfiller | Party::Outside(_) => Step::MemberAlarm,
            Party::Merchant => Step::MerchantAlarm,
            Party::Shard(_) => Step::ShardAlarm,
            Party::Campaign(_) => Step::CampaignAlarm,
            Party::Pool(_) => Step::PoolAlarm,
        }
    }

    /// The platform's alarm has come due.
    pub(crate) fn alarm(self: &Rc<Self>, party: Party, at: Instant) {
        let step = Self::alarm_step(party);
        let now = self.clock(party);
        {
            let mut hosts = self.hosts.borrow_mut();
            let Some(host) = hosts.get_mut(&party) else {
                return;
            };
            if host.volume.alarm() != Some(at) || at > now {
                return;
            }
            if let Some(since) = host.ringing {
                // One alarm at a time. One that never ends is stopped.
                let stop_at = since.plus_ms(ALARM_RUN_MAX_MS);
                let incarnation = host.incarnation;
                drop(hosts);
                if self.now() >= stop_at {
                    return self.schedule(0, Event::Crash(party, incarnation));
                }
                return self.schedule(1_000, Event::Alarm(party, at));
            }
        }
        if let Some(how) = self.strikes_how(step, Kind::AlarmLate) {
            let late = self.held_ms(how, 500, 120_000);
            return self.schedule(late, Event::Alarm(party, at));
        }
        let dropped = self.strikes(step, Kind::AlarmDropped);
        if let Some(host) = self.hosts.borrow_mut().get_mut(&party) {
            host.volume.set_alarm(None);
            host.alarm_lost = dropped;
        }
        if dropped {
            return;
        }
        if self.strikes(step, Kind::AlarmTwice) {
            self.schedule(1, Event::RingAgain(party));
        }
        self.ring(party);
    }

    pub(crate) fn ring(self: &Rc<Self>, party: Party) {
        let now = self.now();
        let (actor, incarnation) = {
            let mut hosts = self.hosts.borrow_mut();
            let Some(host) = hosts.get_mut(&party) else {
                return;
            };
            host.ringing = Some(now);
            (host.actor.clone(), host.incarnation)
        };
        self.tell(|| format!("{party} alarm"));
        let world = Rc::clone(self);
        self.spawn(party, async move {
            let rung = match actor {
                Actor::Member(member) => member.ring().await,
                Actor::Shard(shard) => shard.ring().await,
                Actor::Campaign(campaign) => campaign.ring().await,
                Actor::Pool(pool) => pool.ring().await,
                Actor::Merchant(merchant) => merchant.ring().await,
                // It plans nothing.
                Actor::Recorder(_) => Ok(()),
            };
            // It has run only once its last turn is committed.
            world.schedule(0, Event::Rung { party, incarnation, failed: rung.is_err() });
        });
    }

    pub(crate) fn rung(&self, party: Party, incarnation: u64, failed: bool) {
        let same = self.hosts.borrow().get(&party).is_some_and(|host| host.incarnation == incarnation);
        if !same {
            return;
        }
        if let Some(host) = self.hosts.borrow_mut().get_mut(&party).filter(|host| host.incarnation == incarnation) {
            host.ringing = None;
        }
        if failed {
            self.alarm_failed(party);
            self.arm(party);
        }
        self.oracle.borrow_mut().committed(self, party);
    }
}
