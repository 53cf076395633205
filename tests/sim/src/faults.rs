//! What goes wrong, as planned.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kgrca_core::model::time::SECOND;

use crate::plan::{Fault, Planned};
use crate::world::World;

impl World {
    /// Lets the planned faults happen, one after the other, each while the next may begin.
    pub async fn misfortunes(self: Arc<Self>) {
        for Planned {
            after,
            fault,
            lasts,
        } in self.plan.faults.clone()
        {
            let kernel = &self.shared.kernel;
            kernel.sleep(after).await;
            kernel.trace(&format!("{fault:?} for {lasts}"));
            let until = kernel.time().0 + lasts;
            match fault {
                Fault::Crash(daemon) => self.crash(daemon),
                Fault::Restart(daemon) => self.stop(daemon).await,
                Fault::Pause(daemon) => {
                    self.suspend(daemon, until);
                    continue;
                }
                Fault::DiskFull => {
                    self.shared.weather().full_until = until;
                    continue;
                }
                Fault::Away(server) => {
                    self.shared.weather().away_until[server as usize] = until;
                    continue;
                }
            }
            let (Fault::Crash(daemon) | Fault::Restart(daemon)) = fault else {
                continue;
            };
            self.faults_left.fetch_add(1, Ordering::Relaxed);
            let world = Arc::clone(&self);
            tokio::spawn(async move {
                world.shared.kernel.sleep(lasts).await;
                world.start(daemon).await;
                world.faults_left.fetch_sub(1, Ordering::Relaxed);
            });
        }
        // Whatever is broken for a while heals.
        self.shared.kernel.sleep(26 * SECOND).await;
        let mut weather = self.shared.weather();
        (weather.failures, weather.slow) = (0, 0);
        drop(weather);
        self.shared.kernel.trace("all faults are over");
        self.faults_left.fetch_sub(1, Ordering::Relaxed);
    }
}
