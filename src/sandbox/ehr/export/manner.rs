//! How a vendor's server exports.

/// What is offered and how it behaves.
#[derive(Debug, Clone)]
pub struct ExportManner {
    pub levels: &'static [Level],
    /// Types that no export holds.
    pub without: &'static [&'static str],
    /// The kick-off is a GET, a POST, or (STU4 ballot) a POST only.
    pub by_get: bool,
    pub by_post: bool,
    /// A second export while one is kept is refused with 429.
    pub one_at_a_time: bool,
    pub retry_after: Option<u32>,
    pub storage: Storage,
    pub requires_token: bool,
    /// Names of the STU4 ballot: `outcome`, `manifestType`, no `request`.
    pub draft: bool,
    /// Files on one part of a manifest; the parts are linked by `next`.
    pub part: Option<usize>,
    /// Resources in one file.
    pub per_file: usize,
    /// Files are kept so long.
    pub days: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    System,
    Patient,
    Group,
}

/// Where the files lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// On the server itself.
    Here,
    /// The server redirects (307) to a storage on another origin.
    Redirect,
    /// The manifest names the storage.
    Elsewhere,
}

impl ExportManner {
    /// All levels, the files on the server itself.
    pub const EVERYTHING: Self = Self {
        levels: &[Level::System, Level::Patient, Level::Group],
        without: &[],
        by_get: true,
        by_post: true,
        one_at_a_time: false,
        retry_after: None,
        storage: Storage::Here,
        requires_token: true,
        draft: false,
        part: None,
        per_file: 10_000,
        days: 1,
    };

    /// A Group only, and neither Appointment nor Communication: no vendor's export holds them.
    pub const GROUP: Self =
        Self { levels: &[Level::Group], without: &["Appointment", "Communication"], ..Self::EVERYTHING };

    /// Oracle: by GET, one at a time, asked for every ten minutes, files by 307 from a storage, kept 30 days.
    pub const ORACLE: Self = Self {
        by_post: false,
        one_at_a_time: true,
        retry_after: Some(600),
        storage: Storage::Redirect,
        days: 30,
        ..Self::GROUP
    };
}
