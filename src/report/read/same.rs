//! Whether two records are of the same run.

use super::run::{FinalScore, Point, Run};

impl Run {
    /// Whether `other` can be a record of the same run: nothing known to both differs. A name that the rows lack, and that is
    /// therefore made up, says little: such records are of one run only if their scores are equal and their files are not.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let both_named = self.is_named && other.is_named;
        self.has_identity_of(other)
            && (self.has_folder || other.has_folder || self.has_settings_of(other))
            && (both_named || (self.source != other.source && self.has_scores_of(other)))
    }

    fn has_identity_of(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
        same(&self.dataset, &other.dataset)
            && same(&self.model, &other.model)
            && same(&self.norm, &other.norm)
            && self.double_forward == other.double_forward
            && self.batch_size == other.batch_size
            && self.norm_batch_size == other.norm_batch_size
            && (self.seed.is_none() || other.seed.is_none() || self.seed == other.seed)
    }

    fn has_settings_of(&self, other: &Self) -> bool {
        let same = |(key, value)| other.settings.get(key).is_none_or(|other| other == value);
        self.settings.iter().all(same)
            && (self.epochs.is_none() || other.epochs.is_none() || self.epochs == other.epochs)
    }

    fn has_scores_of(&self, other: &Self) -> bool {
        let contradict =
            |a: &Point, b: &Point| a.epoch == b.epoch && (differ(a.loss, b.loss) || differ(a.accuracy, b.accuracy));
        let series = self.series.iter().any(|own| {
            let like = other.series.iter().filter(|other| (other.split, other.stats) == (own.split, own.stats));
            like.flat_map(|other| &other.points).any(|b| own.points.iter().any(|a| contradict(a, b)))
        });
        !series && !contradict_at_the_end(&self.finals, &other.finals)
    }
}

/// Whether a final score that both lists have differs.
pub(super) fn contradict_at_the_end(a: &[FinalScore], b: &[FinalScore]) -> bool {
    a.iter().any(|a| {
        let mut like = b.iter().filter(|b| (b.split, b.stats) == (a.split, a.stats));
        like.any(|b| differ(a.loss, b.loss) || differ(a.accuracy, b.accuracy))
    })
}

fn differ(a: Option<f64>, b: Option<f64>) -> bool {
    a.is_some() && b.is_some() && a != b
}
