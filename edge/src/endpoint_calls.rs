//! Messages to a Merchant about its webhook endpoints.

use crate::calls::{MemberCall, MemberOp, Once, PageQuery};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json};
use crate::platform::Fault;
use counterfoil_core::ids::Mref;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::time::Instant;
use counterfoil_core::webhook::{Secret, Signed};
use counterfoil_core::wire::NewEndpoint;
use serde::{Deserialize, Serialize};

/// Asked of a Merchant.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndpointOp {
    Create {
        new: NewEndpoint,
        /// Whether the deployment lets it go to a private address.
        allow_private: bool,
        by: String,
        once: Option<Once>,
    },
    List(PageQuery),
    Read {
        endpoint_id: String,
    },
    Delete {
        endpoint_id: String,
        by: String,
    },
    Rotate {
        endpoint_id: String,
        by: String,
        once: Option<Once>,
    },
    Deliveries {
        endpoint_id: String,
        page: PageQuery,
    },
    /// Pulls a waiting delivery forward. One of an event is then sent by the Recorder that keeps it.
    Resend {
        endpoint_id: String,
        delivery_id: String,
        by: String,
    },
    /// Who has a delivery's message; answered with [`Keeper`].
    Keeper {
        endpoint_id: String,
        delivery_id: String,
    },
    /// A test was sent, and whether it was answered with a 2xx. Answered with the delivery.
    Tested {
        endpoint_id: String,
        delivery_id: String,
        message: String,
        /// What went wrong.
        error: Option<String>,
        by: String,
    },
    /// Asked before each try; answered with [`EndpointFor`]. Where the endpoint is disabled, whoever asks is
    /// woken once it is enabled again.
    For {
        endpoint_id: String,
        waiter: Option<Waiter>,
    },
    /// Told after a try that failed, and after one that succeeded where [`EndpointState::waiting`] says so.
    Result(TryResult),
    /// All endpoints that are told of events; answered with [`Subscriptions`].
    Subscriptions,
    /// Is this callback the fulfiller's own? Answered with [`CallbackCheck`].
    VerifyCallback {
        endpoint_id: String,
        /// The reward's id.
        target: String,
        signed: Signed,
        body: String,
    },
}

/// Who keeps deliveries and can be told to try them now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Waiter {
    /// A Member, with rewards to fulfil.
    Member(Mref),
    /// A Recorder, by its object's name, with events.
    Recorder(String),
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TryOutcome {
    /// The endpoint took it.
    Ok,
    /// It did not, or nothing is known.
    Failed,
    /// It answered 410.
    Gone,
}

/// One try, as its Merchant keeps it for [`EndpointOp::Deliveries`].
#[derive(Serialize, Deserialize)]
pub(crate) struct TryResult {
    pub(crate) endpoint_id: String,
    pub(crate) waiter: Waiter,
    pub(crate) outcome: TryOutcome,
    /// [`EndpointState::version`] that was asked for the try: a 410 to a try from before the endpoint was enabled again
    /// says nothing.
    pub(crate) version: u32,
    /// The message's `webhook-id`.
    pub(crate) delivery_id: String,
    /// Its type, such as `reward.fulfil`.
    pub(crate) kind: String,
    pub(crate) attempts: u32,
    /// When it is tried again of itself.
    pub(crate) next_attempt_at: Option<Instant>,
    /// Whether it waits for another try; a delivery without one has failed.
    pub(crate) waits: bool,
    pub(crate) error: Option<String>,
}

/// What a try needs; absent where the endpoint is not known.
#[derive(Serialize, Deserialize)]
pub(crate) struct EndpointFor {
    pub(crate) endpoint: Option<EndpointState>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct EndpointState {
    pub(crate) endpoint_id: String,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    /// Those that sign: `whsec_…`, the newest first.
    secrets: Vec<String>,
    /// Nothing may be sent.
    pub(crate) disabled: bool,
    /// Somebody waits for a success to be told: others whose deliveries wait, or the list of deliveries.
    pub(crate) waiting: bool,
    /// Grows whenever the endpoint is enabled again.
    pub(crate) version: u32,
}

impl EndpointState {
    pub(crate) const fn new(
        endpoint_id: String,
        url: String,
        events: Vec<String>,
        secrets: Vec<String>,
        disabled: bool,
        waiting: bool,
        version: u32,
    ) -> Self {
        Self { endpoint_id, url, events, secrets, disabled, waiting, version }
    }

    /// The secrets that sign.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.secrets.iter().filter_map(|text| Secret::parse(text).ok()).collect()
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Subscriptions {
    /// Those with events, disabled ones among them.
    pub(crate) endpoints: Vec<EndpointState>,
}

/// Who has a delivery's message: neither is there where it is a Member, or nobody.
#[derive(Serialize, Deserialize)]
pub(crate) struct Keeper {
    /// The message itself, of a test.
    pub(crate) test: Option<String>,
    /// Name of the Recorder that has it.
    pub(crate) recorder: Option<String>,
}

/// A stable name of what is wrong; absent when it is genuine.
#[derive(Serialize, Deserialize)]
pub(crate) struct CallbackCheck {
    pub(crate) refused: Option<String>,
}

impl Objects<'_> {
    /// What a try at an endpoint needs; `None` where it is not known (any more).
    pub(crate) async fn endpoint_for(
        &self,
        merchant: &str,
        endpoint_id: &str,
        waiter: Option<Waiter>,
    ) -> Result<Option<EndpointState>, Fault> {
        let op = EndpointOp::For { endpoint_id: endpoint_id.to_owned(), waiter };
        let answer: EndpointFor = read_json(self.merchant(merchant, &MerchantOp::Endpoint(op)).await?).await?;
        Ok(answer.endpoint)
    }

    /// Tells a Merchant how a try ended.
    pub(crate) async fn endpoint_result(&self, merchant: &str, result: TryResult) -> Result<(), Fault> {
        let op = MerchantOp::Endpoint(EndpointOp::Result(result));
        let response = self.merchant(merchant, &op).await?;
        match response.status_code() {
            204 => Ok(()),
            status => Err(Fault::new(format!("a merchant answered {status} to the end of a try"))),
        }
    }

    /// Tells a Member that an endpoint answers again; its status.
    pub(crate) async fn hurry_member(&self, merchant: &str, mref: &Mref, endpoint_id: String) -> Result<u16, Fault> {
        let merchant = MerchantId::new(merchant).map_err(|error| Fault::new(error.to_string()))?;
        let op = MemberOp::Hurry { endpoint_id };
        let call = MemberCall::without_id("hurry", op);
        Ok(self.member(&merchant, mref, &call).await?.status_code())
    }
}
