//! Running: pages, the scheduler and the outbox side by side, until a signal drains them.

use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::watch;

use super::alerting::Alerting;
use super::publishing::Publishing;
use super::{AppError, Gateway};
use crate::outbox::Intake;
use crate::pull::hl7::Listener;
use crate::scheduler::Scheduler;
use crate::web::{self, WebState};

impl Gateway {
    /// The state that pages stand on.
    pub fn web_state(&self) -> WebState {
        let mut state = WebState::new(self.store.clone(), self.tenant.clone(), Arc::clone(&self.settings));
        state.intake = Some(Intake::new(
            self.store.clone(),
            self.tenant.clone(),
            Arc::clone(&self.settings),
            Arc::clone(&self.providers),
        ));
        state
    }

    pub fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.store.clone(), self.tenant.clone(), Arc::clone(&self.settings), self.clients.clone())
    }

    /// The watch over what needs a person.
    pub fn alerting(&self) -> Result<Alerting, AppError> {
        let settings = Arc::clone(&self.settings);
        Alerting::new(self.store.clone(), self.tenant.clone(), settings, Arc::clone(&self.providers))
    }

    /// Hands checkpoints of the history to whoever keeps them.
    pub fn publishing(&self) -> Result<Publishing, AppError> {
        let settings = Arc::clone(&self.settings);
        Publishing::new(self.store.clone(), self.tenant.clone(), settings, Arc::clone(&self.providers))
    }

    /// Runs until SIGTERM or Ctrl-C, then finishes what is under way.
    pub async fn serve(self, with_web: bool, with_worker: bool) -> Result<(), AppError> {
        // A worker leaves the port to the replica that shows pages.
        let listener = with_web.then(|| TcpListener::bind(self.settings.server.listen));
        let listener = listener.transpose().map_err(AppError::Listen)?;
        let mut state = self.web_state();
        if let Some(metrics) = crate::telemetry::metrics() {
            state.metrics = Some(Arc::new(move || metrics.render()));
        }
        self.run(listener.map(|listener| (state, listener)), with_worker, stopped()).await
    }

    /// Runs the given parts until `stop` is done.
    pub async fn run(
        self,
        pages: Option<(WebState, TcpListener)>,
        with_worker: bool,
        stop: impl Future<Output = ()>,
    ) -> Result<(), AppError> {
        let (tell, told) = watch::channel(false);
        let mut workers = Vec::new();
        if with_worker {
            let outbox = self.outbox.clone();
            let scheduler = self.scheduler();
            let alerting = self.alerting()?;
            let (history, publishing) = (scheduler.clone(), self.publishing()?);
            let (for_history, for_publishing) = (told.clone(), told.clone());
            workers.push(tokio::spawn(async move { history.keep_history(for_history).await }));
            workers.push(tokio::spawn(async move { publishing.run(for_publishing).await }));
            let (for_outbox, for_scheduler, for_alerting) = (told.clone(), told.clone(), told.clone());
            if let Some(hl7) = &self.settings.hl7 {
                let listener = Listener::bind(self.store.clone(), self.tenant.clone(), hl7).await?;
                let for_hl7 = told.clone();
                workers.push(tokio::spawn(async move { listener.run(for_hl7).await }));
            }
            workers.push(tokio::spawn(async move { outbox.run(for_outbox).await }));
            workers.push(tokio::spawn(async move { scheduler.run(for_scheduler).await }));
            workers.push(tokio::spawn(async move { alerting.run(for_alerting).await }));
        }
        let server = match pages {
            Some((state, listener)) => {
                let server = web::serve(state, listener, 2).map_err(|error| AppError::Web(error.to_string()))?;
                let handle = server.handle();
                tokio::spawn(server);
                Some(handle)
            }
            None => None,
        };
        stop.await;
        tracing::info!("stopping: what is under way is finished first");
        if let Some(server) = server {
            server.stop(true).await;
        }
        // It fails only if every worker has ended already.
        let _all_ended = tell.send(true);
        for worker in workers {
            if let Err(error) = worker.await {
                tracing::error!(%error, "a worker did not end well");
            }
        }
        Ok(())
    }
}

/// Ctrl-C, or SIGTERM from whoever runs us.
async fn stopped() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
