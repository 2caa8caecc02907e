//! The live feed: hibernating WebSockets with replay, and the long poll.

use crate::answer::Answer;
use crate::due;
use crate::member::Inner;
use crate::platform::{Fault, now};
use counterfoil_core::limits::{EVENTS_PER_ANSWER, PAGE_ROWS_DEFAULT};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{Event, EventPage, FeedReset};
use futures_channel::oneshot;
use futures_util::future::select;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;
use worker::{Delay, Response, State, WebSocket, WebSocketPair};

/// Due-item that closes sockets whose token has ended.
pub(crate) const SOCKETS_ITEM: &str = "sockets";
/// Subprotocol of the feed.
pub(crate) const SUBPROTOCOL: &str = "counterfoil.v1";
/// Close code for an ended token.
const TOKEN_ENDED: u16 = 4401;

/// Long polls that wait for the next event.
#[derive(Default)]
pub(crate) struct Feed {
    polls: RefCell<Vec<oneshot::Sender<()>>>,
}

/// What hibernation keeps with a socket.
#[derive(Serialize, Deserialize)]
struct Attachment {
    expires_at: Instant,
}

impl Feed {
    /// Somebody waits for the next event. Those whose wait is over have nobody to tell any more.
    fn add_poll(&self, poll: oneshot::Sender<()>) {
        let mut polls = self.polls.borrow_mut();
        polls.retain(|poll| !poll.is_canceled());
        polls.push(poll);
    }

    /// Lets the platform answer `ping` without waking the object.
    pub(crate) fn answer_pings(state: &State) {
        if let Ok(pair) = worker::worker_sys::WebSocketRequestResponsePair::new("ping", "pong") {
            state.set_websocket_auto_response(&pair);
        }
    }

    /// Completes the closing handshake. The reserved codes must never be sent.
    pub(crate) fn closed(socket: &WebSocket, code: usize) {
        let code = u16::try_from(code).ok().filter(|code| !matches!(code, 1005 | 1006 | 1015)).unwrap_or(1000);
        // Already closed is fine.
        let _ = socket.close(Some(code), Some("bye"));
    }
}

/// What a subscriber gets first.
enum Backlog {
    Events(Vec<Event>),
    Reset(Box<FeedReset>),
}

impl Inner {
    /// Tells sockets and long polls, after the commit and the answer.
    pub(crate) fn publish(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let frames: Vec<String> = events.iter().filter_map(|event| serde_json::to_string(event).ok()).collect();
        for socket in self.state.get_websockets() {
            for frame in &frames {
                // A socket that is going away resumes by its last sequence number.
                let _ = socket.send_with_str(frame);
            }
        }
        for poll in self.feed.polls.take() {
            let _ = poll.send(());
        }
    }

    /// What stands between `since` and now; a reset where that is not known any more.
    fn backlog(&self, since: Option<u64>, limit: u32) -> Result<Backlog, Fault> {
        let store = self.store();
        let last = store.last_event()?;
        let since = since.unwrap_or(last);
        if since > last || since.saturating_add(1) < store.first_event()? {
            return Ok(Backlog::Reset(Box::new(FeedReset {
                reset: true,
                since: last,
                wallet: store.wallet(now())?,
                rewards: store.rewards(None, None, PAGE_ROWS_DEFAULT)?.into_iter().map(|(_, reward)| reward).collect(),
                redemptions: store.latest(PAGE_ROWS_DEFAULT)?,
            })));
        }
        Ok(Backlog::Events(store.events(since, limit)?))
    }

    /// Accepts a socket and replays what it missed, in one turn: no event can fall between.
    pub(crate) fn open_socket(
        &self,
        since: Option<u64>,
        expires_at: Instant,
        select_subprotocol: bool,
    ) -> Result<Response, Fault> {
        let pair = WebSocketPair::new()?;
        self.state.accept_web_socket(&pair.server);
        pair.server.serialize_attachment(Attachment { expires_at })?;
        let mut since = since;
        loop {
            match self.backlog(since, EVENTS_PER_ANSWER)? {
                Backlog::Reset(reset) => {
                    pair.server.send_with_str(serde_json::to_string(&reset)?)?;
                    break;
                }
                Backlog::Events(events) => {
                    for event in &events {
                        pair.server.send_with_str(serde_json::to_string(event)?)?;
                    }
                    match events.last() {
                        Some(event) => since = Some(event.seq),
                        None => break,
                    }
                }
            }
        }
        self.plan_socket_end(expires_at)?;
        let response = Response::from_websocket(pair.client)?;
        if select_subprotocol {
            response.headers().set("Sec-WebSocket-Protocol", SUBPROTOCOL)?;
        }
        Ok(response)
    }

    fn plan_socket_end(&self, at: Instant) -> Result<(), Fault> {
        let planned = due::at(&self.storage, SOCKETS_ITEM)?;
        if planned.is_none_or(|planned| at < planned) { due::plan(&self.storage, SOCKETS_ITEM, at) } else { Ok(()) }
    }

    /// Closes what has ended and plans the next.
    pub(crate) fn close_ended_sockets(&self) -> Result<(), Fault> {
        let mut next: Option<Instant> = None;
        for socket in self.state.get_websockets() {
            let Some(Attachment { expires_at }) = socket.deserialize_attachment()? else { continue };
            if expires_at <= now() {
                let _ = socket.close(Some(TOKEN_ENDED), Some("the token has ended"));
            } else {
                next = Some(next.map_or(expires_at, |next| next.min(expires_at)));
            }
        }
        match next {
            Some(at) => due::plan(&self.storage, SOCKETS_ITEM, at),
            None => due::done(&self.storage, SOCKETS_ITEM),
        }
    }

    /// The long poll: at once when there is something, else after the next event or the wait.
    pub(crate) async fn poll(&self, since: Option<u64>, wait_s: u32) -> Result<Answer, Fault> {
        let from = since.unwrap_or(self.store().last_event()?);
        if wait_s > 0 && matches!(self.backlog(Some(from), 1)?, Backlog::Events(events) if events.is_empty()) {
            let (sender, receiver) = oneshot::channel();
            self.feed.add_poll(sender);
            select(receiver, pin!(Delay::from(Duration::from_secs(u64::from(wait_s))))).await;
        }
        match self.backlog(Some(from), EVENTS_PER_ANSWER)? {
            Backlog::Reset(reset) => Answer::json(200, &reset),
            Backlog::Events(events) => {
                let next_since = events.last().map_or(from, |event| event.seq);
                Answer::json(200, &EventPage { events, next_since })
            }
        }
    }
}
