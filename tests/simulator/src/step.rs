//! The steps of the protocol, the faults, and which of them can strike where.

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $(#[doc = $text] $variant),+ }

        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As shown.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub(crate) const fn number(self) -> usize {
                self as usize
            }
        }
    };
}

named! {
    /// Where something can go wrong: a message between two parties, a commit, an alarm.
    Step {
        Redeem = "1 redeem W>M",
        Recognise = "2 recognise M>P",
        Prepare = "3 prepare M>P",
        Report = "6 report M>R",
        Settled = "6 settled R>P",
        Abort = "6 abort M>P",
        Inquire = "7 inquire P>M",
        Undo = "9 undo M>P",
        Take = "3 take M>S",
        PoolSettled = "6 settled R>S",
        PoolAbort = "6 abort M>S",
        PoolInquire = "7 inquire S>M",
        PoolUndo = "9 undo M>S",
        Stock = "stock W>S",
        Till = "till W>M",
        Checkout = "checkout W>M",
        Preview = "preview M>P",
        EndpointFor = "endpoint M>E",
        Fulfil = "fulfil M>F",
        Cancelled = "cancelled M>F",
        Callback = "callback F>M",
        EndpointResult = "tried M>E",
        Hurry = "hurry E>M",
        Operate = "operate W>M",
        Test = "test W>E",
        Keys = "keys W>E",
        Revoked = "revoked E>C",
        Erase = "erase W>M",
        Pull = "pull P>C",
        Push = "push C>P",
        Ask = "ask P>C",
        Returned = "returned P>C",
        HandBack = "hand back C>P",
        Administer = "administer W>C",
        Feed = "feed M>W",
        Attempt = "M writes attempt",
        Open = "M writes open",
        Decide = "5 M writes decision",
        Redrive = "8 M plans next drive",
        BeginTry = "M begins try",
        EndTry = "M ends try",
        CallbackWritten = "M writes callback",
        Clock = "M writes clock",
        Hurried = "M writes hurry",
        Operated = "M writes order",
        Noticed = "M writes notice",
        Reported = "M drops reported",
        Undone = "M drops undone",
        Consume = "4 P writes use",
        Flush = "P writes settled",
        GiveBack = "P writes abort",
        Fate = "P writes fate",
        UseBack = "P writes undo",
        Adopt = "P writes rules",
        Given = "P writes given",
        HandedBack = "P writes hand-back",
        Surplus = "P writes returned",
        Taken = "4 S writes codes",
        PoolFlush = "S writes settled",
        PoolGiveBack = "S writes abort",
        PoolFate = "S writes fate",
        Quarantine = "S writes undo",
        Stocked = "S writes stock",
        Offered = "M writes offer",
        Adjusted = "M writes adjustment",
        HoldMoved = "M writes hold",
        HoldEnded = "M ends hold",
        OrderPlaced = "M places order",
        Erased = "M writes erasure",
        Record = "R writes report",
        Endpoint = "E writes endpoint",
        Woken = "E writes woken",
        KeysWritten = "E writes keys",
        Informed = "E writes informed",
        Change = "C writes change",
        Register = "C writes shard",
        Told = "C writes told",
        Allotted = "C writes given",
        Acknowledge = "C writes version",
        MemberAlarm = "M takes due items",
        ShardAlarm = "P takes due items",
        CampaignAlarm = "C takes due items",
        MerchantAlarm = "E takes due items",
        PoolAlarm = "S takes due items",
    }
}

named! {
    /// What goes wrong.
    Fault {
        RequestLost = "request lost",
        ReplyLost = "reply lost",
        Duplicated = "duplicated",
        Reordered = "reordered",
        Delayed = "delayed minutes",
        DelayedHours = "delayed hours",
        CallerCrash = "caller crash",
        ReceiverCrash = "receiver crash",
        Evicted = "receiver evicted",
        Stale = "stale instance",
        Overloaded = "overloaded",
        OtherVersion = "other version",
        CrashBefore = "crash before",
        CrashAfter = "crash after",
        WriteFails = "write fails",
        ItemFails = "item fails",
        StorageFull = "storage full",
        AlarmLate = "alarm late",
        AlarmTwice = "alarm twice",
        AlarmDropped = "alarm dropped",
        ClockJump = "clock jump",
        CampaignPaused = "campaign paused",
        CampaignEnded = "campaign ended",
        EpochRotated = "epoch rotated",
        EpochRevoked = "epoch revoked",
        Answers500 = "answers 500",
        Answers429 = "answers 429",
        Answers410 = "answers 410",
        TimesOut = "times out",
        Slow = "answers slowly",
        TwoTabs = "two tabs",
        OtherBody = "other body",
        TwoMembers = "two members",
        TwoTills = "two tills",
        Refilled = "pool refilled",
        Spent = "balance spent",
        Reversal = "reversal races",
        HoldEnds = "hold ends",
    }
}

