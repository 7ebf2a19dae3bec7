//! The rows of an epoch: its scores on every split, under the statistics that were asked for.

use std::time::Instant;

use super::ActiveRun;
use crate::norm::{Moments, Pass};
use crate::record::{MetricRow, Split, Stats};
use crate::train::{self, Score};
use crate::{Error, Result};

impl ActiveRun<'_> {
    /// The rows of the epoch that has just been trained.
    pub(super) fn evaluate(&self) -> Result<Vec<MetricRow>> {
        let network = self.trainer.network()?;
        let p = &self.position;
        let n = p.images.max(1) as f64;
        let trained = Score { loss: p.loss_sum / n, accuracy: p.correct as f64 / n, images: p.images };
        let rule = network.rule().parse()?;
        let trained_by = if self.trainer.frozen { rule } else { network.training_rule().parse()? };
        let mut rows = vec![self.row(Split::Train, trained_by, Some(trained), p.train_seconds)];
        if !self.session.val().indices.is_empty() {
            rows.push(self.timed(Split::Val, rule, || train::evaluate(network, self.session.val()).map(Some))?);
        }
        rows.push(self.timed(Split::Test, rule, || train::evaluate(network, self.session.test()).map(Some))?);
        if rule == Stats::Sample {
            return Ok(rows);
        }
        if self.config.gap {
            let size = self.config.norm_batch_size;
            let score = || train::evaluate_batch_statistics(network, self.session.test(), size);
            rows.push(self.beside(Stats::Batch, score)?);
        }
        let images = self.session.sampled(&self.population);
        let mut population = None;
        if self.config.precise {
            let score = || {
                let found = population.insert(train::precise::population(network, images)?);
                self.under(found, Pass::Eval)
            };
            rows.push(self.beside(Stats::Precise, score)?);
        }
        if self.config.weighing {
            rows.push(self.beside(Stats::Weighing, || self.weighed())?);
        }
        if self.config.evalnorm {
            let score = || {
                let size = self.config.norm_batch_size;
                let population = population.map_or_else(|| train::precise::population(network, images), Ok)?;
                let (statistics, pass) = train::observe::evalnorm(network, images, &population, size)?;
                self.under(&statistics, pass)
            };
            rows.push(self.beside(Stats::Evalnorm, score)?);
        }
        Ok(rows)
    }

    /// The score on the test images, in that pass, under statistics other than the network's; none where they are not finite.
    fn under(&self, statistics: &[Option<Moments>], pass: Pass) -> Result<Option<Score>> {
        let network = self.trainer.network()?;
        if train::precise::first_not_finite(network, statistics)?.is_some() {
            return Ok(None);
        }
        let score = || train::evaluate_with_pass(network, self.session.test(), pass).map(Some);
        train::precise::with_statistics(network, statistics, score)
    }

    /// The score with the weight that is best on validation images.
    fn weighed(&self) -> Result<Option<Score>> {
        let network = self.trainer.network()?;
        let (Some(weight), _) = train::weighing::choose(network, self.session.val())? else { return Ok(None) };
        train::evaluate_with_pass(network, self.session.test(), Pass::Weighed { weight }).map(Some)
    }

    /// The row of a score and the time it took.
    ///
    /// # Errors
    /// The score's loss is not finite under the method's own rule: the run has diverged.
    fn timed(&self, split: Split, stats: Stats, score: impl FnOnce() -> Result<Option<Score>>) -> Result<MetricRow> {
        let begun = Instant::now();
        let score = score()?;
        if let Some(score) = score
            && !score.loss.is_finite()
        {
            let tensor = format!("{split} loss under {stats} statistics");
            return Err(Error::Diverged { step: self.trainer.step, tensor });
        }
        Ok(self.row(split, stats, score, begun.elapsed().as_secs_f64()))
    }

    /// The row of a further score on the test images, beside the method's own. If it is not finite its cells are empty,
    /// and the run goes on.
    fn beside(&self, stats: Stats, score: impl FnOnce() -> Result<Option<Score>>) -> Result<MetricRow> {
        let begun = Instant::now();
        let score = score()?.filter(|score| score.loss.is_finite());
        if score.is_none() {
            let epoch = self.position.epoch + 1;
            self.dir
                .log(&format!("epoch {epoch}: no score under {stats} statistics, which are undefined or not finite"))?;
        }
        Ok(self.row(Split::Test, stats, score, begun.elapsed().as_secs_f64()))
    }

    fn row(&self, split: Split, stats: Stats, score: Option<Score>, took: f64) -> MetricRow {
        let c = self.config;
        MetricRow {
            run: self.name.clone(),
            dataset: c.dataset.clone(),
            model: c.model.clone(),
            norm: c.norm.clone(),
            double_forward: c.double_forward,
            batch_size: c.batch_size,
            norm_batch_size: c.norm_batch_size,
            seed: c.seed,
            epoch: self.position.epoch + 1,
            step: self.trainer.step,
            split,
            stats,
            loss: score.map(|s| s.loss),
            accuracy: score.map(|s| s.accuracy),
            lr: Some(self.trainer.lr()),
            images_per_s: score.map(|s| s.images as f64 / took.max(1e-9)),
            seconds: Some(self.seconds()),
        }
    }
}
