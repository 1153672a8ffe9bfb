//! Pages for addresses that lead nowhere and for requests that went wrong.
//!
//! Invariant: plain words, the same frame, and a way on. It never shows what an error looks like inside.

use maud::html;

use crate::ask::Broken;
use crate::figures::Context;
use crate::layout::{Frame, REFRESH_S, page as frame};

/// 404: `what` was looked for, such as `a service called “tax”`. `context` if it is at hand.
#[must_use]
pub fn not_found(what: &str, context: Option<&Context>) -> String {
    let body = html! {
        div.pagehead {
            h1 { "Page not found" }
            p.lead.sub { "There is no " (what) " here." }
        }
        p { "If you typed the address, check that it is right. Services and departments keep their addresses, also after a reorganisation." }
        p { a href="/services" { "All services" } " · " a href="/" { "Overview" } }
    };
    error_frame("Page not found", context, &body)
}

/// 400: the address asks for something that there cannot be; each field with its rule.
#[must_use]
pub fn refused(broken: &[Broken], context: Option<&Context>) -> String {
    let body = html! {
        div.pagehead {
            h1 { "This address cannot be read" }
            p.lead.sub { "It asks for something that there cannot be." }
        }
        ul.rules { @for one in broken { li { code { (one.field) } " " (one.rule) "." } } }
        p { a href="/services" { "All services" } " · " a href="/" { "Overview" } }
    };
    error_frame("This address cannot be read", context, &body)
}

/// 500 and 503: something on our side does not work. `message` is for the reader, one sentence.
#[must_use]
pub fn failed(message: &str, context: Option<&Context>) -> String {
    let body = html! {
        div.pagehead {
            h1 { "This page cannot be shown now" }
            p.lead.sub { (message) }
        }
        p { "Nothing that services have sent is lost by this. Try again in a minute." }
        p { a href="/" { "Overview" } }
    };
    error_frame("This page cannot be shown now", context, &body)
}

fn error_frame(title: &str, context: Option<&Context>, body: &maud::Markup) -> String {
    let title = format!("{title}: government performance");
    frame(&Frame { title: &title, nav: "", context, topic: None, script: None, refresh_s: REFRESH_S, query: "" }, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_cannot_write_into_the_page() {
        let page = not_found("service called “<script>”", None);
        assert!(page.contains("&lt;script&gt;"));
        assert!(!page.contains("<script>"));
    }
}
