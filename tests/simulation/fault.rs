//! What could be done wrong. A checker that does not see it is no checker.

/// A mistake that an aggregator or a gateway could make; the checker must catch each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: the real order of things.
    None,
    /// Ids are not read from raw at the start.
    ForgetsIds,
    /// Ids of records that are still to be decided are read too.
    SeedsIdsBeyondStart,
    /// Goes on behind what is stored: as if the offset had been committed before the insert.
    StartsBeyondLedger,
    /// The cells are read before the ledger.
    ReadsCellsFirst,
    /// Takes every cell that is not in memory for a new one.
    ClaimsAllCells,
    /// The ledger is written before the cells.
    LedgerFirst,
    /// Raw is written after the ledger.
    RawLast,
    /// Cells are stored without waiting for the live topic.
    StoresBeforeLive,
    /// Forgets cells while a flush is under way.
    EvictsTooEarly,
    /// Adds a record to cells that include it already.
    SkipsAppliedOffset,
    /// Tells the gateways of a record before its outcome is decided.
    PublishesBeforeDeciding,
    /// Does not look again whether raw was whole while its ids were read.
    TrustsWhatItRead,
    /// Looks again whether raw is whole, but not whether it was while ids were read.
    TrustsWhatIsThere,
    /// Ids leave memory for a file that does not have them.
    LosesRuns,
    /// A file of ids outlives its worker, and the next one believes it.
    KeepsRuns,
    /// Ids are forgotten before the window has left them.
    ForgetsIdsEarly,
    /// Repairs cells without telling the gateways.
    RepairsSilently,
    /// A gateway takes the first version of a cell for the last.
    KeepsTheFirstVersion,
    /// A gateway that has read the store goes on at the end of the live topic.
    FollowsFromTheEnd,
    /// A gateway that has read the store never reads it again.
    NeverAgrees,
}

impl Fault {
    /// All mistakes.
    pub(crate) const ALL: [Self; 20] = [
        Self::ForgetsIds,
        Self::SeedsIdsBeyondStart,
        Self::StartsBeyondLedger,
        Self::ReadsCellsFirst,
        Self::ClaimsAllCells,
        Self::LedgerFirst,
        Self::RawLast,
        Self::StoresBeforeLive,
        Self::EvictsTooEarly,
        Self::SkipsAppliedOffset,
        Self::PublishesBeforeDeciding,
        Self::TrustsWhatItRead,
        Self::TrustsWhatIsThere,
        Self::LosesRuns,
        Self::KeepsRuns,
        Self::ForgetsIdsEarly,
        Self::RepairsSilently,
        Self::KeepsTheFirstVersion,
        Self::FollowsFromTheEnd,
        Self::NeverAgrees,
    ];

    /// Whether only a schedule with files of ids can make it.
    pub(crate) const fn is_of_runs(self) -> bool {
        matches!(self, Self::LosesRuns | Self::KeepsRuns | Self::ForgetsIdsEarly)
    }
}
