//! Which dialect a vendor's server speaks, and what it tells of.

/// How subscriptions are offered.
#[derive(Debug, Clone)]
pub struct SubscriptionManner {
    pub dialects: &'static [Subscribing],
    pub topics: &'static [Topic],
    /// The receiver must have answered after this many milliseconds.
    pub patience_millis: u64,
    /// Failed deliveries are tried again for so many minutes; 0: the subscription is set to `error` at once.
    pub retry_minutes: i64,
    /// How many past events `$events` knows.
    pub kept_events: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribing {
    /// `criteria` is a search; nothing is told of deletions, and there are no numbers.
    Classic,
    /// `criteria` is a topic; the status is a Parameters resource.
    Backport,
    /// The R5 resource.
    R5,
    /// An R4 server with R4B's SubscriptionStatus, one AuditEvent an event, numbers that begin anew in each Bundle, and a
    /// signature over the body.
    Athena,
}

/// A topic and what triggers it.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    pub url: &'static str,
    pub kind: &'static str,
    /// What must have happened.
    pub when: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    Created,
    /// Another start.
    Moved,
    /// Became this status.
    Became(&'static str),
    /// None of those that have a topic of their own.
    Otherwise,
}

impl SubscriptionManner {
    pub const HAPI: Self = Self {
        dialects: &[Subscribing::Classic, Subscribing::Backport],
        topics: &[
            Topic {
                url: "http://hospital.example/SubscriptionTopic/appointment-change",
                kind: "Appointment",
                when: When::Always,
            },
            Topic {
                url: "http://hospital.example/SubscriptionTopic/patient-change",
                kind: "Patient",
                when: When::Always,
            },
            Topic {
                url: "http://hospital.example/SubscriptionTopic/observation-change",
                kind: "Observation",
                when: When::Always,
            },
        ],
        patience_millis: 10_000,
        retry_minutes: 0,
        kept_events: 100,
    };

    /// No topics: what most R4 servers have.
    pub const CLASSIC: Self = Self { dialects: &[Subscribing::Classic], topics: &[], ..Self::HAPI };
    pub const R5: Self = Self { dialects: &[Subscribing::R5], ..Self::HAPI };

    /// athenahealth: schedule, reschedule, cancel, check-in, check-out and update of appointments; 2 s to answer; tried
    /// again for an hour.
    pub const ATHENA: Self = Self {
        dialects: &[Subscribing::Athena],
        topics: &[
            Topic {
                url: "http://athena.example/SubscriptionTopic/Appointment.schedule",
                kind: "Appointment",
                when: When::Created,
            },
            Topic {
                url: "http://athena.example/SubscriptionTopic/Appointment.reschedule",
                kind: "Appointment",
                when: When::Moved,
            },
            Topic {
                url: "http://athena.example/SubscriptionTopic/Appointment.cancel",
                kind: "Appointment",
                when: When::Became("cancelled"),
            },
            Topic {
                url: "http://athena.example/SubscriptionTopic/Appointment.check-in",
                kind: "Appointment",
                when: When::Became("arrived"),
            },
            Topic {
                url: "http://athena.example/SubscriptionTopic/Appointment.check-out",
                kind: "Appointment",
                when: When::Became("fulfilled"),
            },
            Topic {
                url: "http://athena.example/SubscriptionTopic/Appointment.update",
                kind: "Appointment",
                when: When::Otherwise,
            },
        ],
        patience_millis: 2_000,
        retry_minutes: 60,
        kept_events: 0,
    };
}

impl Topic {
    /// Whether a change triggers this topic.
    pub fn fits(&self, kind: &str, before: Option<&serde_json::Value>, after: &serde_json::Value) -> bool {
        self.kind == kind && self.when.holds(before, after)
    }
}

impl When {
    fn holds(self, before: Option<&serde_json::Value>, after: &serde_json::Value) -> bool {
        let changed = |field: &str| before.is_some_and(|before| before[field] != after[field]);
        match self {
            Self::Always => true,
            Self::Created => before.is_none(),
            Self::Moved => changed("start"),
            Self::Became(status) => changed("status") && after["status"] == status,
            Self::Otherwise => {
                let own = [
                    Self::Created,
                    Self::Moved,
                    Self::Became("cancelled"),
                    Self::Became("arrived"),
                    Self::Became("fulfilled"),
                ];
                !own.iter().any(|when| when.holds(before, after))
            }
        }
    }
}