/// What a step is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    /// HTTP to somebody outside.
    Webhook,
    /// One way, in order, on a connection.
    Frames,
    Commit,
    Alarm,
}

impl Step {
    const fn kind(self) -> Kind {
        match self {
            Self::Redeem
            | Self::Recognise
            | Self::Prepare
            | Self::Report
            | Self::Settled
            | Self::Abort
            | Self::Inquire
            | Self::Undo
            | Self::Take
            | Self::PoolSettled
            | Self::PoolAbort
            | Self::PoolInquire
            | Self::PoolUndo
            | Self::Stock
            | Self::Till
            | Self::Checkout
            | Self::Preview
            | Self::EndpointFor
            | Self::EndpointResult
            | Self::Hurry
            | Self::Callback
            | Self::Operate
            | Self::Test
            | Self::Keys
            | Self::Revoked
            | Self::Erase
            | Self::Pull
            | Self::Push
            | Self::Ask
            | Self::Returned
            | Self::HandBack
            | Self::Administer => Kind::Message,
            Self::Fulfil | Self::Cancelled => Kind::Webhook,
            Self::Feed => Kind::Frames,
            Self::Attempt
            | Self::Open
            | Self::Decide
            | Self::Redrive
            | Self::BeginTry
            | Self::EndTry
            | Self::CallbackWritten
            | Self::Clock
            | Self::Hurried
            | Self::Operated
            | Self::Noticed
            | Self::Reported
            | Self::Undone
            | Self::Consume
            | Self::Flush
            | Self::GiveBack
            | Self::Fate
            | Self::UseBack
            | Self::Record
            | Self::Endpoint
            | Self::Woken
            | Self::Adopt
            | Self::Given
            | Self::HandedBack
            | Self::Surplus
            | Self::Told
            | Self::Allotted
            | Self::Change
            | Self::Register
            | Self::Taken
            | Self::PoolFlush
            | Self::PoolGiveBack
            | Self::PoolFate
            | Self::Quarantine
            | Self::Stocked
            | Self::Offered
            | Self::Adjusted
            | Self::HoldMoved
            | Self::HoldEnded
            | Self::OrderPlaced
            | Self::Erased
            | Self::KeysWritten
            | Self::Informed
            | Self::Acknowledge => Kind::Commit,
            Self::MemberAlarm | Self::ShardAlarm | Self::CampaignAlarm | Self::MerchantAlarm | Self::PoolAlarm => {
                Kind::Alarm
            }
        }
    }

    /// What happens seldom is struck more often.
    pub(crate) const fn weight(self) -> u64 {
        match self {
            Self::Undo | Self::Cancelled | Self::Hurry | Self::Test => 8,
            Self::UseBack | Self::Hurried | Self::Woken | Self::Undone | Self::Erased => 16,
            Self::Keys | Self::Revoked | Self::Erase | Self::KeysWritten | Self::Informed => 8,
            Self::Abort => 24,
            Self::GiveBack | Self::PoolGiveBack | Self::PoolAbort => 64,
            Self::PoolUndo | Self::Quarantine => 48,
            Self::PoolSettled | Self::PoolFlush | Self::PoolFate | Self::PoolInquire | Self::PoolAlarm => 8,
            Self::Stocked | Self::Offered | Self::Checkout => 2,
            Self::Take | Self::Taken => 2,
            Self::HoldMoved | Self::HoldEnded => 4,
            Self::OrderPlaced | Self::Preview => 12,
            Self::Ask | Self::HandBack | Self::Given | Self::HandedBack | Self::Told | Self::Allotted => 2,
            Self::Returned | Self::Surplus => 12,
            Self::CallbackWritten | Self::Callback | Self::Noticed | Self::Operated | Self::Clock => 4,
            Self::Redeem
            | Self::Recognise
            | Self::Prepare
            | Self::Report
            | Self::Settled
            | Self::Inquire
            | Self::EndpointFor
            | Self::Fulfil
            | Self::EndpointResult
            | Self::Operate
            | Self::Pull
            | Self::Push
            | Self::Administer
            | Self::Feed
            | Self::Attempt
            | Self::Open
            | Self::Decide
            | Self::Redrive
            | Self::BeginTry
            | Self::EndTry
            | Self::Reported
            | Self::Consume
            | Self::Flush
            | Self::Fate
            | Self::Record
            | Self::Endpoint
            | Self::Adopt
            | Self::Change
            | Self::Register
            | Self::Acknowledge
            | Self::MemberAlarm
            | Self::ShardAlarm
            | Self::CampaignAlarm
            | Self::Stock
            | Self::Till
            | Self::Adjusted
            | Self::MerchantAlarm => 1,
        }
    }

