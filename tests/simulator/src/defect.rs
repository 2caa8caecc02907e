//! Planted defects: mistakes of the kind that people make, one at a time, to show that the simulator sees them.
//!
//! Each is a branch in the simulator's own shell; the product's code has none of them.

macro_rules! defects {
    ($($variant:ident = $name:literal: $what:literal),+ $(,)?) => {
        /// See the module.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Defect { $(#[doc = $what] $variant),+ }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Short name, as the command line takes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What is wrong.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => $what),+ }
            }
        }
    };
}

defects! {
    AckBeforeCommit = "ack-before-commit": "the answer leaves before the decision is durable",
    LimitReadEarly = "limit-read-early": "the member's uses are read before the queue turn and not again",
    PreparedNotCounted = "prepared-not-counted": "a prepared use does not count against the code's limit",
    TotalIgnored = "total-ignored": "the campaign's total is not looked at",
    PrepareTwice = "prepare-twice": "a repeated intent takes a second use",
    AlarmNotArmed = "alarm-not-armed": "a pending row without an alarm",
    NetNotArmed = "net-not-armed": "the alarm does not arm itself before it works",
    NetForEver = "net-for-ever": "the alarm arms itself again when nothing is due",
    OtherPendingIgnored = "other-pending-ignored": "a use is promised on top of one that is about to be given back",
    AbortUndoesSettled = "abort-undoes-settled": "an abort takes a use away that is settled already",
    OpenDroppedEarly = "open-dropped-early": "the open row is dropped before the decision",
    DeadlineIgnored = "deadline-ignored": "an intent is taken after its deadline",
    DecidedOverwritten = "decided-overwritten": "a second decision overwrites the first",
    SilenceIsNo = "silence-is-no": "a Member that does not answer counts as having decided against",
    RunningIsNo = "running-is-no": "a redemption under way counts as decided against",
    FingerprintIgnored = "fingerprint-ignored": "the same key with another body is answered as a replay",
    AcceptUnwritten = "accept-unwritten": "202 leaves without the row that drives it",
    RulesGoBack = "rules-go-back": "a shard takes older rules",
    AcceptBlind = "accept-blind": "respond-async does not look again at who has the key",
    OverflowForgotten = "overflow-forgotten": "an accepted redemption that would overflow is not planned again",
    AbortUndecided = "abort-undecided": "a use is given back without a decision that is durable",
    InquiryUnbounded = "inquiry-unbounded": "a shard waits for a Member's word for ever",
    InquiryStops = "inquiry-stops": "one row that cannot be closed keeps the others from being asked about",
    PulledTooSoon = "pulled-too-soon": "rules that could not be stored count as pulled",
    InquiryBehind = "inquiry-behind": "a new pending row waits for the pause of an older one",
    PushUnplanned = "push-unplanned": "a change of rules is committed without the plan to push it",
    PushForgotten = "push-forgotten": "the end of an older push unplans a newer one",
    PullRegisters = "pull-registers": "a shard counts as having the rules that it was sent",
    CountedByCode = "counted-by-code": "a member's uses are counted by code, not by campaign",
    TagUnchecked = "tag-unchecked": "a tag that is too short fits",
    KeyPruned = "key-pruned": "a decided key is forgotten after a minute",
    DedupePruned = "dedupe-pruned": "a Recorder forgets early which rows it has",
    UndoNotIdempotent = "undo-not-idempotent": "a use that is given back twice counts twice",
    UndoOnce = "undo-once": "a use is given back by one message, heard or not",
    UseReturnedTwice = "use-returned-twice": "a reset gives a use back that a cancellation gave back",
    UseNotGivenBack = "use-not-given-back": "a cancelled redemption keeps its use in the shard",
    CounterKept = "counter-kept": "a cancelled redemption still counts for its member",
    DeliveryUnplanned = "delivery-unplanned": "a reward is committed without the plan to deliver it",
    OlderTryOverwrites = "older-try-overwrites": "the end of a try is written over what has become of the reward since",
    CancelUnguarded = "cancel-unguarded": "a redemption is cancelled though nobody knows what became of a try",
    LateSuccessApplied = "late-success-applied": "what was cancelled is granted by a late answer",
    NoticeForgotten = "notice-forgotten": "the fulfiller is not told that a reward was cancelled",
    WebhookIdPerTry = "webhook-id-per-try": "each try has a webhook-id of its own",
    BoosterTwice = "booster-twice": "a running booster multiplies twice",
    BoosterForEver = "booster-for-ever": "a booster multiplies after its end",
    ExpiryUnchecked = "expiry-unchecked": "an overdue reward can be claimed until the alarm comes by",
    ReportUnacknowledged = "report-unacknowledged": "reported rows are dropped before the Recorder has them",
    AuditSkipped = "audit-skipped": "a change is committed without its audit entry",
    ChainUnlinked = "chain-unlinked": "an audit entry does not name the hash before it",
    GoneUntold = "gone-untold": "a reward waits for an endpoint before its Merchant knows that it does",
    HurryMissed = "hurry-missed": "the endpoint works again just before a reward is committed as waiting for it",
    TryingForgotten = "trying-forgotten": "a try that is due while another ends is not planned again",
    PoisonSpreads = "poison-spreads": "an item that fails keeps the alarm from those after it",
    WokenUnheard = "woken-unheard": "a Member counts as woken though it has not answered",
    AheadForgotten = "ahead-forgotten": "what a clock that was ahead has planned waits for that time",
    FeedFromMemory = "feed-from-memory": "the feed's last number is kept in memory",
    ReturnedKept = "returned-kept": "a promo code that came back stays free when it is taken again",
    PoolPartly = "pool-partly": "a pool gives what it has where more was asked for",
    QuarantineSkipped = "quarantine-skipped": "promo codes of what was taken back are free again at once",
    QuarantineUncounted = "quarantine-uncounted": "promo codes in quarantine are not counted",
    DuplicateAdded = "duplicate-added": "a promo code that is there is added again",
    DuplicateCounted = "duplicate-counted": "a promo code that is there counts as one more",
    TakeTwice = "take-twice": "a repeated intent takes promo codes again",
    TakeOtherIgnored = "take-other-ignored": "a pool promises under one command what is pending under another",
    TakeLate = "take-late": "a pool takes an intent after its deadline",
    AlertRepeats = "alert-repeats": "that codes run low is told at each redemption",
    PoolUnburied = "pool-unburied": "a pool hands out codes again to what has given them back",
    PoolNotArmed = "pool-not-armed": "a pool's pending row without an alarm",
    PoolAbortUndoes = "pool-abort-undoes": "a late abort frees promo codes that are settled",
    PoolSilenceIsNo = "pool-silence-is-no": "a Member that does not answer a pool counts as having decided against",
    PoolUndoForgotten = "pool-undo-forgotten": "a pool is not told that a redemption was taken back",
    PoolUndoOnce = "pool-undo-once": "a pool is told once that a redemption was taken back, heard or not",
    UndoFirstOnly = "undo-first-only": "of two participants the first that has heard counts for both",
    OfferKept = "offer-kept": "a newer offer leaves the earlier one of the same reward open",
    OfferUnmarked = "offer-unmarked": "an offer that was confirmed stays open",
    OfferFromMemory = "offer-from-memory": "an offer is looked at before a pool is asked and not again",
    BalanceUnread = "balance-unread": "the balance is looked at before a pool is asked and not again",
    PoolForgets = "pool-forgets": "a pool that asks about what its Member has not heard of is told no",
    ConfirmedCancelled = "confirmed-cancelled": "an offer that was confirmed can be cancelled",
    AdjustmentUnkept = "adjustment-unkept": "a repeated adjustment is made again",
    PaymentForgotten = "payment-forgotten": "what was paid is not returned by a reversal",
    PoolShownFreed = "pool-shown-freed": "a pool frees the promo codes of what was decided for and then cancelled",
    PoolAsksInVain = "pool-asks-in-vain": "a pool is never told of what was refused without a record",
    EndedAgain = "ended-again": "held credit comes back once more when an expired hold is let go",
    HeldCreditLost = "held-credit-lost": "held credit does not come back",
    HeldUseKept = "held-use-kept": "a code that is let go keeps its use",
    CommittedPartly = "committed-partly": "an order is placed in one commit, and what it uses in another",
    HoldKeyUnkept = "hold-key-unkept": "a repeated hold of credit is made again",
    OverUnseen = "over-unseen": "an order is placed with a hold that is over",
    EndedEarly = "ended-early": "the alarm ends a hold that was moved",
    HoldUnplanned = "hold-unplanned": "a hold without the plan to end it",
    HeldUntold = "held-untold": "a shard forgets that a use is only held",
    HeldNotCounted = "held-not-counted": "a held use does not count against the code's limit",
    HeldIsSettled = "held-is-settled": "a shard that asks about a held use is told that it is used",
    HeldIsNo = "held-is-no": "a shard that asks about a held use is told no",
    PendingCrowdedOut = "pending-crowded-out": "a pending row goes unplanned because something else is due earlier",
    WindowIgnored = "window-ignored": "a window's total is not looked at",
    BudgetIgnored = "budget-ignored": "the campaign's budget is not looked at",
    ShardDayNow = "shard-day-now": "a shard takes a use that comes back off the day on which it comes back",
    DayNow = "day-now": "a Member takes a use that comes back off the day on which it comes back",
    WindowShort = "window-short": "a member's windows leave out the day they begin with",
    RefundedTwice = "refunded-twice": "a use that comes back is added to a portion twice",
    RefundKept = "refund-kept": "what comes back can be spent by its shard, whatever the limit is by now",
    PullUnbounded = "pull-unbounded": "a shard waits for its rules for ever, and keeps others waiting",
    GivenMeanwhile = "given-meanwhile": "a limit counts as used up though something was given while shards were asked",
    PortionForgotten = "portion-forgotten": "a shard forgets its portion of a window that is long over",
    LoweredKept = "lowered-kept": "a shard keeps its portion of a limit that was changed",
    BaseForgotten = "base-forgotten": "what was used while a limit was not counted is not taken off its portion",
    BaseUnasked = "base-unasked": "a limit is given out before every shard has told what it used without",
    GivenUncounted = "given-uncounted": "a Campaign gives a portion and does not write it down",
    OthersUncounted = "others-uncounted": "a Campaign gives without looking at what other shards have",
    HandedBackUnwritten = "handed-back-unwritten": "a shard hands back what it keeps",
    HandedBackUnheard = "handed-back-unheard": "what was given and not heard of is not handed back",
    SilenceIsDry = "silence-is-dry": "a limit counts as used up though a shard did not answer",
    DryForEver = "dry-for-ever": "a Campaign believes a round of recalls that is long over",
    SaidBelieved = "said-believed": "a shard believes what was said before an attempt arrived",
    KeeperUnchecked = "keeper-unchecked": "a shard takes uses of codes that another one keeps",
    HopForgotten = "hop-forgotten": "a redemption names the shard that was asked first, not the one that took its use",
    InForceEarly = "in-force-early": "a change is said to be in force while a shard lacks it",
    RecallUnpushed = "recall-unpushed": "a recall reaches no shard",
    WordNotRecalled = "word-not-recalled": "a recall of everything leaves the words out",
    AliasKept = "alias-kept": "a word is believed after it was taken out",
    RevokedUnplanned = "revoked-unplanned": "an epoch is revoked without the plan to tell campaigns",
    RevokedMeanwhile = "revoked-meanwhile": "what is revoked while campaigns are told counts as told",
    InformedEarly = "informed-early": "a campaign counts as informed while a shard of it is not",
    RevokedMints = "revoked-mints": "an epoch that was revoked goes on minting",
    RotationUnkept = "rotation-unkept": "a repeated rotation goes on to the next epoch",
    RevocationIgnored = "revocation-ignored": "codes of a revoked epoch are taken",
    ErasureUnplanned = "erasure-unplanned": "an erasure that is cut off does not go on by itself",
    ErasedWhileBusy = "erased-while-busy": "a member is erased while a request of theirs is under way",
    ErasedOpenKept = "erased-open-kept": "what was accepted goes on after its member was erased",
    ErasedHoldsKept = "erased-holds-kept": "what is held for an order outlives the member who held it",
    ForfeitUnwritten = "forfeit-unwritten": "what an erased member had is forfeited without a row",
    ErasedUsesForgotten = "erased-uses-forgotten": "an erasure resets the member's limits",
    GrantedToErased = "granted-to-erased": "what a participant asks about is granted to a member who was erased",
    BuriedChanged = "buried-changed": "what was an erased member's can be taken back, into their wallet",
    ReturnedTwice = "returned-twice": "what was paid is returned once more by a reversal after a cancellation",
}

impl Defect {
    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|defect| defect.name() == name)
    }
}
