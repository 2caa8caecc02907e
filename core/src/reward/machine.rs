//! The reward state machine as data: every legal move, and who may cause it. Anything else is refused.

use crate::wire::RewardState;

/// Who causes a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The server, in the course of a redemption.
    System,
    /// The server, because time has passed.
    Clock,
    /// The player.
    Member,
    /// Administrators, for one reward.
    Administrator,
    /// Operators, who say how a whole redemption ended that the server could not finish.
    Operator,
    /// Whoever applies the reward: the wallet or the fulfiller.
    Mechanic,
}

/// One legal move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Absent for a reward that is made.
    pub from: Option<RewardState>,
    /// Where to.
    pub to: RewardState,
    /// Who may.
    pub by: &'static [By],
}

const fn made(to: RewardState) -> Move {
    Move { from: None, to, by: &[By::System] }
}

const fn step(from: RewardState, to: RewardState, by: &'static [By]) -> Move {
    Move { from: Some(from), to, by }
}

/// Every legal move, in the order of domain.md's table.
pub const MOVES: [Move; 19] = {
    use By::{Administrator, Clock, Mechanic, Member, Operator, System};
    use RewardState::{
        Bounced, Complete, Declined, Deleted, Expired, Failed, Granted, InProgress, PendingActivation, Unclaimed,
    };
    [
        made(Unclaimed),
        made(PendingActivation),
        step(Unclaimed, PendingActivation, &[Member, Administrator]),
        step(Unclaimed, Declined, &[Member]),
        step(PendingActivation, Declined, &[Member]),
        step(Unclaimed, Expired, &[Clock]),
        step(PendingActivation, Expired, &[Clock]),
        step(PendingActivation, InProgress, &[Member, Administrator, System]),
        // An operator who knows better resolves it as the mechanic would have.
        step(InProgress, Granted, &[Mechanic, Operator]),
        step(InProgress, Failed, &[Mechanic, Clock, Operator]),
        step(InProgress, Bounced, &[Clock]),
        step(Failed, InProgress, &[System, Administrator, Operator, Mechanic]),
        // A late success is recorded as Failed → InProgress → Granted in one commit; as a pair it is legal too.
        step(Failed, Granted, &[Mechanic, Operator]),
        step(Granted, Complete, &[Clock]),
        step(Unclaimed, Deleted, &[Administrator, Operator]),
        step(PendingActivation, Deleted, &[Administrator, Operator]),
        step(Failed, Deleted, &[Administrator, Operator]),
        step(Granted, Deleted, &[Administrator, Operator]),
        step(Complete, Deleted, &[Administrator, Operator]),
    ]
};

/// Whether a reward may move so, by whom.
#[must_use]
pub fn is_legal(from: Option<RewardState>, to: RewardState, by: By) -> bool {
    MOVES.iter().any(|legal| legal.from == from && legal.to == to && legal.by.contains(&by))
}

/// Where a reward may go from here by this cause.
#[must_use]
pub fn legal_moves(from: RewardState, by: By) -> Vec<RewardState> {
    MOVES.iter().filter(|legal| legal.from == Some(from) && legal.by.contains(&by)).map(|legal| legal.to).collect()
}

/// Whether a reward may come from one state to another at all, over however many moves of one commit.
#[must_use]
pub fn is_reachable(from: RewardState, to: RewardState) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while let Some(state) = seen.get(next).copied() {
        for legal in MOVES.iter().filter(|legal| legal.from == Some(state)) {
            if !seen.contains(&legal.to) {
                seen.push(legal.to);
            }
        }
        next += 1;
    }
    seen.contains(&to)
}
