//! The one list of the read API: each address under `/api/v1` with what it answers, what it may be asked for, and who
//! answers. The router and the description at `/api/v1/openapi.json` are both made from it.
//!
//! Invariant: an address that is not in this list does not exist, and one that is in it is described; its parameters are
//! those that its handler reads, since one function reads them for both.

use axum::routing::get;
use views::figures::audit::{Audit, ReceiptPage};
use views::figures::govuk::{GovUk, PageHistory};
use views::figures::letters::LettersPage;
use views::figures::{
    AgencyPage, Compare, DepartmentPage, ExplorerHome, ExplorerList, ExplorerMap, Overview, Series, ServiceList,
    ServicePage, Wall,
};
use views::notes::Notes;

use crate::answer::Form;
use crate::api::{BooksAnswer, StatusAnswer};
use crate::audit::letters::LettersAsked;
use crate::audit::{AuditAsked, ReceiptAsked};
use crate::explore::{Body, What};
use crate::explorer::Values;
use crate::operation::Operation;
use crate::stated::answer::Imports;
use crate::{api, audit, explore, govuk, notes, openapi};

/// All of them.
#[must_use]
pub fn operations() -> Vec<Operation> {
    [counted(), stated(), audited()].into_iter().flatten().collect()
}

fn counted() -> Vec<Operation> {
    vec![
        Operation::new::<Overview>("/overview", "What is going on across government now.", get(api::overview))
            .asked(api::overview_asked),
        Operation::new::<Wall>("/wall", "The figures of the wallboard.", get(api::wall)).asked(Form::read),
        Operation::new::<ServiceList>(
            "/services",
            "Services as counted and stated, their totals, and who needs attention.",
            get(api::services),
        )
        .asked(api::list_asked),
        Operation::new::<ServicePage>("/services/{id}", "All about one service.", get(api::service))
            .asked(api::span_asked)
            .reading_the_store(),
        Operation::new::<Series>("/services/{id}/series", "Counts of one service by period.", get(api::series))
            .asked(api::series_asked)
            .reading_the_store(),
        Operation::new::<Series>(
            "/services/{id}/failures",
            "Counts of one service by period; as a table, failures by step and reason.",
            get(api::failures),
        )
        .asked(api::series_asked)
        .reading_the_store(),
        Operation::new::<Notes>(
            "/services/{id}/notes",
            "Notes of departments about one service, with what they said before.",
            get(notes::list).post(notes::send),
        )
        .asked(Form::read)
        .written(),
        Operation::new::<Compare>(
            "/compare",
            "Services and departments on one metric and one axis.",
            get(api::compare),
        )
        .asked(api::compare_asked),
        Operation::new::<GovUk>("/govuk", "How GOV.UK is used, live.", get(govuk::api)),
        Operation::new::<String>("/govuk.csv", "The tables of that.", get(govuk::csv)).asked(govuk::table_asked),
        Operation::new::<PageHistory>("/govuk/pages", "One page's own history.", get(govuk::history_api))
            .asked(govuk::path_asked)
            .needing(&["path"])
            .reading_the_store(),
        Operation::new::<String>("/govuk/pages.csv", "The table of that.", get(govuk::history_csv))
            .asked(govuk::path_asked)
            .needing(&["path"])
            .reading_the_store(),
    ]
}

fn stated() -> Vec<Operation> {
    let at = |what: What| explore::at(what, Form::Json);
    let list =
        |what: What, summary| Operation::new::<ExplorerList>(what.path(), summary, at(what)).asked(explore::asked);
    let values = |path, summary, handler| Operation::new::<Values>(path, summary, handler).asked(Form::read).costly();
    vec![
        Operation::new::<ExplorerHome>(What::Home.path(), "What departments have stated, summed.", at(What::Home))
            .asked(explore::asked),
        list(What::All, "Everything stated, by department or by service."),
        list(What::HighVolume, "Services with more than 750,000 transactions a year."),
        list(What::Search, "Services that words find, misspelt ones too."),
        Operation::new::<ExplorerMap>(What::Treemap.path(), "Transactions by area.", at(What::Treemap))
            .asked(explore::asked),
        Operation::new::<DepartmentPage>(
            "/departments/{id}",
            "A department with its services.",
            explore::body(Body::Department, Form::Json),
        )
        .asked(explore::asked),
        Operation::new::<AgencyPage>(
            "/agencies/{id}",
            "An agency with its services.",
            explore::body(Body::Agency, Form::Json),
        )
        .asked(explore::asked),
        values("/explorer/values", "Every value that stands.", get(explore::values_api)),
        values("/explorer/revisions", "Every value of what was changed since.", get(explore::revisions_api)),
        values("/services/{id}/stated", "Every value stated about one service.", get(explore::service_api)),
        Operation::new::<Imports>("/stated/imports", "Where stated figures come from.", get(api::imports))
            .asked(Form::read),
    ]
}

fn audited() -> Vec<Operation> {
    vec![
        Operation::new::<Audit>("/audit", "What collectors accepted and what became of it.", get(audit::api))
            .asked(AuditAsked::read)
            .reading_the_store(),
        Operation::new::<String>("/audit.csv", "The tables of that.", get(audit::csv))
            .asked(AuditAsked::read_table)
            .reading_the_store(),
        Operation::new::<ReceiptPage>("/audit/receipt", "Where one event is.", get(audit::receipt_api))
            .asked(ReceiptAsked::read)
            .needing(&["service", "event_id"])
            .reading_the_store(),
        Operation::new::<ReceiptPage>(
            "/audit/receipt/hash",
            "The same by the hash of the event's id, as lists of the audit have it.",
            get(audit::hash_api),
        )
        .asked(ReceiptAsked::read_hash)
        .needing(&["service", "id"])
        .reading_the_store(),
        Operation::new::<LettersPage>(
            "/audit/letters",
            "Invalid records, why, and what became of their replays.",
            get(audit::letters::api),
        )
        .asked(LettersAsked::read)
        .reading_the_store(),
        Operation::new::<String>("/audit/letters.csv", "The table of that.", get(audit::letters::csv))
            .asked(LettersAsked::read)
            .reading_the_store(),
        Operation::new::<BooksAnswer<'_>>("/books", "By source, what became of every record.", get(api::books))
            .asked(Form::read)
            .reading_the_store(),
        Operation::new::<StatusAnswer>("/status", "How fresh the figures are, and why not.", get(api::status)),
        Operation::new::<openapi::Description>("/openapi.json", "This description.", get(openapi::read)),
    ]
}
