//! The EHRs that this gateway is connected to.

use askama::Template;

use super::connection_state::{Standing, grouped, long};
use crate::web::answer::{Answer, page};
use crate::web::call::Call;
use crate::web::shell::Shell;
use crate::web::words::Badge;

const PATH: &str = "/connections";

struct Row {
    id: String,
    vendor: String,
    badge: Badge,
    lag: String,
    calls: String,
    quarantined: u64,
    to_write: u64,
}

#[derive(Template)]
#[template(path = "connections.html")]
struct ConnectionsPage {
    shell: Shell,
    rows: Vec<Row>,
}

/// `GET /connections`
pub async fn connections(call: Call) -> Answer {
    let (view, now) = (call.state.view(), call.state.now());
    let mut rows = Vec::new();
    for row in view.ehrs().await? {
        let standing = Standing::of(&view, &row.id).await?;
        rows.push(Row {
            badge: standing.badge(&row),
            lag: standing.fresh_at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", long(now - at))),
            calls: standing.budget.as_ref().map_or_else(|| "–".to_owned(), |budget| grouped(budget.day_calls)),
            quarantined: standing.quarantined,
            to_write: view.write_back_queue(&row.id).await?.pending,
            id: row.id.to_string(),
            vendor: row.vendor,
        });
    }
    page(&ConnectionsPage { shell: Shell::of(&call, "Connections", PATH).await?, rows })
}
