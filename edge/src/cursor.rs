//! Cursors of lists: sealed on their way out, so that one is good for its own list only, of its own merchant and by its own
//! filters. Objects know their own places; only the Worker knows what a client may do with them.

use crate::config::Config;
use crate::inbound::{Stop, stop_invalid};
use crate::platform::{Fault, copy_headers};
use base64ct::{Base64UrlUnpadded, Encoding};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::token::{Principal, Role, same_secret};
use counterfoil_core::wire::InvalidRequest;
use worker::Response;

const NAME: &str = "cursor";
/// How a page's answer says where the next one begins. Quotes inside of texts are escaped.
const FIELD: &str = "\"next_cursor\":\"";

/// Which list, of whom, by which filters.
pub(crate) struct Cursors {
    merchant: MerchantId,
    list: String,
}

impl Cursors {
    /// Of a request: opens the cursor that it brings, in place.
    pub(crate) fn of(
        config: &Config,
        Principal { merchant, sub, role, .. }: &Principal,
        path: &str,
        query: &mut [(String, String)],
        instance: &str,
    ) -> Result<Self, Stop> {
        let mut filters: Vec<String> = query
            .iter()
            .filter(|(name, _)| name != NAME && name != "limit")
            .map(|(name, value)| format!("{}:{}:{name}{value}", name.len(), value.len()))
            .collect();
        filters.sort();
        // A path has no question mark, and each filter says how long its name is.
        // A member's lists are their own, by the same path for everybody.
        let whose = if *role == Role::Member { sub.as_str() } else { "" };
        let list = format!("{path}?{}#{}:{whose}", filters.join("&"), whose.len());
        let cursors = Self { merchant: merchant.clone(), list };
        for (_, value) in query.iter_mut().filter(|(name, _)| name == NAME) {
            match cursors.open(config, value) {
                Some(inner) => *value = inner,
                None => {
                    let invalid = InvalidRequest::one("query cursor", "a next_cursor of this very list");
                    return stop_invalid(invalid, instance);
                }
            }
        }
        Ok(cursors)
    }

    fn mac(&self, config: &Config, inner: &str) -> String {
        config.id_key.cursor(&self.merchant, &format!("{}:{}{inner}", self.list.len(), self.list))
    }

    fn open(&self, config: &Config, sealed: &str) -> Option<String> {
        let (inner, mac) = sealed.split_once('.')?;
        let inner = String::from_utf8(Base64UrlUnpadded::decode_vec(inner).ok()?).ok()?;
        same_secret(self.mac(config, &inner).as_bytes(), mac.as_bytes()).then_some(inner)
    }

    /// Seals the cursor of a page.
    pub(crate) async fn seal(&self, config: &Config, mut response: Response) -> Result<Response, Fault> {
        if response.status_code() != 200 {
            return Ok(response);
        }
        let headers = copy_headers(response.headers())?;
        let text = response.text().await?;
        let sealed = self.sealed(config, &text).unwrap_or(text);
        Ok(Response::from_bytes(sealed.into_bytes())?.with_headers(headers))
    }

    /// The same page with its cursor sealed; `None` where it has none.
    fn sealed(&self, config: &Config, text: &str) -> Option<String> {
        let (before, rest) = text.rsplit_once(FIELD)?;
        // It comes last in a page: anything behind it, and it belongs to an item.
        let inner = rest.strip_suffix("\"}").filter(|inner| !inner.contains('"'))?;
        let encoded = Base64UrlUnpadded::encode_string(inner.as_bytes());
        Some(format!("{before}{FIELD}{encoded}.{}\"}}", self.mac(config, inner)))
    }
}
