//! Those outside: members' browsers, which repeat a request with its key until there is an answer, and
//! administrators.

use crate::disk::Fault;
use crate::fault::Step;
use crate::message::{Answer, Party, Reply, Request};
use crate::outcome::Violation;
use crate::scenario::{Action, Redeem, What};
use crate::world::World;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::rc::Rc;

const PATIENCE_MS: i64 = 15_000;

impl World {
    /// Carries an action out; `number` tells who it is.
    pub(crate) fn act(self: &Rc<Self>, number: usize, action: Action) {
        let world = Rc::clone(self);
        let party = Party::Outside(number);
        match action.what {
            What::Redeem(redeem) => {
                for _ in 0..redeem.tabs {
                    let (world, redeem) = (Rc::clone(self), redeem.clone());
                    self.spawn(party, async move { world.redeem(redeem).await });
                }
            }
            What::Administer { campaign, change, tries } => self.spawn(party, async move {
                for _ in 0..tries {
                    let request = Request::Administer(change.clone());
                    let answer = world.ask(Party::Campaign(campaign), Step::Administer, request).await;
                    if let Ok(Reply::Administered { version, in_force }) = answer {
                        world.check_in_force(campaign, version, in_force);
                        return;
                    }
                }
            }),
        }
    }

    async fn ask(self: &Rc<Self>, to: Party, step: Step, request: Request) -> Result<Reply, Fault> {
        let asking = self.call(to, step, request);
        match select(asking, pin!(self.delay(PATIENCE_MS))).await {
            Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
            Either::Right(_) => Err(Fault("no answer in time")),
        }
    }

    async fn redeem(self: Rc<Self>, redeem: Redeem) {
        let Redeem { member, call, tries, mut again, .. } = redeem;
        for attempt in 0..tries {
            self.oracle.borrow_mut().asked(&call);
            let request = Request::Redeem(Rc::clone(&call));
            let answer = self.ask(Party::Member(member), Step::Redeem, request).await;
            let pause_ms = match answer {
                Ok(Reply::Answer(answer)) => {
                    let checked = self.oracle.borrow_mut().answered(&self, member, &call, &answer);
                    if let Err(violation) = checked {
                        return self.violated(violation);
                    }
                    match answer {
                        Answer::Failed(_) => 500 << attempt,
                        Answer::Accepted => 3_000,
                        Answer::Created(_) | Answer::Refused(_) | Answer::KeyReused | Answer::Overflow if again => {
                            again = false;
                            1_000
                        }
                        Answer::Created(_) | Answer::Refused(_) | Answer::KeyReused | Answer::Overflow => return,
                    }
                }
                Ok(_) | Err(_) => 500 << attempt,
            };
            self.delay(pause_ms).await;
        }
    }

    /// "In force" is said only when every shard has it.
    fn check_in_force(&self, campaign: usize, version: u32, in_force: bool) {
        let shard = self.shards.get(campaign).map(|disk| disk.safe());
        if let Some(rules) = shard.and_then(|shard| shard.rules.clone())
            && in_force
            && rules.version < version
        {
            let what = format!("C{campaign} says version {version} is in force; its shard has {}", rules.version);
            self.violated(Violation::new("rules", what));
        }
    }
}
