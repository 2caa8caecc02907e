//! `GET /metrics`: the figures of every merchant of this deployment, for Prometheus. It has a token of its own, which no
//! merchant is given.

use crate::answer::Answer;
use crate::auth::bearer;
use crate::config::Config;
use crate::figures;
use crate::inbound::{Stop, query_of, stop};
use crate::merchant::ENVIRONMENT_OBJECT;
use crate::merchant_calls::{MerchantNames, MerchantOp};
use crate::objects::{Objects, read_json};
use crate::platform::Fault;
use counterfoil_core::exposition::{CONTENT_TYPE, exposition};
use counterfoil_core::token::same_secret;
use counterfoil_core::wire::{ProtocolError, Stats};
use futures_util::future::try_join_all;
use worker::{Request, Response};

/// Merchants of one page of their list.
const NAMES_PAGE: u32 = 500;
/// Merchants whose figures are read at once.
const AT_ONCE: usize = 8;

/// Answers a scrape. `?merchant=` asks for one of them, so that a large deployment can be read in parts.
pub(crate) async fn page(
    request: &Request,
    objects: &Objects<'_>,
    config: &Config,
    instance: &'static str,
) -> Result<Response, Stop> {
    // Where no token is set there is no page, rather than one that everybody may read.
    let Some(expected) = &config.metrics_token else { return stop(&ProtocolError::NotFound, instance) };
    let given = bearer(request)?.unwrap_or_default();
    if !same_secret(expected.as_bytes(), given.as_bytes()) {
        return stop(&ProtocolError::InvalidToken, instance);
    }
    let wanted = query_of(request).into_iter().find(|(name, _)| name == "merchant").map(|(_, value)| value);
    let mut names = merchants(objects).await?;
    names.retain(|name| wanted.as_ref().is_none_or(|wanted| wanted == name));
    let mut all: Vec<(String, Stats)> = Vec::with_capacity(names.len());
    for some in names.chunks(AT_ONCE) {
        let asked = some
            .iter()
            .map(|name| async move { Ok::<_, Fault>((name.clone(), figures::of_merchant(name, objects).await?)) });
        all.extend(try_join_all(asked).await?);
    }
    let text = exposition(env!("CARGO_PKG_VERSION"), &all);
    Ok(Answer::text(200, CONTENT_TYPE, text).into_response()?)
}

/// Merchants that exist, in order of their names.
async fn merchants(objects: &Objects<'_>) -> Result<Vec<String>, Fault> {
    let mut all: Vec<String> = vec![];
    loop {
        let op = MerchantOp::Merchants { after: all.last().cloned().unwrap_or_default(), limit: NAMES_PAGE };
        let MerchantNames { merchants } = read_json(objects.merchant(ENVIRONMENT_OBJECT, &op).await?).await?;
        if merchants.is_empty() {
            return Ok(all);
        }
        all.extend(merchants);
    }
}
