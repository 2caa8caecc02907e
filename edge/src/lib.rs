//! The Worker and its Durable Objects.