    /// Whether this step belongs to a code's redemption, so that the world can change around it.
    const fn is_saga(self) -> bool {
        matches!(
            self,
            Self::Redeem
                | Self::Recognise
                | Self::Prepare
                | Self::Report
                | Self::Settled
                | Self::Abort
                | Self::Inquire
                | Self::Undo
                | Self::Fulfil
                | Self::Open
                | Self::Decide
                | Self::Redrive
                | Self::BeginTry
                | Self::EndTry
                | Self::Consume
                | Self::Flush
                | Self::GiveBack
                | Self::Fate
                | Self::MemberAlarm
                | Self::ShardAlarm
        )
    }

    /// Whether this fault can strike this step at all.
    #[must_use]
    pub const fn can(self, fault: Fault) -> bool {
        let kind = self.kind();
        let stored = matches!(kind, Kind::Commit | Kind::Alarm);
        match fault {
            Fault::RequestLost => matches!(kind, Kind::Message | Kind::Webhook | Kind::Frames),
            Fault::ReplyLost
            | Fault::Duplicated
            | Fault::Reordered
            | Fault::Delayed
            | Fault::DelayedHours
            | Fault::CallerCrash => matches!(kind, Kind::Message | Kind::Webhook),
            Fault::ReceiverCrash | Fault::Evicted | Fault::Stale | Fault::Overloaded | Fault::OtherVersion => {
                matches!(kind, Kind::Message)
            }
            Fault::Answers500 | Fault::Answers429 | Fault::Answers410 | Fault::TimesOut | Fault::Slow => {
                matches!(kind, Kind::Webhook)
            }
            Fault::CrashBefore | Fault::CrashAfter | Fault::WriteFails | Fault::StorageFull => stored,
            Fault::ItemFails => matches!(self, Self::Consume | Self::Record | Self::Taken),
            Fault::AlarmLate | Fault::AlarmTwice | Fault::AlarmDropped => {
                matches!(kind, Kind::Alarm)
            }
            Fault::ClockJump => stored || matches!(kind, Kind::Message),
            Fault::CampaignPaused | Fault::CampaignEnded | Fault::EpochRotated | Fault::EpochRevoked => self.is_saga(),
            Fault::TwoTabs | Fault::OtherBody | Fault::TwoMembers | Fault::TwoTills => matches!(self, Self::Redeem),
            Fault::Refilled => matches!(self, Self::Take | Self::Taken | Self::Decide),
            Fault::HoldEnds => matches!(self, Self::Checkout | Self::OrderPlaced | Self::HoldMoved | Self::Preview),
            Fault::Spent => matches!(self, Self::Take | Self::Taken | Self::Prepare | Self::Consume),
            Fault::Reversal => {
                matches!(self, Self::Decide | Self::BeginTry | Self::EndTry | Self::Fulfil | Self::CallbackWritten)
            }
        }
    }
}

impl Fault {
    /// What changes the whole rest of a run strikes more seldom: shares in 16 of the usual.
    pub(crate) const fn share(self) -> u64 {
        match self {
            Self::CampaignPaused | Self::CampaignEnded | Self::EpochRotated | Self::EpochRevoked => 2,
            Self::ClockJump | Self::StorageFull => 6,
            Self::DelayedHours | Self::Stale | Self::Evicted | Self::Overloaded | Self::OtherVersion => 8,
            Self::TwoTabs | Self::OtherBody | Self::TwoMembers | Self::TwoTills | Self::ItemFails => 64,
            Self::Refilled | Self::Spent | Self::Reversal | Self::HoldEnds => 16,
            Self::Answers500 | Self::Answers429 | Self::TimesOut | Self::Slow => 64,
            Self::Answers410 => 24,
            Self::RequestLost
            | Self::ReplyLost
            | Self::Duplicated
            | Self::Reordered
            | Self::Delayed
            | Self::CallerCrash
            | Self::ReceiverCrash
            | Self::CrashBefore
            | Self::CrashAfter
            | Self::WriteFails
            | Self::AlarmLate
            | Self::AlarmTwice
            | Self::AlarmDropped => 16,
        }
    }
}
