//! The published classes of services.
//!
//! Invariant: closed lists; what was not provided is `None` in [`super::Service`] and never a class of its own.

/// Where an entry of the catalogue comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A published version of the spreadsheet listed it.
    Published,
    /// Added by this project.
    Own,
    /// Made here for its department to try things; never in a public figure.
    Sandbox,
}

/// What kind of thing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Requesting a licence or consent.
    Licence,
    /// Providing information.
    ProvidingInformation,
    /// Requesting benefits, payments or loans.
    BenefitPaymentLoan,
    /// Registering.
    Registering,
    /// Requesting information.
    RequestingInformation,
    /// Amending or deleting information.
    AmendingInformation,
    /// Ordering goods.
    OrderingGoods,
    /// Booking events and resources.
    Booking,
    /// Making a payment.
    MakingAPayment,
}

impl Category {
    /// As people read it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Licence => "Requesting a licence or consent",
            Self::ProvidingInformation => "Providing information",
            Self::BenefitPaymentLoan => "Requesting benefits, payments or loans",
            Self::Registering => "Registering",
            Self::RequestingInformation => "Requesting information",
            Self::AmendingInformation => "Amending or deleting information",
            Self::OrderingGoods => "Ordering goods",
            Self::Booking => "Booking events and resources",
            Self::MakingAPayment => "Making a payment",
        }
    }
}

/// Whom it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Customer {
    /// Businesses.
    Business,
    /// People.
    Individuals,
    /// Both.
    BusinessAndIndividuals,
    /// Charities.
    Charity,
}

impl Customer {
    /// As people read it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Business => "Business",
            Self::Individuals => "Individuals",
            Self::BusinessAndIndividuals => "Business and individuals",
            Self::Charity => "Charity",
        }
    }
}

/// Who pays for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Costs {
    /// Taxpayers.
    Taxpayers,
    /// Those who use it.
    Fees,
}

impl Costs {
    /// As people read it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Taxpayers => "Taxpayers",
            Self::Fees => "Fees and charges",
        }
    }
}

/// What the published volume counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Transactions received.
    Received,
    /// Transactions with an outcome.
    Outcome,
    /// Transactions with the user's outcome.
    UserOutcome,
    /// Something else.
    Other,
}

impl Counts {
    /// As people read it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Received => "Transactions received",
            Self::Outcome => "Transactions with an outcome",
            Self::UserOutcome => "Transactions with the user's outcome",
            Self::Other => "Other",
        }
    }
}
