//! Sessions and visits: what an arrival does to the session in the cookie.

use shared::attribution::TouchMark;
use shared::limits::VISIT_IDLE_MS;
use uuid::Uuid;

/// The centre's column holds no larger number.
const MAX_VISIT: u16 = i16::MAX as u16;

/// A session as the cookie holds it. Times are milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) started: i64,
    /// The last arrival or action.
    pub(crate) last: i64,
    /// Number of the visit, from 1.
    pub(crate) visit: u16,
    /// What brought it; all zero for `direct`.
    pub(crate) mark: TouchMark,
}

/// What an arrival did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It started the session.
    NewSession,
    /// It started the next visit of the session.
    NextVisit,
    /// It went on in the visit.
    Same,
}

impl Session {
    fn start(id: Uuid, mark: TouchMark, now_ms: i64) -> Session {
        Session {
            id,
            started: now_ms,
            last: now_ms,
            visit: 1,
            mark,
        }
    }

    /// The session goes on: the next visit when it was idle.
    pub(crate) fn touch(self, now_ms: i64) -> (Session, Step) {
        let idle = now_ms - self.last >= VISIT_IDLE_MS;
        let visit = self.visit.saturating_add(u16::from(idle)).min(MAX_VISIT);
        (
            Session {
                last: now_ms,
                visit,
                ..self
            },
            if idle { Step::NextVisit } else { Step::Same },
        )
    }
}

/// The session after an arrival with `mark`. `alive` is the one in the cookie, within its life; `new_id` names a new one.
///
/// - `direct` goes on with what is alive.
/// - The same click id is the same click, however late: a tab that was restored, a link opened again.
/// - The same utm set or the same referring host goes on within 30 idle minutes, and is a new arrival after them. The referring
///   host counts even if the session has tags: a redirect or a reload sends the first Referer again, without the query.
/// - Any other touch starts a session.
pub(crate) fn arrive(alive: Option<Session>, mark: TouchMark, new_id: Uuid, now_ms: i64) -> (Session, Step) {
    let Some(session) = alive else {
        return (Session::start(new_id, mark, now_ms), Step::NewSession);
    };
    let idle = now_ms - session.last >= VISIT_IDLE_MS;
    let same = |new: u64, old: u64| new != 0 && new == old;
    let goes_on = if mark == TouchMark::default() || same(mark.click, session.mark.click) {
        true
    } else if mark.click != 0 || mark.utm != 0 {
        same(mark.utm, session.mark.utm) && !idle
    } else {
        same(mark.referrer, session.mark.referrer) && !idle
    };
    if goes_on {
        session.touch(now_ms)
    } else {
        (Session::start(new_id, mark, now_ms), Step::NewSession)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: i64 = 60_000;

    #[test]
    fn touches_and_idle_time_decide_between_session_and_visit() {
        let mark = |click, utm, referrer| TouchMark { click, utm, referrer };
        for (old, new, minutes, step) in [
            // direct never overwrites
            (mark(1, 0, 0), mark(0, 0, 0), 0, Step::Same),
            (mark(1, 0, 0), mark(0, 0, 0), 29, Step::Same),
            (mark(1, 0, 0), mark(0, 0, 0), 30, Step::NextVisit),
            (mark(0, 0, 0), mark(0, 0, 0), 300, Step::NextVisit),
            // the same click
            (mark(1, 2, 3), mark(1, 2, 3), 5, Step::Same),
            (mark(1, 2, 3), mark(1, 9, 9), 500, Step::NextVisit),
            // the same tags
            (mark(1, 2, 3), mark(4, 2, 3), 29, Step::Same),
            (mark(0, 2, 0), mark(0, 2, 5), 29, Step::Same),
            (mark(0, 2, 0), mark(0, 2, 0), 30, Step::NewSession),
            // the same referring host
            (mark(0, 0, 3), mark(0, 0, 3), 29, Step::Same),
            (mark(1, 2, 3), mark(0, 0, 3), 1, Step::Same),
            (mark(0, 0, 3), mark(0, 0, 3), 30, Step::NewSession),
            // another touch
            (mark(1, 0, 0), mark(2, 0, 0), 0, Step::NewSession),
            (mark(0, 0, 3), mark(1, 0, 3), 0, Step::NewSession),
            (mark(0, 0, 3), mark(0, 2, 3), 0, Step::NewSession),
            (mark(0, 2, 0), mark(0, 4, 0), 1, Step::NewSession),
            (mark(0, 0, 0), mark(0, 0, 3), 1, Step::NewSession),
            (mark(0, 0, 3), mark(0, 0, 4), 1, Step::NewSession),
        ] {
            let session = Session {
                id: Uuid::from_u128(1),
                started: 0,
                last: 100,
                visit: 4,
                mark: old,
            };
            let now = 100 + minutes * MIN;
            let (after, found) = arrive(Some(session), new, Uuid::from_u128(2), now);
            assert_eq!(found, step, "{old:?} {new:?} {minutes}");
            let expected = match step {
                Step::NewSession => Session {
                    id: Uuid::from_u128(2),
                    started: now,
                    last: now,
                    visit: 1,
                    mark: new,
                },
                Step::NextVisit => Session {
                    last: now,
                    visit: 5,
                    ..session
                },
                Step::Same => Session { last: now, ..session },
            };
            assert_eq!(after, expected);
        }
    }

    #[test]
    fn visits_do_not_overflow() {
        let session = Session {
            id: Uuid::nil(),
            started: 0,
            last: 0,
            visit: u16::MAX,
            mark: TouchMark::default(),
        };
        assert_eq!(session.touch(i64::MAX).0.visit, MAX_VISIT);
    }
}
