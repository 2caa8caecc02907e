//! The windows of an instant in a campaign's zone, worked out once a day.

use crate::platform::IanaZone;
use counterfoil_core::calendar::Calendar;
use counterfoil_core::time::{Instant, Utc};
use std::cell::RefCell;
use std::rc::Rc;

/// The calendar that was asked for last, and its zone.
#[derive(Default)]
pub(crate) struct Calendars(RefCell<Option<(String, Rc<Calendar>)>>);

impl Calendars {
    /// That of an instant. A zone that the platform does not know (any more) counts as UTC: it was known when the
    /// campaign was made.
    pub(crate) fn at(&self, zone: &str, at: Instant) -> Rc<Calendar> {
        if let Some((known, calendar)) = self.0.borrow().as_ref()
            && known == zone
            && calendar.holds(at)
        {
            return Rc::clone(calendar);
        }
        // Asking the platform costs more than all the rest.
        let named = if zone == "UTC" { None } else { IanaZone::named(zone) };
        let calendar = Rc::new(named.map_or_else(|| Calendar::at(at, &Utc), |named| Calendar::at(at, &named)));
        self.0.replace(Some((zone.to_owned(), Rc::clone(&calendar))));
        calendar
    }
}
