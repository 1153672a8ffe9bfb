//! What the audit says in words.

use domain::audit::{BootState, Standing};
use maud::{Markup, html};

use crate::figures::audit::BootFigure;
use crate::format;
use crate::parts::badge;

/// What a standing means, a sentence.
pub(super) const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Balanced => "The books balance: collectors and ledger have the same number.",
        Standing::Settling => "The books balance where an hour is over; the newest records are still on their way.",
        Standing::NoBooks => "Counted before the collectors kept books of their own; nothing to compare with.",
        Standing::GivenUp => {
            "Stored although the collector gave them up; the sender was asked to send them again, and copies are duplicates."
        }
        Standing::Foreign => {
            "Records that none of our collectors wrote: invalid, kept as dead letters, and in nobody's books."
        }
        Standing::Unclosed => {
            "A collector was killed between an acknowledgement and its next book: counted, but not in its books."
        }
        Standing::Unexplained => "Collectors and ledger differ and nothing explains it. This is an alarm.",
    }
}

/// The same as a badge.
pub(super) fn badge_of(standing: Standing) -> Markup {
    match standing {
        Standing::Balanced => badge("ok", "same", "balanced"),
        Standing::Settling => badge("none", "late", "on its way"),
        Standing::NoBooks => badge("none", "silent", "no books yet"),
        Standing::GivenUp => badge("odd", "odd", "given up, stored"),
        Standing::Foreign => badge("odd", "odd", "dead letters"),
        Standing::Unclosed => badge("odd", "odd", "unclosed"),
        Standing::Unexplained => badge("bad", "bad", "unexplained"),
    }
}

/// A signed number.
pub(super) fn difference(n: i64) -> String {
    let size = format::exact(n.unsigned_abs());
    match n {
        0 => size,
        1.. => format!("+{size}"),
        _ => format!("−{size}"),
    }
}

pub(super) fn boot_state(boot: &BootFigure) -> Markup {
    match boot.state {
        BootState::Open => badge("ok", "live", "at work"),
        BootState::Closed => badge("ok", "same", "closed in order"),
        BootState::Unclosed if boot.left_open > 0 => {
            html! { (badge("odd", "odd", "unclosed")) " " span.tiny { (format::count(boot.left_open, "record")) " without a report" } }
        }
        BootState::Unclosed => badge("odd", "odd", "unclosed"),
    }
}

/// What each column means.
pub(super) fn meanings() -> Markup {
    html! {
        section.row {
            div.say { h2 { "What the words mean" } p.sub { "Every record of the log has exactly one outcome, for ever." } }
            dl.about {
                dt { "Accepted by collectors" } dd { "The brokers have stored it and the sender has a receipt. This is the collectors' own account, kept apart from the ledger, by the hour in which the log took the record." }
                dt { "Counted" } dd { "In the figures, once." }
                dt { "Duplicate" } dd { "The same event again: counted before. A conflict among them has another content." }
                dt { "Late" } dd { "Older than the live path takes; the door for it is a backfill." }
                dt { "Invalid" } dd { "Not what a record must be, with its reason in the ledger; also what the log lost before it was read." }
                dt { "In flight" } dd { "Accepted, and about to be counted." }
                dt { "Difference" } dd { "Accepted less all of these. 0 in every hour that is over, unless the last column says why. An hour that is not over is not compared yet: collectors write their books every few seconds." }
                dt { "Unclosed" } dd { "A collector that is killed cannot write its last book. What it acknowledged in its last seconds is counted all the same; for that hour equality is not claimed." }
            }
        }
    }
}
