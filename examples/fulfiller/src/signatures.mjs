// Signatures of Standard Webhooks, by the specification's own library: what Counterfoil signs is checked by code that
// somebody else wrote from the same document.

import { Webhook, WebhookVerificationError } from "standardwebhooks";

/**
 * Verifies a message and answers whether it is genuine and at most five minutes old, either side. Several secrets
 * are tried: while a secret is being rotated, the old one stays good for a day.
 *
 * @param {string[]} secrets `whsec_…`
 * @param {Record<string, string | string[] | undefined>} headers of the request
 * @param {string} text the body exactly as it came: parsing and writing it again would change it
 */
export function isGenuine(secrets, headers, text) {
  return secrets.some((secret) => {
    try {
      new Webhook(secret).verify(text, headers, { jsonParse: false });
      return true;
    } catch (error) {
      if (error instanceof WebhookVerificationError) return false;
      throw error;
    }
  });
}

/** The three headers of a message of our own, signed now. `id` is the same on every try. */
export function signedHeaders(secret, id, text) {
  const now = new Date();
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign(id, now, text),
  };
}
